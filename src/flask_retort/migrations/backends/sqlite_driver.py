"""SQLite's connection beneath SQLAlchemy's, for what SQLAlchemy must not take part in."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.engines.sqlite_transactions import TransactionalConnection


class Driver:
    """Speaks to the driver itself: no event of SQLAlchemy's, and no transaction begun by one.

    Errors come as SQLAlchemy's ``DBAPIError``, like those of other statements.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self.raw: Any = connection.connection.dbapi_connection
        """The driver's connection."""
        self.quoted = connection.dialect.identifier_preparer.quote_identifier
        """A name as it has to be written in a statement."""

    @property
    def in_transaction(self) -> bool:
        """Whether SQLite has a transaction open."""
        return bool(self.raw.in_transaction)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute a statement; all its rows."""
        with _wrapped(statement):
            cursor = self.raw.cursor()
            cursor.row_factory = None
            try:
                return list(cursor.execute(statement, values))
            finally:
                cursor.close()

    def value(self, statement: str, *values: object) -> Any:
        """Execute a statement; the first value of its first row, None where there is no row."""
        found = self.rows(statement, *values)
        return found[0][0] if found else None

    def compile(self, statement: sa.UpdateBase | sa.Select[Any]) -> None:
        """Let SQLite compile a statement, with all triggers that it would fire, and not run it."""
        text = statement.compile(dialect=_DIALECT).string
        self.rows(f"EXPLAIN {text}")

    def begin(self) -> None:
        """Begin a transaction as writer, or become the writer of the one that is open."""
        if self.in_transaction:
            # Usually a listener of the engine has begun it, and as reader. A write of what is there
            # already is enough.
            self.rows(f"PRAGMA user_version = {self.value('PRAGMA user_version')}")
            return
        with _wrapped("BEGIN IMMEDIATE"):
            if isinstance(self.raw, TransactionalConnection):
                # Waits its turn among the writers of this process.
                self.raw.before_write()
            if not self.in_transaction:
                self.raw.execute("BEGIN IMMEDIATE")


_DIALECT = sa.make_url("sqlite://").get_dialect()()


@contextmanager
def _wrapped(statement: str) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise exc.DBAPIError(statement, None, error) from error
