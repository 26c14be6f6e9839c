"""Routes of orders."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, url_for
from werkzeug.exceptions import Conflict, HTTPException, UnprocessableEntity

from shop.api import pages
from shop.api.order_form import OrderForm, pointer, read_key, read_order
from shop.api.refusals import Fault, Refusal
from shop.api.representations import represent_order, represent_placed
from shop.db import db
from shop.models import User
from shop.queries import orders
from shop.services.orders import cancel_order, place_order
from shop.services.placing import refusals

blueprint = Blueprint("orders", __name__)


@blueprint.get(f"/users/<{pages.ID}:user_id>/orders")
def list_orders_of_user(user_id: int) -> Response:
    """A page of a user's orders with their items."""
    db.get_or_404(User, user_id, description="There is no such user.")
    return pages.respond(orders.orders_of(user_id), represent_order)


@blueprint.get("/orders/<number>")
def show_order(number: str) -> Response:
    """One order with its items."""
    order = db.one_or_404(orders.order(number), description="There is no such order.")
    return jsonify(represent_order(order))


@blueprint.post("/orders")
def create_order() -> Response:
    """Place an order; the same body with the same Idempotency-Key gets the same answer."""
    key, form = read_key(), read_order()
    try:
        placed = place_order(form.user_id, form.lines(), key)
    except refusals.OrderRefused as error:
        raise _refusal(error, form) from error
    answer = jsonify(represent_placed(placed))
    answer.status_code = 201
    answer.location = url_for("api.orders.show_order", number=placed.number)
    return answer


@blueprint.post("/orders/<number>/cancellation")
def create_cancellation(number: str) -> Response:
    """Cancel an order; one that is cancelled already stays so."""
    cancel_order(number)
    return show_order(number)


def _refusal(error: refusals.OrderRefused, form: OrderForm) -> Refusal:
    """What the refusal of the service means to the client."""
    match error:
        case refusals.UnknownBuyer():
            return Refusal(_unprocessable(), [Fault("#/user_id", "There is no such active user.")])
        case refusals.UnknownProducts():
            faults = [
                Fault(_item(form, product_id, "product_id"), "There is no such product.")
                for product_id in error.product_ids
            ]
            return Refusal(_unprocessable(), faults)
        case refusals.OutOfStock():
            faults = [
                Fault(_item(form, product_id, "quantity"), f"{left} are left.", left)
                for product_id, left in error.available.items()
            ]
            return Refusal(Conflict("There is not enough left of some products."), faults)
        case refusals.TotalTooLarge():
            return Refusal(_unprocessable(), [Fault("#/items", "The total is too large.")])
        case refusals.KeyReused():
            return Refusal(UnprocessableEntity("This Idempotency-Key was for another order."))
        case _:
            return Refusal(_in_progress())


def _unprocessable() -> HTTPException:
    return UnprocessableEntity("The order can't be placed: see errors.")


def _in_progress() -> HTTPException:
    return Conflict("An order with this Idempotency-Key is being placed. Ask again in a second.")


def _item(form: OrderForm, product_id: int, field: str) -> str:
    return pointer(("items", form.item_of(product_id), field))
