"""The road on MariaDB and SQLite: one transaction of five statements, run again where it has to."""

from __future__ import annotations

from sqlalchemy import bindparam, insert, text

from flask_retort.errors import LockTimeout, UniqueViolation
from shop.db import db
from shop.models import Order, OrderItem
from shop.services.placing import repeats, stock
from shop.services.placing.refusals import KeyInProgress, UnknownBuyer, total_of
from shop.services.placing.submission import Placed, Sale, Submission
from shop.utc import UTCDateTime

RETRIES = 5

# First of all: a repeat must not wait for the products. On SQLite the writers take turns, so it
# waits for its own and finds the request of the first. On MariaDB it would wait for the first
# submission's end, so it stops after a second: not at once, since to find its key there locks, for
# a moment, the gap beside it too. What "/*M! */" holds is read by MariaDB alone.
_CLAIM = text(
    "/*M! SET STATEMENT innodb_lock_wait_timeout = 1 FOR */"
    " INSERT INTO order_requests (user_id, key_hash, fingerprint, order_number, created_at)"
    " SELECT id, :key_hash, :fingerprint, :number, :ordered_at FROM users"
    " WHERE id = :user_id AND active"
).bindparams(bindparam("ordered_at", type_=UTCDateTime()))
_ORDER = insert(Order)
_ITEMS = insert(OrderItem)


def place(submission: Submission) -> Placed:
    """Place the order.

    :raises OrderRefused: why not.
    """
    try:
        return _place(submission)
    except (UniqueViolation, UnknownBuyer):
        # Also a buyer who has been deactivated since gets the answer of then.
        answer = repeats.first_answer(submission)
        if answer is None:
            raise
        return answer


@db.transaction(retry=RETRIES)
def _place(submission: Submission) -> Placed:
    # Past the session: it has nothing to add to statements that are ready.
    connection = db.session.connection()
    _claim(submission)
    offers = stock.lock(connection, [line.product_id for line in submission.lines])
    total = total_of(submission.lines, offers)
    stock.take(connection, submission.lines)
    order = {
        "number": submission.number,
        "user_id": submission.user_id,
        "ordered_at": submission.ordered_at,
        "total": total,
    }
    order_id = connection.execute(_ORDER, order).lastrowid
    sales = tuple(Sale(*line, offers[line.product_id].unit_price) for line in submission.lines)
    connection.execute(_ITEMS, [{"order_id": order_id, **sale._asdict()} for sale in sales])
    return Placed(submission.number, submission.user_id, submission.ordered_at, total, sales)


def _claim(submission: Submission) -> None:
    """Write the request; whoever does so first places the order."""
    values = {
        "user_id": submission.user_id,
        "key_hash": submission.key_hash,
        "fingerprint": submission.fingerprint,
        "number": submission.number,
        "ordered_at": submission.ordered_at,
    }
    try:
        is_claimed = db.session.connection().execute(_CLAIM, values).rowcount == 1
    except LockTimeout as error:
        if db.engine.dialect.name == "sqlite":
            raise
        raise KeyInProgress() from error
    if not is_claimed:
        raise UnknownBuyer()
