"""Queries of orders."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import selectinload

from shop.models import Order, OrderItem


def orders_of(user_id: int) -> Select[Order]:
    """A user's orders with items and products, newest first: two statements for any number."""
    return (
        _with_items()
        .where(Order.user_id == user_id)
        .order_by(Order.ordered_at.desc(), Order.id.desc())
    )


def order(number: str) -> Select[Order]:
    """One order with items and products: two statements."""
    return _with_items().where(Order.number == number)


def _with_items() -> Select[Order]:
    items = selectinload(Order.items).joinedload(OrderItem.product, innerjoin=True)
    return select(Order).options(items)
