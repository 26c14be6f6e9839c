"""PostgreSQL: what its schema changes wait for, what they leave behind, and what errors mean."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.config_sections import MigrationsConfig

from . import (
    Backend,
    Kind,
    Lock,
    cannot_be_found_out,
    concurrent_index,
    own,
    postgresql_statements,
    take_mark,
)
from .postgresql_lock import (
    MARK,
    STAY,
    PostgreSQLLock,
    give_back,
    key_of,
    orphan,
    set_all,
    try_take,
)

_NOTICE_A_KILLED_CLIENT = "client_connection_check_interval"
"""Makes the server look, in the middle of a statement, whether anybody still waits for it."""

_TRANSIENT = frozenset({"55P03", "40P01", "40001"})
"""Lock not available, deadlock, serialization failure. A statement timeout would come again."""

_INVALID_VALUE = "22023"

_IS_THERE = frozenset({"42P07", "42710", "42701", "42P06", "42P04", "42723"})
_IS_GONE = frozenset({"42704", "42P01", "42703", "42883", "3F000", "3D000"})
_DONE_ALREADY = {
    "CREATE": _IS_THERE,
    "ALTER ADD": _IS_THERE,
    "DROP": _IS_GONE,
    "ALTER DROP": _IS_GONE - {"42P01"},  # that is the table
    "ALTER RENAME": _IS_GONE,
    "ALTER DETACH": frozenset({"42P01"}),
}
"""SQLSTATEs by what a statement does."""

_STRONG_LOCK = """
    SELECT EXISTS (
        SELECT 1 FROM pg_catalog.pg_locks
        WHERE pid = pg_backend_pid() AND granted AND locktype = 'relation' AND mode IN
            ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    )
"""


class PostgreSQL(Backend):
    """PostgreSQL by psycopg 3 or psycopg2, whose schema changes roll back with their transaction.

    One object serves one connection, from one thread.
    """

    def __init__(self, settings: MigrationsConfig) -> None:
        super().__init__(settings)
        self._are_lifted = False

    def kind(self, statement: str) -> Kind:
        """How this statement stands to transactions: see :mod:`.postgresql_statements`."""
        return postgresql_statements.kind(statement)

    def lock(self, engine: sa.Engine, version_table: str) -> Lock:
        """An advisory lock on a connection beside the engine's pool. Nothing is opened yet."""
        return PostgreSQLLock(engine, version_table)

    @contextmanager
    def session(self, connection: sa.Connection, version_table: str) -> Generator[None]:
        """Time limits and the worker's mark for a whole run; both are put back on leaving.

        Waits, as long as a runner may, for a session that a killed run has left at work. Leaves no
        transaction open. If the connection is lost on the way, there is nothing to put back.

        :raises RunnerBusy: that session goes on longer.
        """
        key = key_of(connection.dialect, version_table)
        limits = {**STAY, **self._limits(), "transaction_timeout": "0"}
        before = _settings(connection, [*limits, _NOTICE_A_KILLED_CLIENT, "application_name"])
        self._take_mark(connection, key)
        try:
            set_all(connection, limits)
            connection.commit()
            _notice_a_killed_client(connection)
            yield
        finally:
            _leave(connection, key, before)

    def limit(self, connection: sa.Connection) -> None:
        """Set the time limits anew: a revision may have changed them."""
        set_all(connection, self._limits())

    def worker_id(self, connection: sa.Connection) -> int | None:
        """The process id of the connection's server session."""
        number: int = own(connection, "SELECT pg_backend_pid()").scalar_one()
        return number

    def before_statement(self, connection: sa.Connection, statement: str) -> None:
        """Let a constraint be validated as long as it takes, if the transaction blocks nobody."""
        self._limit_again(connection)
        if postgresql_statements.validates(statement):
            blocks_others: bool = own(connection, _STRONG_LOCK).scalar_one()
            if not blocks_others:
                self._lift(connection, "statement_timeout")

    def after_statement(self, connection: sa.Connection, statement: str) -> None:
        """Put the limit back that :meth:`before_statement` has lifted."""
        self._limit_again(connection)

    def before_alone(self, connection: sa.Connection, statement: str) -> str:
        """Drop what an earlier try has left unusable; lift the limits if it blocks nobody.

        A concurrent index waits for older transactions, which ``lock_timeout`` would count too.

        :return: the number of the index that has the name already.
        """
        if postgresql_statements.blocks_nobody(statement):
            self._lift(connection, "lock_timeout", "statement_timeout")
        concurrent_index.drop_leftovers(connection, statement)
        return concurrent_index.fingerprint(connection, statement)

    def after_alone(self, connection: sa.Connection, statement: str) -> None:
        """Assert that a concurrent index can be used.

        :raises RevisionFailed: it can't.
        """
        concurrent_index.assert_valid(connection, statement)

    def alone_ended(self, connection: sa.Connection, statement: str) -> None:
        """Put the limits back, and drop what a failed concurrent index has left, if that is quick.

        What can't be dropped within ``lock_timeout`` is left to the next run's
        :meth:`before_alone`.
        """
        self._limit_again(connection)
        try:
            concurrent_index.drop_leftovers(connection, statement)
        except exc.DBAPIError as error:
            if not self.is_transient(error):
                raise

    def was_done(self, connection: sa.Connection, statement: str, fingerprint: str) -> bool:
        """Whether a concurrent index was made, or dropped, though its run was killed.

        False for all other statements: they can be repeated, or :meth:`is_done_already` tells.

        :raises RevisionFailed: it is a CALL, or a DO that commits.
        """
        if not self.fails_whole(statement):
            raise cannot_be_found_out(statement)
        return concurrent_index.was_done(connection, statement, fingerprint)

    def fails_whole(self, statement: str) -> bool:
        """Whether it commits nothing on the way, as CALL and a DO of that kind can."""
        return postgresql_statements.first_word(statement) not in ("CALL", "DO")

    def is_done_already(self, error: exc.DBAPIError) -> bool:
        """Whether it says "is there already" to a CREATE or ADD, "is not there" to a DROP."""
        what = postgresql_statements.what_it_does(error.statement or "")
        return _sqlstate(error) in _DONE_ALREADY.get(what, ())

    def is_transient(self, error: exc.DBAPIError) -> bool:
        """Whether it is a lock timeout, a deadlock or a serialization failure."""
        return _sqlstate(error) in _TRANSIENT

    def is_denied(self, error: exc.DBAPIError) -> bool:
        """Whether a privilege is missing, or the user may not connect."""
        state = _sqlstate(error)
        return state == "42501" or state.startswith("28")

    def _limits(self) -> dict[str, str]:
        return {
            "lock_timeout": _milliseconds(self.settings.lock_timeout),
            "statement_timeout": _milliseconds(self.settings.statement_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(self.settings.idle_timeout),
        }

    def _lift(self, connection: sa.Connection, *names: str) -> None:
        self._are_lifted = True
        set_all(connection, dict.fromkeys(names, "0"))

    def _limit_again(self, connection: sa.Connection) -> None:
        if self._are_lifted:
            set_all(connection, self._limits())
            self._are_lifted = False

    def _take_mark(self, connection: sa.Connection, key: int) -> None:
        """Wait for the mark without a transaction, for which the other session may be waiting."""
        take_mark(
            connection,
            self.settings.wait,
            lambda: try_take(connection, MARK, key),
            lambda: orphan(connection, key),
        )


def _settings(connection: sa.Connection, names: list[str]) -> dict[str, str]:
    """The session's value of each of these settings that the server knows."""
    rows = own(
        connection,
        "SELECT name, current_setting(name) FROM unnest(CAST(:names AS text[])) AS t (name)"
        " WHERE current_setting(name, true) IS NOT NULL",
        {"names": names},
    )
    found = {row.name: row.current_setting for row in rows}
    connection.commit()
    return found


def _notice_a_killed_client(connection: sa.Connection) -> None:
    try:
        set_all(connection, {_NOTICE_A_KILLED_CLIENT: "2s"})
        connection.commit()
    except exc.DBAPIError as error:
        # The server's system can't look at a socket without reading it. The mark has to do.
        if _sqlstate(error) != _INVALID_VALUE:
            raise
        connection.rollback()


def _leave(connection: sa.Connection, key: int, before: dict[str, str]) -> None:
    if connection.invalidated or connection.closed:
        return
    try:
        connection.rollback()
        set_all(connection, before)
        give_back(connection, MARK, key)
        connection.commit()
    except exc.DBAPIError as error:
        # A session that is lost has taken its settings and its mark with it.
        if not error.connection_invalidated:
            raise


def _milliseconds(seconds: float) -> str:
    """0 stays 0, which is no limit; what is less than a millisecond is one."""
    return str(math.ceil(seconds * 1000))


def _sqlstate(error: exc.DBAPIError) -> str:
    """psycopg 3 and psycopg2 have a name of their own for it."""
    original = error.orig
    return getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or ""
