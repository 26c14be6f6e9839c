"""What sqlite3's errors say, from a real database each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from flask_retort import errors
from flask_retort.constraints.diagnosis import Diagnosis
from flask_retort.constraints.sqlite import diagnose

TABLES = """
CREATE TABLE t (id INTEGER PRIMARY KEY, email TEXT, n INTEGER NOT NULL, UNIQUE (email, n));
CREATE UNIQUE INDEX "it's low" ON t (lower(email));
CREATE TABLE strict (n INTEGER) STRICT;
CREATE TABLE child (t_id INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER no_nine BEFORE INSERT ON t WHEN new.n = 9 BEGIN SELECT RAISE(ABORT, 'no'); END;
INSERT INTO t VALUES (1, 'a', 1);
"""


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES + "PRAGMA foreign_keys = ON")
        yield connection


def told(database: sqlite3.Connection, *statement: object) -> Diagnosis | None:
    with pytest.raises((sqlite3.Error, OverflowError)) as info:
        database.execute(*statement)  # type: ignore[arg-type] # text, then parameters
    return diagnose(info.value)


def test_columns_are_named(database: sqlite3.Connection) -> None:
    """Table and columns stand in the message."""
    found = told(database, "INSERT INTO t VALUES (2, 'a', 1)")
    assert found is not None
    assert (found.kind, found.constraint) == (errors.UniqueViolation, "it's low")
    database.execute('DROP INDEX "it\'s low"')
    found = told(database, "INSERT INTO t VALUES (2, 'a', 1)")
    assert found is not None
    assert (found.table, found.columns) == ("t", ("email", "n"))
    assert found.said == "UNIQUE constraint failed: t.email, t.n"


def test_a_strict_table_refuses_another_type(database: sqlite3.Connection) -> None:
    """It names the column."""
    found = told(database, "INSERT INTO strict VALUES ('x')")
    assert found is not None
    assert (found.kind, found.table, found.columns) == (errors.OutOfRange, "strict", ("n",))


@pytest.mark.parametrize("key", ["'x'", "?"])
def test_what_is_no_key_is_out_of_range(database: sqlite3.Connection, key: str) -> None:
    """SQLite's own refusal, and the driver's of an integer of more than 64 bits."""
    found = told(database, f"INSERT INTO t VALUES ({key}, 'b', 2)", (1 << 63,) * key.count("?"))
    assert found is not None
    assert found.kind is errors.OutOfRange


def test_a_value_can_be_too_long_for_the_database(database: sqlite3.Connection) -> None:
    """By default a milliard bytes; no column has a limit of its own."""
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
    found = told(database, "INSERT INTO t VALUES (2, ?, 2)", ("x" * 1001,))
    assert found is not None
    assert found.kind is errors.ValueTooLong


def test_a_foreign_key_that_fails_at_commit_says_nothing(database: sqlite3.Connection) -> None:
    """Only the kind is known: not the table, nor which of the two rows is wrong."""
    database.execute("INSERT INTO child VALUES (9)")
    with pytest.raises(sqlite3.IntegrityError) as info:
        database.commit()
    found = diagnose(info.value)
    assert found is not None
    assert found.kind is errors.ForeignKeyViolation
    assert (found.direction, found.table, found.columns) == (None, None, ())


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM nowhere", "INSERT INTO t VALUES (2, 'b', 9)", "SELEC"]
)
def test_other_errors_are_none_of_these(database: sqlite3.Connection, statement: str) -> None:
    """A missing table, a trigger's own refusal and a typing error stay what they are."""
    assert told(database, statement) is None


def test_an_error_of_the_driver_itself_is_none_of_these() -> None:
    """It has no code."""
    assert diagnose(sqlite3.ProgrammingError("Cannot operate on a closed database.")) is None
