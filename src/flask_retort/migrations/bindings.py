"""The databases of an application by bind key, whatever extension made them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa

from flask_retort.errors import MigrationError

DEFAULT = "default"
"""What the default database is called in options and messages; its own name is empty."""


@dataclass(frozen=True)
class Binding:
    """One database: its bind key, empty for the default one, its engine and its models."""

    name: str
    engine: sa.Engine
    metadata: sa.MetaData

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name or DEFAULT


def bindings(db: Any, bind_keys: Iterable[str]) -> dict[str, Binding]:
    """The databases by name, the default one first.

    :param db: the object of this package, of Flask-SQLAlchemy (2 and 3) or of Alchemical.
    :param bind_keys: those of the configuration, for objects that have no ``engines``.
    """
    engines = _engines(db, bind_keys)
    names = sorted(engines, key=lambda key: key is not None)
    return {key or "": Binding(key or "", engines[key], _metadata(db, key)) for key in names}


def _engines(db: Any, bind_keys: Iterable[str]) -> dict[str | None, sa.Engine]:
    engines: Any = getattr(db, "engines", None)
    if isinstance(engines, Mapping):
        return dict(cast("Mapping[str | None, sa.Engine]", engines))
    found: dict[str | None, sa.Engine] = {None: _get_engine(db, None)}
    for key in getattr(db, "bind_names", None) or bind_keys:
        found[key] = _get_engine(db, key)
    return found


def _get_engine(db: Any, key: str | None) -> sa.Engine:
    engine = db.get_engine(bind=key) if hasattr(db, "get_engine") else db.engine
    if not isinstance(engine, sa.Engine):
        raise MigrationError(
            f"Migrate's 'db', a {type(db).__name__}, gave {type(engine).__name__} as the engine of"
            f" {key or DEFAULT!r}. Pass the SQLAlchemy object of the extension:"
            " Migrate(app, db)."
        )
    return engine


def _metadata(db: Any, key: str | None) -> sa.MetaData:
    metadatas: Any = getattr(db, "metadatas", None)
    if isinstance(metadatas, Mapping):
        made = cast("Mapping[str | None, sa.MetaData]", metadatas).get(key)
        return sa.MetaData() if made is None else made
    if hasattr(db, "get_metadata"):
        metadata: sa.MetaData = db.get_metadata(bind_key=key)
        return metadata
    return _part(db.metadata, key)


def _part(whole: sa.MetaData, key: str | None) -> sa.MetaData:
    """The tables of one database, where one metadata holds those of all."""
    part = sa.MetaData(naming_convention=whole.naming_convention)
    for table in whole.tables.values():
        if table.info.get("bind_key") == key:
            table.to_metadata(part)
    return part


def is_same_database(one: sa.Engine, other: sa.Engine) -> bool:
    """Whether two engines certainly mean the same database, as the same user."""
    return one is other or (_address(one) is not None and _address(one) == _address(other))


def _address(engine: sa.Engine) -> tuple[object, ...] | None:
    """What names the database; None for one in memory, which each engine has to itself."""
    url = engine.url
    kind = url.get_backend_name()
    if kind != "sqlite":
        port = url.port or {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}.get(kind)
        return kind, url.host, port, url.database, url.username, tuple(sorted(url.query.items()))
    if url.query or url.database in (None, "", ":memory:"):
        return None
    return kind, os.path.realpath(url.database)
