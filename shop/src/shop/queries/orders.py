"""Queries of orders."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import selectinload

from shop.models import Order, OrderItem


def orders_of(user_id: int) -> Select[Order]:
    """A user's orders with items and products, newest first: two statements for any number."""
    return (
        select(Order)
        .where(Order.user_id == user_id)
        .order_by(Order.ordered_at.desc(), Order.id.desc())
        .options(selectinload(Order.items).joinedload(OrderItem.product, innerjoin=True))
    )
