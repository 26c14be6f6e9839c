"""The right to migrate a MySQL or MariaDB database: a named lock of a session beside the work."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.errors import BehindPooler, MigrationError

from . import Observed, own
from .aside import connect_aside
from .mysql_observing import Observer, session_in_words

LOCK = "flask-db"
"""Begins the name of the lock that a runner has, on a connection beside."""

MARK = "flask-db-work"
"""Begins the name of the lock that the working session itself has. It outlives a killed process for
as long as the server goes on with its statement."""

STAY = 604_800
"""Seconds, a week: how long a session may be idle that has to be there when it is needed. If its
machine loses power, the operating system of the server finds out, after two hours by default."""

_LONGEST_NAME = 64
_REFUSALS = (1105, 1235)
_NO_SUCH_SESSION = 1094
_LOST = Observed(
    detail="not observed any more: the lock's connection is lost, the work itself goes on"
)


def lock_name(connection: sa.Connection, purpose: str, version_table: str) -> str:
    """The name of a lock for one version table of one database; names are the server's.

    The server compares names without regard to case, so a name with capitals is hashed too.
    """
    database = own(connection, "SELECT DATABASE()").scalar()
    what = f"{database or ''}.{version_table}"
    name = f"{purpose} {what}"
    if len(name) <= _LONGEST_NAME and name.isascii() and name == name.lower():
        return name
    return f"{purpose} {hashlib.sha256(what.encode()).hexdigest()[:40]}"


def try_take(connection: sa.Connection, name: str) -> bool:
    """Take a lock for the session; never waits.

    :raises MigrationError: the server does not have such locks.
    """
    try:
        taken = own(connection, "SELECT GET_LOCK(:name, 0)", {"name": name}).scalar()
    except exc.DBAPIError as error:
        if error.orig is None or error.orig.args[0] not in _REFUSALS:
            raise
        raise MigrationError(
            "The server refuses GET_LOCK, by which one process at a time migrates a database: it"
            f" says {error.orig.args[-1]!r}. Usually it is a node of a Galera cluster in strict"
            " mode. Set pxc_strict_mode = PERMISSIVE on the node that migrations are run on, and"
            " always run them on that one: a lock holds on its own node only."
        ) from error
    return taken == 1


def session_with(connection: sa.Connection, name: str) -> int | None:
    """The number of the session that has a lock."""
    number: int | None = own(connection, "SELECT IS_USED_LOCK(:name)", {"name": name}).scalar()
    return number


def orphan(connection: sa.Connection, name: str) -> str:
    """Which session has the mark, in words for people; empty where it is free."""
    number = session_with(connection, name)
    if number is None:
        return ""
    return (
        f"{session_in_words(connection, number)}; if its process is gone, the server goes on with"
        f" its last statement, and 'KILL {number}' ends it"
    )


class MySQLLock:
    """A named lock on a connection of its own, beside the engine's pool and in autocommit.

    The server gives it back when the process ends, however it ends. If the connection is lost on
    the way, the mark of the working session still keeps other runners from beginning. In a Galera
    cluster a lock holds on one node: migrations have to be run on the same one.
    """

    def __init__(self, engine: sa.Engine, version_table: str) -> None:
        self._engine = engine
        self._version_table = version_table
        self._connection: sa.Connection | None = None
        self._name = self._mark = ""
        self._is_ours = False
        self._observer = Observer()

    def try_acquire(self) -> bool:
        """Take it if it is free, and no session of a killed run is still at work. Never waits.

        :raises flask_retort.errors.BehindPooler: sessions do not stay with their connections.
        :raises flask_retort.errors.CannotConnect: the server refuses another connection.
        """
        connection = self._connection or self._open()
        if not self._is_ours and try_take(connection, self._name):
            self._check_session(connection)
            self._is_ours = True
        return self._is_ours and session_with(connection, self._mark) is None

    def holder(self) -> str:
        """Who has it: "connection 123 of user app from 10.0.0.4:5543"; empty where it is free.

        User and address are missing where the own user may not see other users' sessions. A
        session that a killed run has left at work is named where the lock is ours or nobody's.
        """
        connection = self._connection or self._open()
        number = None if self._is_ours else session_with(connection, self._name)
        if number is None:
            return orphan(connection, self._mark)
        return session_in_words(connection, number)

    def observe(self, worker: int | None) -> Observed:
        """What the worker is doing; when the lock's connection is lost, that is said instead."""
        if worker is None or self._connection is None:
            return Observed()
        if self._connection.invalidated:
            return _LOST
        try:
            return self._observer.observed(self._connection, worker)
        except exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return _LOST

    def cancel(self, worker: int | None) -> None:
        """Kill the worker's session: the server would go on with a statement nobody waits for."""
        if worker is None or self._connection is None or self._connection.invalidated:
            return
        try:
            own(self._connection, "KILL :worker", {"worker": worker})
        except exc.DBAPIError as error:
            if error.orig is None or error.orig.args[:1] != (_NO_SUCH_SESSION,):
                raise

    def release(self) -> None:
        """Give it back and close the connection. Does nothing a second time."""
        connection, self._connection = self._connection, None
        is_ours, self._is_ours = self._is_ours, False
        if connection is None:
            return
        try:
            if is_ours and not connection.invalidated:
                own(connection, "SELECT RELEASE_LOCK(:name)", {"name": self._name})
        except exc.DBAPIError as error:
            if not error.connection_invalidated:  # a lost one has given it back
                raise
        finally:
            connection.close()

    def _open(self) -> sa.Connection:
        connection = self._connection = connect_aside(self._engine)
        self._name = lock_name(connection, LOCK, self._version_table)
        self._mark = lock_name(connection, MARK, self._version_table)
        # The times that the server tells of transactions are in its own zone.
        own(connection, "SET SESSION wait_timeout = :stay, time_zone = 'SYSTEM'", {"stay": STAY})
        return connection

    def _check_session(self, connection: sa.Connection) -> None:
        number = own(connection, "SELECT CONNECTION_ID()").scalar()
        if session_with(connection, self._name) != number:
            raise BehindPooler(
                "A lock that was just taken belongs to another session of the server: something"
                " between here and the server gives each statement another one. The lock and the"
                " time limits of a migration belong to one session: two runs could be at work at"
                " once. Run 'flask db' with a URL that has the server's own host and port; the"
                " application itself may keep its URL."
            )
