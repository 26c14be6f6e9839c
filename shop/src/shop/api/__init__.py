"""What the shop answers over HTTP: JSON, and errors as problem details (RFC 9457)."""

from __future__ import annotations

from flask import Blueprint, Flask

from flask_retort import problems
from shop.api import front, orders, products, refusals, users


def init_app(app: Flask) -> None:
    """Register routes and error handlers."""
    api = Blueprint("api", __name__, url_prefix="/api/v1")
    for routes in (products, users, orders):
        api.register_blueprint(routes.blueprint)
    app.register_blueprint(front.blueprint)
    app.register_blueprint(api)
    problems.init_app(app)
    refusals.init_app(app)
