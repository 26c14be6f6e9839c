"""The right to migrate a PostgreSQL database: an advisory lock of a session beside the work."""

from __future__ import annotations

import os
import re
import socket
import zlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from . import Observed, own
from .aside import connect_aside
from .pooler import refuse_pooler
from .postgresql_sessions import observed

LOCK = int.from_bytes(b"rt_l")
"""First of the two numbers of the advisory lock that a runner has, on a connection beside."""

MARK = int.from_bytes(b"rt_m")
"""First number of the lock that the working session itself has. It outlives a killed process for as
long as the server goes on with its statement."""

STAY = {
    "idle_session_timeout": "0",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""Settings that keep an idle session, and end it a minute after its machine has lost power."""

_NAME = re.compile(r"flask db (\d+) (\d+)@(.*)")

_HOLDER = """
    SELECT l.pid, a.usename, a.application_name,
           CAST(extract(epoch FROM clock_timestamp()) AS bigint) AS now
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
      AND l.classid = CAST(CAST(:area AS bigint) AS oid)
      AND l.objid = CAST(CAST(:key AS bigint) AS oid)
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""


def key_of(dialect: sa.Dialect, version_table: str) -> int:
    """The second number of both locks; the same for a table with and without its schema.

    :param dialect: of an engine that has connected once.
    """
    if "." not in version_table:
        version_table = f"{dialect.default_schema_name}.{version_table}"
    return zlib.crc32(version_table.encode()) & 0x7FFFFFFF


def try_take(connection: sa.Connection, area: int, key: int) -> bool:
    """Take an advisory lock for the session, and sign with process, host and time; never waits."""
    parameters = {"area": area, "key": key}
    taken: bool = own(
        connection, "SELECT pg_try_advisory_lock(CAST(:area AS int), CAST(:key AS int))", parameters
    ).scalar_one()
    if taken:
        # Others may see this of a session even where they may see nothing else. The host stands
        # last, since the server cuts it off at 63 bytes.
        own(
            connection,
            "SELECT set_config('application_name', 'flask db '"
            " || CAST(extract(epoch FROM clock_timestamp()) AS bigint) || ' ' || :who, false)",
            {"who": f"{os.getpid()}@{socket.gethostname()}"},
        )
    return taken


def give_back(connection: sa.Connection, area: int, key: int) -> None:
    """Give an advisory lock of the session back."""
    own(
        connection,
        "SELECT pg_advisory_unlock(CAST(:area AS int), CAST(:key AS int))",
        {"area": area, "key": key},
    )


def runner(connection: sa.Connection, key: int) -> str:
    """Who has the lock, in words for people; empty where it is free."""
    row = own(connection, _HOLDER, {"area": LOCK, "key": key}).first()
    return "" if row is None else _words(row)


def orphan(connection: sa.Connection, key: int) -> str:
    """Which session has the mark, in words for people; empty where it is free."""
    row = own(connection, _HOLDER, {"area": MARK, "key": key}).first()
    if row is None:
        return ""
    return (
        f"{_words(row)}; if that process is gone, its last statement goes on in the server, and"
        f" 'SELECT pg_terminate_backend({row.pid})' ends it"
    )


def set_all(connection: sa.Connection, values: dict[str, str]) -> None:
    """Set the session's settings that the server knows. Undone by a rollback."""
    own(
        connection,
        "SELECT set_config(name, value, false)"
        " FROM unnest(CAST(:names AS text[]), CAST(:given AS text[])) AS t (name, value)"
        " WHERE current_setting(name, true) IS NOT NULL",
        {"names": list(values), "given": list(values.values())},
    )


class PostgreSQLLock:
    """An advisory lock on a connection of its own, beside the engine's pool and in autocommit.

    Never asked for in a way that waits: a session that waits holds a snapshot, for which a
    concurrent index waits in turn. The server gives the lock back when the process ends, however it
    ends. If the connection is lost on the way, the mark of the working session still keeps other
    runners from beginning.
    """

    def __init__(self, engine: sa.Engine, version_table: str) -> None:
        self._engine = engine
        self._version_table = version_table
        self._connection: sa.Connection | None = None
        self._key = 0
        self._is_checked = False
        self._is_ours = False

    def try_acquire(self) -> bool:
        """Take it if it is free, and no session of a killed run is still at work. Never waits.

        The first call opens a connection, and finds out whether it can have a lock at all.

        :raises flask_retort.errors.BehindPooler: sessions do not stay with their connections.
        :raises flask_retort.errors.CannotConnect: the server refuses another connection.
        """
        connection = self._connection or self._open()
        if not self._is_checked:
            refuse_pooler(self._engine, connection)
            set_all(connection, STAY)
            self._is_checked = True
        self._is_ours = self._is_ours or try_take(connection, LOCK, self._key)
        return self._is_ours and not orphan(connection, self._key)

    def holder(self) -> str:
        """Who has it: "process 123 on web-7, since 12 s (PostgreSQL session 4711)".

        Empty where it is free. A session that a killed run has left at work comes first, where the
        lock is ours or nobody's.
        """
        connection = self._connection or self._open()
        found = "" if self._is_ours else runner(connection, self._key)
        return found or orphan(connection, self._key)

    def observe(self, worker: int | None) -> Observed:
        """What the worker is doing; when the lock's connection is lost, that is said instead."""
        if worker is None or self._connection is None:
            return Observed()
        if self._connection.invalidated:
            return _LOST
        try:
            return observed(self._connection, worker)
        except exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return _LOST

    def cancel(self, worker: int | None) -> None:
        """Cancel what the worker's session is doing; nothing if it does nothing any more."""
        if worker is not None and self._connection and not self._connection.invalidated:
            own(self._connection, "SELECT pg_cancel_backend(:worker)", {"worker": worker})

    def release(self) -> None:
        """Give it back by closing the connection. Does nothing a second time."""
        connection, self._connection = self._connection, None
        self._is_checked = self._is_ours = False
        if connection is not None:
            connection.close()

    def _open(self) -> sa.Connection:
        self._connection = connect_aside(self._engine)
        self._key = key_of(self._engine.dialect, self._version_table)
        return self._connection


_LOST = Observed(
    detail="not observed any more: the lock's connection is lost, the work itself goes on"
)


def _words(row: sa.Row[Any]) -> str:
    signed = _NAME.fullmatch(row.application_name or "")
    if signed is None:
        of = f" of user {row.usename}" if row.usename else ""
        return f"PostgreSQL session {row.pid}{of}"
    since, process, host = signed.groups()
    seconds = max(row.now - int(since), 0)
    return f"process {process} on {host}, since {seconds} s (PostgreSQL session {row.pid})"
