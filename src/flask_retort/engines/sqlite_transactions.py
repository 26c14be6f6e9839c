"""Connections of Python's sqlite3 whose transactions begin with the first write, as writers."""

from __future__ import annotations

import functools
import re
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any, Self, cast

from .write_lock import WriteLock, lock_for

_WRITES_ROWS = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE"))
_WRITES = _WRITES_ROWS | {"CREATE", "DROP", "ALTER", "REINDEX", "ANALYZE", "SAVEPOINT"}
_PLAIN_READS = frozenset(("SELECT", "select", "PRAGMA"))
_SQLITE_DECIDES = frozenset((None, "DEFERRED"))
BEGIN_AS_WRITER = "BEGIN IMMEDIATE /* as writer */"
"""What a cursor of ours takes for a call of :meth:`TransactionalConnection.before_write`."""

_execute = sqlite3.Cursor.execute
_executemany = sqlite3.Cursor.executemany
_executescript = sqlite3.Cursor.executescript


class TransactionalConnection(sqlite3.Connection):
    """A sqlite3 connection that begins a transaction at its first writing statement, as a writer.

    Given to the driver as ``factory``. Reads outside a transaction take none. INSERT, UPDATE,
    DELETE, REPLACE, WITH in front of one of them, statements that change the schema, and SAVEPOINT
    first wait their turn among this process's writers of the same file, then run ``BEGIN
    IMMEDIATE``; so the transaction can't meet another writer later, where SQLite could only fail it
    ("database is locked"). The turn ends with the transaction. The driver by itself begins no
    transaction before SAVEPOINT or a change of the schema, so that releasing the savepoint would
    commit.

    With ``isolation_level`` None (SQLAlchemy's AUTOCOMMIT) or "DEFERRED", and with the argument
    ``autocommit`` of Python 3.12, the driver and the caller decide.
    """

    def __init__(self, database: Any, timeout: float = 5.0, **kwargs: Any) -> None:
        super().__init__(database, timeout=timeout, **kwargs)
        self.timeout = timeout
        """Seconds to wait for the turn of writing; SQLite keeps its own busy timeout beside it."""
        self._lock: WriteLock | None = None
        self._holds_lock = False

    def cursor(self, factory: Any = None) -> Any:
        """A new cursor, ours unless another class is given."""
        return super().cursor(TransactionalCursor if factory is None else factory)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement with a new cursor."""
        return cast(sqlite3.Cursor, self.cursor().execute(sql, parameters))

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute one statement for each set of parameters with a new cursor."""
        return cast(sqlite3.Cursor, self.cursor().executemany(sql, parameters))

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """Commit, then run the script with a new cursor."""
        return cast(sqlite3.Cursor, self.cursor().executescript(sql_script))

    def commit(self) -> None:
        """Commit, and end the turn of writing. A commit that fails leaves both as they are."""
        super().commit()
        self.after_statement()

    def rollback(self) -> None:
        """Roll back, and end the turn of writing."""
        try:
            super().rollback()
        finally:
            self.after_statement()

    def close(self) -> None:
        """Close, which rolls back, and end the turn of writing."""
        try:
            super().close()
        finally:
            self._release()

    def __exit__(self, *exc_info: Any) -> Any:
        try:
            return super().__exit__(*exc_info)
        finally:
            self.after_statement()

    def before_write(self) -> None:
        """Begin a transaction as writer, unless one is active or the driver is to decide.

        :raises sqlite3.OperationalError: another writer did not end within the busy timeout.
        """
        level = self.isolation_level
        if level in _SQLITE_DECIDES or self.in_transaction or not _is_legacy(self):
            return
        lock = self._lock_of_file()
        if lock is not None:
            lock.acquire(self, self.timeout)
            self._holds_lock = True
        try:
            self._begin("EXCLUSIVE" if level == "EXCLUSIVE" else "IMMEDIATE")
        except BaseException:
            self._release()
            raise

    def _begin(self, kind: str) -> None:
        try:
            super().execute(f"BEGIN {kind}")
        except sqlite3.OperationalError as error:
            if primary_code(error) == sqlite3.SQLITE_READONLY:
                # A savepoint around reads is fine; a write will fail by itself.
                super().execute("BEGIN")
                self._release()
            elif error.sqlite_errorcode == sqlite3.SQLITE_BUSY_SNAPSHOT:
                raise _unfinished_select(error) from error
            else:
                raise

    def after_statement(self) -> None:
        """End the turn of writing if the transaction has ended."""
        if self._holds_lock and not self.in_transaction:
            self._release()

    def _release(self) -> None:
        if self._holds_lock and self._lock is not None:
            self._holds_lock = False
            self._lock.release(self)

    def _lock_of_file(self) -> WriteLock | None:
        """None for a database in memory: only its own connection can reach it."""
        if self._lock is None:
            path = super().execute("PRAGMA database_list").fetchone()[2]
            self._lock = lock_for(path) if path else None
        return self._lock


class TransactionalCursor(sqlite3.Cursor):
    """A cursor of :class:`TransactionalConnection`."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        """Execute one statement, in a transaction if it writes."""
        if sql[:6] in _PLAIN_READS:
            _execute(self, sql, parameters)
        elif sql == BEGIN_AS_WRITER:
            cast(TransactionalConnection, self.connection).before_write()
        else:
            self._run(_execute, sql, parameters)
        return self

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
        """Execute one statement for each set of parameters, in a transaction if it writes."""
        self._run(_executemany, sql, parameters)
        return self

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        """Commit, then run the script; without BEGIN, each statement in it is a transaction."""
        try:
            return _executescript(self, sql_script)
        finally:
            cast(TransactionalConnection, self.connection).after_statement()

    def _run(
        self, run: Callable[[sqlite3.Cursor, str, Any], object], sql: str, parameters: Any
    ) -> None:
        connection = cast(TransactionalConnection, self.connection)
        if not connection.in_transaction and writes(sql):
            connection.before_write()
        try:
            run(self, sql, parameters)
        finally:
            # The statement can have been COMMIT, or an error on which SQLite rolled back.
            connection.after_statement()


def writes(sql: str) -> bool:
    """Whether the statement changes rows or the schema, or opens a savepoint.

    Settings (PRAGMA), ATTACH, VACUUM and the words of transactions themselves are not writes.
    """
    return _writes_cached(sql) if len(sql) <= _LONGEST_CACHED else _writes(sql)


def _writes(sql: str) -> bool:
    verb = _verb(sql)
    if verb == "WITH":
        return _verb_after_with(sql) in _WRITES_ROWS
    return verb in _WRITES


_LONGEST_CACHED = 4000
_writes_cached = functools.lru_cache(maxsize=512)(_writes)


def primary_code(error: sqlite3.Error) -> int | None:
    """SQLite's result code without its extension; None where the error is the driver's own."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


_SPACE = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$)|;)*"
_FIRST_WORD = re.compile(_SPACE + r"([A-Za-z]+)", re.DOTALL)
_TOKEN = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]"
    r"|--[^\n]*|/\*.*?(?:\*/|$)|(?P<mark>[()])|(?P<word>\w+)",
    re.DOTALL,
)
_MAIN_VERBS = _WRITES_ROWS | {"SELECT", "VALUES"}


def _verb(sql: str) -> str:
    found = _FIRST_WORD.match(sql)
    return found[1].upper() if found else ""


def _verb_after_with(sql: str) -> str:
    """The verb behind the common table expressions: the first one outside all parentheses."""
    depth = 0
    for token in _TOKEN.finditer(sql):
        if token["mark"]:
            depth += 1 if token["mark"] == "(" else -1
        elif depth == 0 and token["word"] and token["word"].upper() in _MAIN_VERBS:
            return token["word"].upper()
    return ""


def _is_legacy(connection: sqlite3.Connection) -> bool:
    """Whether ``isolation_level`` counts, and not the ``autocommit`` attribute of Python 3.12."""
    return getattr(connection, "autocommit", -1) == -1


def _unfinished_select(error: sqlite3.OperationalError) -> sqlite3.OperationalError:
    clear = sqlite3.OperationalError(
        "database is locked: this connection is still reading rows of a SELECT, and another has"
        " written since. Fetch all rows, or close the result, before the first write."
        " [retort:database-locked]"
    )
    clear.sqlite_errorcode = error.sqlite_errorcode
    clear.sqlite_errorname = error.sqlite_errorname
    return clear
