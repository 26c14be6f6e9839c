"""The database layer of a Flask application in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .compat import install_as_flask_migrate, install_as_flask_sqlalchemy
from .errors import GuardError, RetortWarning
from .extension import SQLAlchemy

if TYPE_CHECKING:
    from .migrations import Migrate

__all__ = [
    "GuardError",
    "Migrate",
    "RetortWarning",
    "SQLAlchemy",
    "install_as_flask_migrate",
    "install_as_flask_sqlalchemy",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``Migrate``, imported at first use: an application without migrations needs no Alembic."""
    if name != "Migrate":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .migrations import Migrate

    return Migrate
