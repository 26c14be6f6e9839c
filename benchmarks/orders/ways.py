"""Ways to place an order: by hand in the driver, by the shop, and as tutorials do."""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session, sessionmaker

from shop.db import db
from shop.models import Order, OrderItem, OrderRequest, Product
from shop.services.orders import place_order
from shop.services.placing.submission import Line

from .market import shop_on

Place = Callable[[int, Sequence[Line]], object]
"""Places one order of a user, in cart order."""


class OutOfStock(Exception):  # noqa: N818 - names the outcome
    """There are too few pieces."""


def shop(url: sa.URL) -> Place:
    """``place_order`` in an application context of its own, as a request has it."""
    app = shop_on(url)

    def place(user_id: int, lines: Sequence[Line]) -> object:
        with app.app_context():
            return place_order(user_id, lines, uuid.uuid4().hex)

    return place


def sorted_lock(url: sa.URL) -> Place:
    """ORM code that locks all rows by one sorted SELECT ... FOR UPDATE."""
    sessions = sessionmaker(sa.create_engine(url))

    def place(user_id: int, lines: Sequence[Line]) -> None:
        with sessions.begin() as session:
            ids = [line.product_id for line in lines]
            query = sa.select(Product).where(Product.id.in_(ids)).order_by(Product.id)
            products = {p.id: p for p in session.scalars(query.with_for_update())}
            order = _order(user_id)
            for line in lines:
                _sell(order, products[line.product_id], line.quantity)
            session.add_all([order, _request(order)])

    return place


def cart_order(url: sa.URL) -> Place:
    """ORM code of the tutorials: rows locked one by one, as they lie in the cart."""
    return _one_by_one(sessionmaker(sa.create_engine(url)))


def cart_order_with_us(url: sa.URL) -> Place:
    """The same, unchanged, on the sessions of Flask-Retort."""
    app: Flask = shop_on(url)

    def place(user_id: int, lines: Sequence[Line]) -> None:
        with app.app_context():
            _place_one_by_one(db.session(), user_id, lines)

    return place


def _one_by_one(sessions: sessionmaker[Session]) -> Place:
    def place(user_id: int, lines: Sequence[Line]) -> None:
        with sessions() as session:
            _place_one_by_one(session, user_id, lines)

    return place


def _place_one_by_one(session: Session, user_id: int, lines: Sequence[Line]) -> None:
    order = _order(user_id)
    for line in lines:
        product = session.get_one(Product, line.product_id, with_for_update=True)
        _sell(order, product, line.quantity)
    session.add(order)
    session.commit()


def _order(user_id: int) -> Order:
    now = dt.datetime.now(dt.UTC)
    return Order(number=str(uuid.uuid4()), user_id=user_id, ordered_at=now, total=Decimal())


def _sell(order: Order, product: Product, quantity: int) -> None:
    if product.stock < quantity:
        raise OutOfStock
    product.stock -= quantity
    order.total += product.price * quantity
    order.items.append(
        OrderItem(product_id=product.id, quantity=quantity, unit_price=product.price)
    )


def _request(order: Order) -> OrderRequest:
    digest = hashlib.sha256(order.number.encode()).hexdigest()
    return OrderRequest(
        user_id=order.user_id,
        key_hash=digest,
        fingerprint=digest,
        order_number=order.number,
        created_at=order.ordered_at,
    )


def values(user_id: int) -> dict[str, Any]:
    """What the columns of an order and its request are filled with."""
    number = str(uuid.uuid4())
    digest = hashlib.sha256(number.encode()).hexdigest()
    now = dt.datetime.now(dt.UTC)
    return {"user_id": user_id, "key_hash": digest, "number": number, "now": now}
