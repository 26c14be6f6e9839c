"""Many rows locked by one statement, in the order of their keys."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy import orm

from flask_retort.engines import begin_as_writer
from flask_retort.errors import NotFound
from flask_retort.errors.database import About

T = TypeVar("T")

PARAMETERS = 2_000
"""Most values in one statement. PostgreSQL plans 10,000 pairs of values for seconds."""

_CHECKED_TYPES = (int, str, uuid.UUID)
_SHOWN = 10


def lock(
    session: orm.Session,
    model: type[T],
    keys: Iterable[Any],
    *,
    skip_locked: bool = False,
    nowait: bool = False,
    read: bool = False,
    options: Iterable[Any] = (),
) -> dict[Any, T]:
    """The objects with these primary keys, by key and in its order, locked until the end.

    Emits one ``SELECT ... WHERE key IN (...) ORDER BY key FOR UPDATE`` for each 2,000 values. All
    who lock rows of the model so lock them in the same order, and never wait for each other in a
    circle; beyond 2,000 values only if the database sorts the keys as Python does. Pending changes
    are sent first, and the objects show what is in the database then. On SQLite, which has no row
    locks, the transaction becomes the one that writes.

    :param keys: primary keys, tuples where they have several columns. Repetitions are fine.
    :param skip_locked: leave out rows that are locked, and those that are not there. Not on SQLite.
    :param nowait: don't wait for a lock. SQLite waits up to its busy timeout all the same.
    :param read: others may still read and lock for reading: ``FOR SHARE``.
    :param options: of the SELECT, such as ``joinedload``. Only the model's own rows are locked; on
        MariaDB also those that are joined.
    :raises NotFound: there are no rows with some of the keys; the others are locked.
    :raises LockTimeout: a row was not free, or not in time.
    :raises TypeError: a key is None, or not of its column's type.
    """
    mapper = cast("orm.Mapper[T]", sa.inspect(model))
    wanted = _checked(mapper, keys)
    if not wanted:
        return {}
    session.flush()  # what is pending would be overwritten below
    # Not ours, which notes that somebody may write over the connection.
    begin_as_writer(orm.Session.connection(session, {"mapper": mapper}))
    statement = (
        sa.select(model)
        .order_by(*mapper.primary_key)
        .with_for_update(read=read, nowait=nowait, skip_locked=skip_locked, of=mapper.tables)
        .options(*options)
        .execution_options(populate_existing=True)
    )
    found: dict[Any, T] = {}
    for chunk in _chunks(wanted, PARAMETERS // len(mapper.primary_key)):
        condition = _is_in(mapper.primary_key, chunk)
        for locked in session.scalars(statement.where(condition)).unique():
            found[_key_of(mapper, locked)] = locked
    missing = [key for key in wanted if key not in found]
    if missing and not skip_locked:
        raise _not_found(mapper, missing)
    return found


def _is_in(columns: Sequence[sa.ColumnElement[Any]], keys: list[Any]) -> sa.ColumnElement[bool]:
    return (sa.tuple_(*columns) if len(columns) > 1 else columns[0]).in_(keys)


def _key_of(mapper: orm.Mapper[Any], instance: object) -> Any:
    values: Any = mapper.primary_key_from_instance(instance)
    return tuple(values) if len(values) > 1 else values[0]


def _chunks(keys: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _checked(mapper: orm.Mapper[Any], keys: Any) -> list[Any]:
    """The keys, each once, sorted.

    :raises TypeError: one can't be a key of the model.
    """
    name = mapper.class_.__name__
    if isinstance(keys, (str, bytes)) or not hasattr(keys, "__iter__"):
        raise TypeError(
            f"db.lock({name}, {keys!r}) got one key, and takes several. Write a list:"
            f" db.lock({name}, [{keys!r}])[{keys!r}]."
        )
    listed = list(keys)
    for key in listed:
        _check(mapper, key)
    try:
        return sorted(set(listed))
    except TypeError:  # such as members of an Enum
        return sorted(set(listed), key=repr)


def _check(mapper: orm.Mapper[Any], key: Any) -> None:
    name, columns = mapper.class_.__name__, mapper.primary_key
    values: Any = (key,)
    if len(columns) > 1:
        values = key
        if not isinstance(key, tuple) or len(values) != len(columns):
            shape = ", ".join(_names(mapper))
            raise TypeError(
                f"db.lock({name}, ...) got the key {key!r}. The primary key of {name} has"
                f" {len(columns)} columns: each key is a tuple ({shape})."
            )
    for attribute, column, value in zip(_names(mapper), columns, values, strict=True):
        if value is None:
            raise TypeError(
                f"db.lock({name}, ...) got None for {name}.{attribute}, which no row has. An object"
                " that was just made has its key after db.session.flush()."
            )
        expected = _python_type(column)
        if expected is not None and (not isinstance(value, expected) or isinstance(value, bool)):
            raise TypeError(
                f"db.lock({name}, ...) got the {type(value).__name__} {value!r} for"
                f" {name}.{attribute}, which is of type {expected.__name__}: the database may take"
                f" it for another key. Convert it first: {expected.__name__}(...)."
            )


def _python_type(column: sa.ColumnElement[Any]) -> type[Any] | None:
    """What values must be, for the types where nothing else will do."""
    try:
        found = column.type.python_type
    except NotImplementedError:
        return None
    return found if found in _CHECKED_TYPES else None


def _names(mapper: orm.Mapper[Any]) -> list[str]:
    return [mapper.get_property_by_column(column).key for column in mapper.primary_key]


def _not_found(mapper: orm.Mapper[Any], missing: list[Any]) -> NotFound:
    name = mapper.class_.__name__
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    shown = ", ".join(map(repr, missing[:_SHOWN])) + more
    about = About(
        model=mapper.class_,
        fields=tuple(_names(mapper)),
        table=getattr(mapper.local_table, "name", None),
        value=missing[0] if len(missing) == 1 else tuple(missing),
        reason="does not exist",
    )
    return NotFound(
        f"There is no {name} with the key {shown}: deleted by somebody else, or never there. The"
        " rows of the other keys are locked now. Let the error end the transaction, or leave such"
        f" rows out by db.lock({name}, keys, skip_locked=True), which leaves out locked ones too.",
        about,
    )
