"""What the extension adds to Flask's command line."""

from __future__ import annotations

from typing import Any

from flask import current_app


def add_models_to_shell() -> dict[str, Any]:
    """The names that ``flask shell`` starts with: every model by its class name, and ``db``."""
    db = current_app.extensions["sqlalchemy"]
    names: dict[str, Any] = {
        mapper.class_.__name__: mapper.class_ for mapper in db.Model.registry.mappers
    }
    names["db"] = db
    return names
