"""A submission that was there before gets the answer that it got then."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from shop.db import db
from shop.models import Order, OrderItem, OrderRequest
from shop.services.placing.refusals import KeyReused
from shop.services.placing.submission import Placed, Sale, Submission

_BY_KEY = (
    select(
        OrderRequest.fingerprint,
        Order.number,
        Order.ordered_at,
        Order.total,
        OrderItem.product_id,
        OrderItem.quantity,
        OrderItem.unit_price,
    )
    .join(Order, Order.number == OrderRequest.order_number)
    .join(OrderItem, OrderItem.order_id == Order.id)
    .where(
        OrderRequest.user_id == bindparam("user_id"),
        OrderRequest.key_hash == bindparam("key_hash"),
    )
    .order_by(OrderItem.product_id)
)


def first_answer(submission: Submission) -> Placed | None:
    """The order that this user has placed with this key; None if there is none. One statement.

    :raises KeyReused: it was for something else.
    """
    key = {"user_id": submission.user_id, "key_hash": submission.key_hash}
    rows = db.session.execute(_BY_KEY, key).all()
    if not rows:
        return None
    first = rows[0]
    if first.fingerprint != submission.fingerprint:
        raise KeyReused()
    sales = tuple(Sale(row.product_id, row.quantity, row.unit_price) for row in rows)
    return Placed(first.number, submission.user_id, first.ordered_at, first.total, sales)
