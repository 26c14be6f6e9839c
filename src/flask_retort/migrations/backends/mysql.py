"""MySQL and MariaDB: time limits, statements that commit, and what a killed one has left."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import ClassVar

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.config_sections import MigrationsConfig

from . import Backend, Kind, Lock, cannot_be_found_out, mysql_fingerprint, own, take_mark
from .mysql_fingerprint import Outcome
from .mysql_lock import MARK, STAY, MySQLLock, lock_name, orphan, try_take
from .mysql_observing import is_mariadb
from .mysql_statements import Statement

_TRANSIENT = frozenset({1020, 1205, 1213, 1412, 3572})
"""Row changed since it was read, lock timeout (of rows and of tables), deadlock, table changed
since the transaction began, and what NOWAIT answers. A statement timeout would come again."""

_DENIED = frozenset({1044, 1045, 1142, 1143, 1227, 1370, 1410, 1419, 1698})

_UNKNOWN_TABLES = frozenset({1051, 4091, 4092})
_ACCOUNT_FAILED = 1396
_NO_SUCH_GRANT = frozenset({1141, 1147, 1403})


class MySQL(Backend):
    """MariaDB 10.6 and newer, and MySQL 8, by PyMySQL or mysqlclient: schema changes commit.

    One object serves one connection, from one thread.

    What a temporary table holds is gone with its session, so statements that create, drop or write
    one whose name they say are run again when a revision goes on after a kill; a temporary table
    that is altered is not altered again.
    """

    ddl_commits: ClassVar[bool] = True

    def __init__(self, settings: MigrationsConfig) -> None:
        super().__init__(settings)
        self._temporary: set[str] = set()
        self._partly_dropped: str | None = None
        self._limit_before: float | None = None

    def kind(self, statement: str) -> Kind:
        """How this statement stands to transactions; what is not known is taken to commit.

        READ too, for they have to be run again in a new session: SET, savepoints, and what
        concerns temporary tables only. A stored function that writes is not seen in a SELECT.
        """
        parsed = Statement(statement)
        kind = parsed.kind
        if parsed.is_temporary and parsed.verb == "CREATE":
            self._temporary.add(parsed.target)
        elif parsed.verb == "DROP" and parsed.object == "TABLE":
            self._temporary -= parsed.names
        elif kind is Kind.WRITE and parsed.written_table in self._temporary:
            return Kind.READ
        return kind

    def lock(self, engine: sa.Engine, version_table: str) -> Lock:
        """A named lock on a connection beside the engine's pool. Nothing is opened yet."""
        return MySQLLock(engine, version_table)

    @contextmanager
    def session(self, connection: sa.Connection, version_table: str) -> Generator[None]:
        """Time limits and the worker's mark for a whole run; both are put back on leaving.

        On MariaDB ``statement_timeout`` (its ``max_statement_time``) holds for schema changes too:
        one that takes longer is rolled back by the server; only a statement that says LOCK=NONE or
        ONLINE, and so blocks nobody, has no limit. MySQL's limit is for SELECT only and is not
        set. Waits, as long as a runner may, for a session in which a killed run's statement goes
        on. Leaves no transaction open. If the connection is lost, there is nothing to put back.

        :raises RunnerBusy: that session goes on longer.
        """
        name = lock_name(connection, MARK, version_table)
        limits = self._limits(connection)
        before = _settings(connection, limits)
        self._take_mark(connection, name)
        try:
            _set(connection, {**limits, "wait_timeout": max(before["wait_timeout"], STAY)})
            connection.commit()
            yield
        finally:
            _leave(connection, name, before)

    def limit(self, connection: sa.Connection) -> None:
        """Set the time limits anew: a revision may have changed them."""
        _set(connection, self._limits(connection))

    def worker_id(self, connection: sa.Connection) -> int | None:
        """The server's number of the connection, that KILL takes."""
        number: int = own(connection, "SELECT CONNECTION_ID()").scalar_one()
        return number

    def before_alone(self, connection: sa.Connection, statement: str) -> str:
        """The definitions of what the statement names, as digests.

        Lifts the statement's time limit where it says itself that it blocks nobody.
        """
        if is_mariadb(connection) and _blocks_nobody(Statement(statement)):
            before = _settings(connection, ["max_statement_time"])
            self._limit_before = before["max_statement_time"]
            _set(connection, {"max_statement_time": 0})
        return mysql_fingerprint.taken(connection, statement)

    def alone_ended(self, connection: sa.Connection, statement: str) -> None:
        """Put back the limit that :meth:`before_alone` has lifted."""
        if self._limit_before is not None:
            _set(connection, {"max_statement_time": self._limit_before})
            self._limit_before = None

    def was_done(self, connection: sa.Connection, statement: str, fingerprint: str) -> bool:
        """Whether a definition that the statement names is another than before it.

        False for what leaves no trace and may be run twice: ANALYZE, OPTIMIZE, GRANT, an ALTER
        that changes nothing; and TRUNCATE, where the user may not see InnoDB's numbers of tables
        (PROCESS privilege). The session's mark has to be ours: then nothing is under way.

        :raises RevisionFailed: it leaves no trace and may not be run twice, such as CALL.
        """
        outcome = mysql_fingerprint.outcome(connection, statement, fingerprint)
        if outcome is Outcome.UNKNOWN:
            raise cannot_be_found_out(statement)
        self._partly_dropped = statement if outcome is Outcome.PARTLY else None
        return outcome is Outcome.DONE

    def fails_whole(self, statement: str) -> bool:
        """Whether it commits nothing on the way, as CALL and several statements at once can."""
        parsed = Statement(statement)
        return not parsed.is_several and parsed.verb not in ("CALL", "EXECUTE", "BEGIN")

    def is_done_already(self, error: exc.DBAPIError) -> bool:
        """Whether it is about what :meth:`was_done` can't see: accounts, grants, half a DROP.

        "Exists already" and the like are no such errors: a definition that is as it was before
        the statement says for certain that it was there before, and not made by the statement.
        """
        number, text = _number(error), error.statement or ""
        if number in _UNKNOWN_TABLES:
            return text == self._partly_dropped
        statement = Statement(text)
        if number == _ACCOUNT_FAILED:
            return statement.verb in ("CREATE", "DROP", "RENAME")
        return number in _NO_SUCH_GRANT and statement.verb == "REVOKE"

    def is_transient(self, error: exc.DBAPIError) -> bool:
        """Whether it is a lock timeout, a deadlock or a row that another has changed."""
        return _number(error) in _TRANSIENT

    def is_denied(self, error: exc.DBAPIError) -> bool:
        """Whether a privilege is missing, or the user may not connect."""
        return _number(error) in _DENIED

    def _limits(self, connection: sa.Connection) -> dict[str, float]:
        """The servers count the first two in whole seconds, of which they take one at least."""
        lock = max(math.ceil(self.settings.lock_timeout), 1)
        limits: dict[str, float] = {"lock_wait_timeout": lock, "innodb_lock_wait_timeout": lock}
        if is_mariadb(connection):
            limits["max_statement_time"] = self.settings.statement_timeout
            limits["idle_transaction_timeout"] = math.ceil(self.settings.idle_timeout)
        return limits

    def _take_mark(self, connection: sa.Connection, name: str) -> None:
        """Wait for the mark without a transaction, for which the other session may be waiting."""
        take_mark(
            connection,
            self.settings.wait,
            lambda: try_take(connection, name),
            lambda: orphan(connection, name),
        )


def _settings(
    connection: sa.Connection, names: Mapping[str, float] | list[str]
) -> dict[str, float]:
    """The session's values of these settings, and of wait_timeout."""
    asked = [*names, "wait_timeout"]
    columns = ", ".join(f"@@SESSION.{name}" for name in asked)
    row = own(connection, f"SELECT {columns}").one()
    return dict(zip(asked, tuple(row), strict=True))


def _set(connection: sa.Connection, values: Mapping[str, float]) -> None:
    assignments = ", ".join(f"SESSION {name} = :{name}" for name in values)
    own(connection, f"SET {assignments}", values)


def _leave(connection: sa.Connection, mark: str, before: Mapping[str, float]) -> None:
    if connection.invalidated or connection.closed:
        return
    try:
        connection.rollback()
        own(connection, "UNLOCK TABLES")
        _set(connection, before)
        own(connection, "SELECT RELEASE_LOCK(:name)", {"name": mark})
        connection.commit()
    except exc.DBAPIError as error:
        # A session that is lost has taken its settings and its mark with it.
        if not error.connection_invalidated:
            raise


def _blocks_nobody(statement: Statement) -> bool:
    """Whether the server refuses to carry it out in a way that keeps others waiting."""
    return (
        statement.says("LOCK", "=", "NONE")
        or statement.says("LOCK", "NONE")
        or (statement.verb in ("ALTER", "CREATE", "DROP") and statement.says("ONLINE"))
    )


def _number(error: exc.DBAPIError) -> object:
    """The server's number of an error; PyMySQL and mysqlclient have it in the same place."""
    return error.orig.args[0] if error.orig is not None and error.orig.args else None
