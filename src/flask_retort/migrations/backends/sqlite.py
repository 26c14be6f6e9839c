"""SQLite: a whole revision is one transaction, and its foreign keys are checked at the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.config_sections import MigrationsConfig
from flask_retort.engines.sqlite_transactions import primary_code
from flask_retort.errors import MigrationError, RevisionFailed

from . import Backend, Kind, Lock
from .sqlite_driver import Driver
from .sqlite_foreign_keys import ForeignKeys
from .sqlite_lock import SQLiteLock
from .sqlite_rebuild import Rebuilds
from .sqlite_text import bare, verb

_READS = frozenset(("", "EXPLAIN", "SELECT", "VALUES"))
_OF_THE_CONNECTION = frozenset(("ATTACH", "DETACH", "PRAGMA", "RELEASE", "SAVEPOINT"))
"""They have to be said again by a run that goes on where another one ended."""
_ALONE = frozenset(("BEGIN", "COMMIT", "END", "ROLLBACK", "VACUUM"))
_TRANSIENT = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))
_DENIED = frozenset((sqlite3.SQLITE_AUTH, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY))
_LEGACY = -1
"""``sqlite3.LEGACY_TRANSACTION_CONTROL`` of Python 3.12."""


class SQLite(Backend):
    """For Python's sqlite3, with our connections or its own. One object serves one connection."""

    begin_word: ClassVar[str] = "BEGIN IMMEDIATE"

    def __init__(self, settings: MigrationsConfig) -> None:
        super().__init__(settings)
        self._are_enforced = False
        self._legacy_alter_table = 0
        self._forget()

    def _forget(self) -> None:
        self._foreign_keys = ForeignKeys()
        self._rebuilds = Rebuilds()

    def kind(self, statement: str) -> Kind:
        """How this statement stands to transactions."""
        word = verb(statement)
        if word in _READS or word in _OF_THE_CONNECTION or _is_rollback_to(statement):
            return Kind.READ
        return Kind.ALONE if word in _ALONE else Kind.WRITE

    def lock(self, engine: sa.Engine, version_table: str) -> Lock:
        """The lock of this engine's database: ``<database file>.migrating`` beside it."""
        return SQLiteLock(engine)

    @contextmanager
    def session(self, connection: sa.Connection, version_table: str) -> Generator[None]:
        """Foreign keys off, the driver's own transactions as SQLAlchemy knows them, patience.

        The pragma does nothing inside a transaction; and with foreign keys on, the rebuild of a
        table would delete or change the rows that refer to it.
        """
        driver = Driver(connection)
        taken_over = _take_over(driver.raw)
        settings = {
            name: driver.value(f"PRAGMA {name}")
            for name in ("foreign_keys", "legacy_alter_table", "busy_timeout")
        }
        self._are_enforced = bool(settings["foreign_keys"])
        self._legacy_alter_table = settings["legacy_alter_table"]
        self._forget()
        try:
            driver.rows("PRAGMA foreign_keys = OFF")
            driver.rows(f"PRAGMA busy_timeout = {round(self.settings.lock_timeout * 1000)}")
            yield
        finally:
            self._forget()
            if _is_still(connection, driver.raw):
                driver.raw.rollback()
                for name, value in settings.items():
                    driver.rows(f"PRAGMA {name} = {value}")
                _hand_back(driver.raw, taken_over)

    def begin(self, connection: sa.Connection) -> None:
        """Begin a transaction as writer, which SQLAlchemy and the driver leave to the first write.

        :raises sqlalchemy.exc.DBAPIError: another writer did not end in time.
        """
        driver = Driver(connection)
        if not driver.in_transaction:
            # An autocommit block may have changed the one, a rename that failed the other.
            driver.rows("PRAGMA foreign_keys = OFF")
            driver.rows(f"PRAGMA legacy_alter_table = {self._legacy_alter_table}")
        driver.begin()
        if driver.value("PRAGMA foreign_keys"):
            raise MigrationError(
                "Foreign keys are on in the transaction of a revision, and can't be switched off"
                " inside it: the rebuild of a table would delete the rows that refer to it. Usually"
                " the engine begins transactions itself, in a listener of SQLAlchemy's 'begin'"
                " event: remove it, this package begins them as writer."
            )

    def before_statement(self, connection: sa.Connection, statement: str) -> None:
        """Note what the statement will change; let a rebuilt table get its name back."""
        driver = Driver(connection)
        if driver.in_transaction and verb(statement) == "ROLLBACK":
            raise _refused()
        if not driver.in_transaction and driver.raw.isolation_level is not None:
            # The revision has committed beneath SQLAlchemy, as the driver's executescript() does.
            self.begin(connection)
        if self._are_enforced:
            self._foreign_keys.before(driver, statement)
        self._rebuilds.before(driver, statement)

    def after_statement(self, connection: sa.Connection, statement: str) -> None:
        """Note what the statement has changed."""
        self._rebuilds.after(Driver(connection), statement)

    def before_commit(self, connection: sa.Connection) -> None:
        """Bring back what rebuilds have lost, then check what foreign keys would have refused.

        :raises RevisionFailed: a row has lost the row it refers to; or a trigger, an index or a
            view was lost and can't be brought back.
        """
        driver = Driver(connection)
        self._rebuilds.finish(driver)
        if self._are_enforced:
            self._foreign_keys.check(driver)
        self._forget()

    def is_transient(self, error: exc.DBAPIError) -> bool:
        """Whether another one is writing, or reading where the journal mode has to wait for it."""
        return _code(error) in _TRANSIENT

    def is_denied(self, error: exc.DBAPIError) -> bool:
        """Whether the database or its folder may not be written."""
        moved = getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DBMOVED
        return _code(error) in _DENIED and not moved


def _is_rollback_to(statement: str) -> bool:
    return verb(statement) == "ROLLBACK" and "TO" in bare(statement).upper().split()[1:3]


def _refused() -> RevisionFailed:
    return RevisionFailed(
        "The revision executes ROLLBACK. That undoes what it did before, which the runner counts as"
        " done, so it is refused, and all that the revision did is rolled back. To undo a part of"
        " it, write 'with op.get_bind().begin_nested() as part:' around that part, and"
        " 'part.rollback()'."
    )


def _code(error: exc.DBAPIError) -> int | None:
    return primary_code(error.orig) if isinstance(error.orig, sqlite3.Error) else None


# --- the driver's own transactions ----------


def _take_over(raw: Any) -> tuple[Any, Any]:
    """Let SQLAlchemy's commit and rollback, and nothing else, end a transaction."""
    autocommit, level = getattr(raw, "autocommit", _LEGACY), raw.isolation_level
    if autocommit != _LEGACY:
        # With False there always is a transaction, in which no setting works; with True, commit()
        # and rollback() do nothing.
        raw.rollback()
        raw.autocommit = True
        raw.autocommit = _LEGACY
    if level is None:
        raw.isolation_level = ""
    return autocommit, level


def _hand_back(raw: Any, taken_over: tuple[Any, Any]) -> None:
    autocommit, raw.isolation_level = taken_over
    if autocommit != _LEGACY:
        raw.autocommit = autocommit


def _is_still(connection: sa.Connection, raw: Any) -> bool:
    """Whether the connection is open, and the one that it was."""
    if connection.closed or connection.invalidated:
        return False
    return connection.connection.dbapi_connection is raw
