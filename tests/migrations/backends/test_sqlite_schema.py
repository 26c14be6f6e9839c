"""What is read of a table, an index and a trigger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from flask_retort.migrations.backends.sqlite_driver import Driver
from flask_retort.migrations.backends.sqlite_schema import read_part, read_table

SCHEMA = """
CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE "The Children" (
    id INTEGER PRIMARY KEY,
    name TEXT UNIQUE,
    parent_id INTEGER REFERENCES parents (id) ON DELETE SET NULL
);
CREATE INDEX by_name ON "The Children" (lower(name), id DESC);
CREATE TRIGGER born AFTER INSERT ON "The Children" BEGIN SELECT 1; END;
INSERT INTO parents VALUES (8);
"""


@pytest.fixture
def driver() -> Iterator[Driver]:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        driver = Driver(connection)
        driver.raw.executescript(SCHEMA)
        yield driver
    engine.dispose()


def test_a_table_with_all_that_belongs_to_it(driver: Driver) -> None:
    """By a name in any case; the index that SQLite makes for UNIQUE is not a part of its own."""
    table = read_table(driver, "the children")
    assert table is not None
    assert table.name == "The Children"
    assert table.sql.startswith('CREATE TABLE "The Children"')
    assert [(part.kind, part.name) for part in table.parts] == [
        ("index", "by_name"),
        ("trigger", "born"),
    ]
    assert table.actions == {("parent_id", "parents"): ("NO ACTION", "SET NULL")}
    assert table.sequence is None


def test_the_columns_of_an_index(driver: Driver) -> None:
    """In order, with direction and collation; an expression has no name."""
    index = read_part(driver, "index", "BY_NAME")
    assert index is not None
    assert index.columns == ((None, False, "BINARY"), ("id", True, "BINARY"))
    assert index.has_expression
    trigger = read_part(driver, "trigger", "born")
    assert trigger is not None
    assert not trigger.has_expression


def test_the_last_number_of_autoincrement(driver: Driver) -> None:
    """As the table knows it."""
    table = read_table(driver, "parents")
    assert table is not None
    assert table.sequence == 8


def test_what_is_not_there_is_none(driver: Driver) -> None:
    """A table, and a part."""
    assert read_table(driver, "nowhere") is None
    assert read_part(driver, "trigger", "by_name") is None
