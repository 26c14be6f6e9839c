"""The connection beneath SQLAlchemy's: not seen by its events, with its errors."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc
from tests.migrations.backends.sqlite_databases import MakeEngine, ours, plain, plain_with_events

from flask_retort.migrations.backends.sqlite_driver import Driver


def test_sqlalchemy_sees_nothing(tmp_path: Path) -> None:
    """No event, and no transaction begun by SQLAlchemy."""
    engine = plain(tmp_path / "a.db")
    said: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)

    with engine.connect() as connection:
        assert Driver(connection).value("SELECT ?", 3) == 3
        assert Driver(connection).value("SELECT 1 WHERE 0") is None
        assert not connection.in_transaction()
    assert said == []
    engine.dispose()


def test_rows_are_tuples_whatever_the_application_likes(tmp_path: Path) -> None:
    """A row factory of the user's is left where it is."""
    engine = plain(tmp_path / "a.db")
    with engine.connect() as connection:
        driver = Driver(connection)
        driver.raw.row_factory = lambda cursor, row: {"row": row}
        assert driver.rows("VALUES (1, 2), (3, 4)") == [(1, 2), (3, 4)]
        driver.raw.row_factory = None
    engine.dispose()


def test_errors_are_sqlalchemys(tmp_path: Path) -> None:
    """With the driver's inside, and the statement."""
    engine = plain(tmp_path / "a.db")
    with engine.connect() as connection:
        with pytest.raises(exc.DBAPIError, match="no such table: a") as raised:
            Driver(connection).rows("SELECT * FROM a")
        assert isinstance(raised.value.orig, sqlite3.OperationalError)
        assert raised.value.statement == "SELECT * FROM a"
    engine.dispose()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (ours, "locked: this thread has begun to write through another connection"),
        (plain, "database is locked"),
        (plain_with_events, "database is locked"),
    ],
)
def test_a_transaction_begins_as_writer(make: MakeEngine, message: str, tmp_path: Path) -> None:
    """Our own connections wait their turn in this process; one begun as reader becomes writer."""
    engine = make(tmp_path / "a.db")
    with engine.connect() as connection, engine.connect() as other:
        connection.begin()
        other.begin()
        driver = Driver(connection)
        driver.begin()
        driver.begin()
        assert driver.in_transaction
        blocked = Driver(other)
        blocked.rows("PRAGMA busy_timeout = 0")
        with pytest.raises(exc.DBAPIError, match=message):
            blocked.begin()
        connection.rollback()
        blocked.begin()
        assert blocked.in_transaction
    engine.dispose()


def test_compiling_changes_nothing(tmp_path: Path) -> None:
    """It only finds out whether the statement, and the triggers behind it, could be run."""
    engine = plain(tmp_path / "a.db")
    table = sa.table("a", sa.column("b"))
    with engine.connect() as connection:
        driver = Driver(connection)
        driver.rows("CREATE TABLE a (b)")
        driver.compile(sa.insert(sa.table("a")))
        assert driver.value("SELECT count(*) FROM a") == 0
        driver.rows("CREATE TRIGGER t AFTER DELETE ON a BEGIN DELETE FROM nowhere; END")
        driver.compile(sa.insert(sa.table("a")))
        with pytest.raises(exc.DBAPIError, match="nowhere"):
            driver.compile(sa.delete(table))
    engine.dispose()
