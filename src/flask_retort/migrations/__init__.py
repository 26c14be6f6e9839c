"""Schema migrations: ``flask db``, and the same as functions that raise and never exit."""

from __future__ import annotations

from alembic import __version__ as _version

from .commands import (
    branches,
    check,
    current,
    downgrade,
    edit,
    heads,
    history,
    init,
    list_templates,
    merge,
    migrate,
    revision,
    show,
    stamp,
    status,
    upgrade,
)
from .extension import Migrate

__all__ = [
    "Migrate",
    "alembic_version",
    "branches",
    "check",
    "current",
    "downgrade",
    "edit",
    "heads",
    "history",
    "init",
    "list_templates",
    "merge",
    "migrate",
    "revision",
    "show",
    "stamp",
    "status",
    "upgrade",
]

alembic_version = tuple(int(number) for number in _version.split(".")[:3])
"""The version of Alembic, as numbers."""
