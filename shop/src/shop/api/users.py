"""Routes of users."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from shop.api import pages
from shop.api.representations import represent_user
from shop.db import db
from shop.models import User
from shop.queries import users

blueprint = Blueprint("users", __name__, url_prefix="/users")


@blueprint.get("")
def list_users() -> Response:
    """A page of users."""
    return pages.respond(users.users(), represent_user)


@blueprint.get(f"/<{pages.ID}:user_id>")
def show_user(user_id: int) -> Response:
    """One user."""
    user = db.get_or_404(User, user_id, description="There is no such user.")
    return jsonify(represent_user(user))
