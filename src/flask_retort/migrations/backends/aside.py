"""A connection beside an engine's pool, for what must not share the connection of the work."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.checks import masked
from flask_retort.engines import failures
from flask_retort.errors import CannotConnect


def connect_aside(engine: sa.Engine) -> sa.Connection:
    """A new connection in autocommit that the pool neither counts nor gets back: close it.

    It is opened as the pool opens its own, the application's events for new connections included,
    even where the pool has room for one connection only. Once it is lost it must be closed and not
    be used again: SQLAlchemy would go to the pool for another.

    :raises CannotConnect: the server or its limits refuse it.
    """
    pool = engine.pool.recreate()
    try:
        connection = sa.Connection(engine, pool.connect())
    except exc.DBAPIError as error:
        raise CannotConnect(_message(engine, error.orig or error), error) from error
    except engine.dialect.loaded_dbapi.Error as error:
        raise CannotConnect(_message(engine, error), exc.DBAPIError(None, None, error)) from error
    raw: Any = connection.connection.dbapi_connection
    if hasattr(raw, "prepare_threshold"):  # psycopg 3: behind a pooler, prepared ones get mixed up
        raw.prepare_threshold = None
    connection.execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()
    return connection


def _message(engine: sa.Engine, error: BaseException) -> str:
    said = failures.said_by_driver(engine, error)
    return (
        f"Can't open another connection to {masked(engine.url)} beside the one that migrates: the"
        f" driver says {said!r}. It holds the lock that keeps two runs apart. Usually the server,"
        " or the database's user, may have no more connections: close some, or raise the limit."
    )
