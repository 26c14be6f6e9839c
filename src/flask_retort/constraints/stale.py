"""``StaleVersion``: which model's row was changed by someone else."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import orm
from sqlalchemy.orm.exc import StaleDataError

from flask_retort.errors import About, StaleVersion

from .texts import TEXTS

_TABLE = re.compile(r"on table '(.*)' expected")


def stale(error: StaleDataError, session: orm.Session) -> StaleVersion:
    """The error of this package for SQLAlchemy's, with the model and its version attribute.

    The model is looked for among the objects of the session: SQLAlchemy's error names the table
    only. A model without a version has no fields here.

    :param error: as raised by ``session.flush()``.
    :param session: the one that was flushed.
    """
    said = " ".join(str(error).split())
    found = _TABLE.search(said)
    table = found[1] if found else None
    mapper = _mapper(session, table)
    text = TEXTS[StaleVersion.code]
    fields = () if mapper is None else _version_field(mapper)
    model = None if mapper is None else mapper.class_
    owner = table if model is None else model.__name__
    subject = ".".join(filter(None, [owner, *fields])) + ": " if owner else ""
    message = f"{subject}{text.cause}. SQLAlchemy says '{said}' {text.write}"
    return StaleVersion(message, About(model, fields, table=table, reason=text.reason))


def _mapper(session: orm.Session, table: str | None) -> orm.Mapper[Any] | None:
    """The mapper of the objects that are in this table; for several, what they inherit from."""
    found = {
        mapper
        for instance in session
        for mapper in orm.object_mapper(instance).iterate_to_root()
        if getattr(mapper.local_table, "name", None) == table
    }
    return min(found, key=lambda m: (len(m.class_.__mro__), m.class_.__qualname__), default=None)


def _version_field(mapper: orm.Mapper[Any]) -> tuple[str, ...]:
    column = mapper.version_id_col
    return () if column is None else (mapper.get_property_by_column(column).key,)
