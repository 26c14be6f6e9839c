"""A forked child opens its own connections and never speaks over those of its parent."""

from __future__ import annotations

import os
import socket
import weakref
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import Pool, SingletonThreadPool, StaticPool

from . import sockets

_SOCKET_DRIVERS = ("psycopg", "psycopg2", "pymysql", "mysqldb")
"""Drivers whose connections have a socket that can be found, and can be referred to weakly."""

_engines: weakref.WeakSet[sa.Engine] = weakref.WeakSet()
_connections: weakref.WeakSet[Any] = weakref.WeakSet()
_inherited: list[Pool] = []


def protect(engine: sa.Engine) -> None:
    """In every child forked from now on, give the engine a new pool.

    Connections in use at the fork are cut off in the child only: their next statement there fails
    as a lost connection does. Works by ``os.register_at_fork``, so for ``os.fork``, preloading
    application servers and ``multiprocessing``'s fork method alike.
    """
    _engines.add(engine)
    if engine.dialect.driver in _SOCKET_DRIVERS:
        event.listen(engine, "connect", _remember)


def _remember(connection: Any, record: Any) -> None:
    _connections.add(connection)


def _after_fork_in_child() -> None:
    for connection in list(_connections):
        _cut_off(connection)
    _connections.clear()
    for engine in list(_engines):
        if _is_copied_by_fork(engine):
            continue
        # Kept, because a driver that collects a connection may say goodbye to the server.
        _inherited.append(engine.pool)
        engine.dispose(close=False)


def _cut_off(connection: Any) -> None:
    """Put a dead socket under the connection: what is sent or read on it goes nowhere.

    mysqlclient sends a farewell when a connection is collected, also at the child's exit, on which
    the server ends the parent's session.
    """
    number = sockets.fileno(connection)
    if number is not None:
        ours, theirs = socket.socketpair()
        theirs.close()
        os.dup2(ours.fileno(), number)
        ours.close()
        if hasattr(connection, "pgconn"):
            # psycopg 3 warns of open connections that are collected. The other drivers do not, and
            # may wait here for a lock that a thread of the parent had at the fork.
            connection.close()


def _is_copied_by_fork(engine: sa.Engine) -> bool:
    """A SQLite database in memory: the child has its own copy, which a new pool would lose."""
    return engine.dialect.name == "sqlite" and isinstance(
        engine.pool, (StaticPool, SingletonThreadPool)
    )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
