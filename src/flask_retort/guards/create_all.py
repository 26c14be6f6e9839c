"""create-all: tables made without a migration in an application that is in production."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app, has_app_context
from sqlalchemy import event

from flask_retort.engines.sqlite import is_memory

from .hooks import Guard
from .reporting import Text


class CreateAll(Guard):
    """Finds ``create_all()`` of the application's own metadata on a database that outlives it.

    An application may make its tables so that is in debug or testing mode at that moment, or is a
    file run by itself (``python app.py``), which often turns debug mode on only afterwards.
    """

    code = "create-all"
    text = Text(
        what="create_all() ran on {database} at {where}, in an application that is neither in"
        " debug nor in testing mode.",
        why="It never changes a table that exists: a column that a model gets later is missing in"
        " the database, and every query of that model fails.",
        write="Make tables by migrations: `flask db migrate` writes one, `flask db upgrade` runs"
        " it.",
    )

    def attach(self, app: Flask, engines: Mapping[str | None, sa.Engine]) -> None:
        """Listen to the metadata of each database that is not in memory."""
        metadatas: Mapping[str | None, sa.MetaData] = app.extensions["sqlalchemy"].metadatas
        for bind_key, engine in engines.items():
            if not (engine.dialect.name == "sqlite" and is_memory(engine.url)):
                _watched[engine] = (self, bind_key)
                event.listen(metadatas[bind_key], "before_create", _before_create)

    def tables_created(self, bind_key: str | None) -> None:
        """The tables of this bind key's metadata are about to be created."""
        if has_app_context() and _is_in_production(current_app):
            database = "the default database" if bind_key is None else f"database {bind_key!r}"
            self.find(bind_key or "default", database=database)


def _is_in_production(app: Flask) -> bool:
    return not (app.debug or app.testing or app.import_name == "__main__")


def _before_create(metadata: sa.MetaData, connection: sa.Connection, **_: Any) -> None:
    """One listener for all applications: metadata is shared by them, an engine is not."""
    found = _watched.get(connection.engine)
    if found is not None:
        guard, bind_key = found
        guard.tables_created(bind_key)


_watched: weakref.WeakKeyDictionary[sa.Engine, tuple[CreateAll, str | None]] = (
    weakref.WeakKeyDictionary()
)
