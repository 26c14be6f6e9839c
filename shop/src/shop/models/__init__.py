"""The tables of the shop, one aggregate a file."""

from __future__ import annotations

from shop.models.category import Category
from shop.models.data_import import DataImport
from shop.models.order import Order, OrderItem
from shop.models.order_request import OrderRequest
from shop.models.product import Product
from shop.models.user import Profile, User

__all__ = [
    "Category",
    "DataImport",
    "Order",
    "OrderItem",
    "OrderRequest",
    "Product",
    "Profile",
    "User",
]
