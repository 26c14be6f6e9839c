"""Queries of users."""

from __future__ import annotations

from sqlalchemy import Select, select

from shop.models import User


def users() -> Select[User]:
    """Every user, oldest first."""
    return select(User).order_by(User.id)
