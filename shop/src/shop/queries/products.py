"""Queries of the catalogue."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from shop.models import Product


def catalogue() -> Select[Product]:
    """Every product with its category, oldest first."""
    return select(Product).options(joinedload(Product.category)).order_by(Product.id)


def product(product_id: int) -> Select[Product]:
    """One product with its category."""
    return catalogue().where(Product.id == product_id)
