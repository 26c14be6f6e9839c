"""Routes of orders."""

from __future__ import annotations

from flask import Blueprint, Response

from shop.api import pages
from shop.api.representations import represent_order
from shop.db import db
from shop.models import User
from shop.queries import orders

blueprint = Blueprint("orders", __name__)


@blueprint.get(f"/users/<{pages.ID}:user_id>/orders")
def list_orders_of_user(user_id: int) -> Response:
    """A page of a user's orders with their items."""
    db.get_or_404(User, user_id, description="There is no such user.")
    return pages.respond(orders.orders_of(user_id), represent_order)
