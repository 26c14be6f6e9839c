"""What the outside sees of each model: named fields only, money as exact strings.

E-mail addresses and profiles are left out, for these pages ask nobody who they are.
"""

from __future__ import annotations

from flask import url_for

from shop.models import Order, OrderItem, Product, User
from shop.services.placing.submission import Placed, Sale


def represent_product(product: Product) -> dict[str, object]:
    """A product; reads its category, so the query must load it."""
    return {
        "id": product.id,
        "sku": product.sku,
        "name": product.name,
        "price": str(product.price),
        "stock": product.stock,
        "category": {"id": product.category.id, "name": product.category.name},
        "links": {"self": url_for("api.products.show_product", product_id=product.id)},
    }


def represent_user(user: User) -> dict[str, object]:
    """A user."""
    return {
        "id": user.id,
        "user_name": user.user_name,
        "active": user.active,
        "links": {
            "self": url_for("api.users.show_user", user_id=user.id),
            "orders": url_for("api.orders.list_orders_of_user", user_id=user.id),
        },
    }


def represent_order(order: Order) -> dict[str, object]:
    """An order; reads its items and their products, so the query must load them."""
    cancelled = order.cancelled_at
    return {
        "number": order.number,
        "user_id": order.user_id,
        "ordered_at": order.ordered_at.isoformat(),
        "cancelled_at": None if cancelled is None else cancelled.isoformat(),
        "total": str(order.total),
        "items": [_represent_item(item) for item in order.items],
        "links": _order_links(order.number),
    }


def represent_placed(order: Placed) -> dict[str, object]:
    """An order as it was placed: the same at any later time, so without its products' names."""
    return {
        "number": order.number,
        "user_id": order.user_id,
        "ordered_at": order.ordered_at.isoformat(),
        "cancelled_at": None,
        "total": str(order.total),
        "items": [_represent_sale(sale) for sale in order.sales],
        "links": _order_links(order.number),
    }


def _represent_item(item: OrderItem) -> dict[str, object]:
    return {
        "product": {
            "id": item.product.id,
            "name": item.product.name,
            "links": {"self": url_for("api.products.show_product", product_id=item.product_id)},
        },
        "quantity": item.quantity,
        "unit_price": str(item.unit_price),
    }


def _represent_sale(sale: Sale) -> dict[str, object]:
    address = url_for("api.products.show_product", product_id=sale.product_id)
    return {
        "product": {"id": sale.product_id, "links": {"self": address}},
        "quantity": sale.quantity,
        "unit_price": str(sale.unit_price),
    }


def _order_links(number: str) -> dict[str, str]:
    return {
        "self": url_for("api.orders.show_order", number=number),
        "cancellation": url_for("api.orders.create_cancellation", number=number),
    }
