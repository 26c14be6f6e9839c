"""Connections for migrations, which neither wait for the application's pool nor are lost in it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.pool import Pool, SingletonThreadPool, StaticPool


@contextmanager
def own_connection(engine: sa.Engine) -> Generator[sa.Connection]:
    """A new connection of the engine, closed at the end.

    It does not count in the engine's pool, so it comes at once where the application holds all
    connections that may be. A database that is one connection, in memory, stays the same one.
    """
    if isinstance(engine.pool, (StaticPool, SingletonThreadPool)):
        with engine.connect() as connection:
            yield connection
        return
    pool = engine.pool.recreate()
    try:
        with _connected(engine, pool) as connection:
            yield connection
    finally:
        pool.dispose()


@contextmanager
def outside_transaction(connection: sa.Connection) -> Generator[sa.Connection]:
    """A second view of a connection that is in a transaction; in this one it is in none.

    What was done in the transaction is committed, so that settings of the session hold; its owner
    keeps the object, and ends it later with nothing in it. Where the driver can't commit yet, in a
    two-phase transaction, another connection takes the place.
    """
    options = connection.get_execution_options()
    if isinstance(connection.get_transaction(), sa.TwoPhaseTransaction):
        with own_connection(connection.engine) as other:
            yield other.execution_options(**options)
        return
    connection.connection.commit()
    view = sa.Connection(connection.engine, connection.connection).execution_options(**options)
    try:
        yield view
    finally:
        # Not closed: its owner does that.
        if view.in_transaction():
            view.rollback()


def _connected(engine: sa.Engine, pool: Pool) -> sa.Connection:
    try:
        return sa.Connection(engine, pool.connect())
    except engine.dialect.loaded_dbapi.Error:
        # The engine may have a connection left; and if not, it says why in the usual words.
        return engine.connect()
