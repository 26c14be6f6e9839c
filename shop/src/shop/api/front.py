"""The entrance: where to look, and whether the service works."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, jsonify, url_for
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable

from shop.db import db

blueprint = Blueprint("front", __name__)


@blueprint.get("/")
def index() -> Response:
    """The addresses of everything there is."""
    return jsonify(
        products=url_for("api.products.list_products"),
        users=url_for("api.users.list_users"),
        orders_of_user="/api/v1/users/{id}/orders",
        order="/api/v1/orders/{number}",
        new_order=url_for("api.orders.create_order"),
        health=url_for("front.health"),
    )


@blueprint.get("/health")
def health() -> Response:
    """200 while the database answers, else 503; one statement, for load balancers."""
    try:
        db.session.execute(select(1))
    except SQLAlchemyError as error:
        current_app.logger.error("The health check failed: %s", error)
        raise ServiceUnavailable("The database does not answer.", retry_after=5) from error
    return jsonify(status="ok")
