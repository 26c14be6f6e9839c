"""What a revision may do while SQLite's foreign keys are off, and what it may not leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.migrations.backends.sqlite_databases import dump, execute, ours, plain, rows
from tests.migrations.scripts import History, migrate

from flask_retort.errors import RevisionFailed
from flask_retort.migrations.backends import sqlite_foreign_keys
from flask_retort.migrations.backends.sqlite_driver import Driver

SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, code TEXT);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER REFERENCES customers (id) ON DELETE CASCADE
);
CREATE TABLE notes (
    name TEXT PRIMARY KEY, customer_id INTEGER REFERENCES customers (id)
) WITHOUT ROWID;
INSERT INTO customers (id) VALUES (1), (2), (3);
INSERT INTO orders VALUES (11, 1), (12, 1), (13, 2), (14, 3);
INSERT INTO notes VALUES ('a', 3);
"""
ORPHANS = "INSERT INTO orders VALUES (91, 77), (92, 77)"
BROKEN = "CREATE TABLE cards (code TEXT REFERENCES customers (code))"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    execute(path, SCHEMA)
    return path


@pytest.fixture(params=[ours, plain])
def engine(request: pytest.FixtureRequest, path: Path) -> Iterator[sa.Engine]:
    engine = request.param(path)
    yield engine
    engine.dispose()


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def executed(*statements: str) -> str:
    return "\n".join(f'op.execute("""{statement}""")' for statement in statements)


def test_rows_without_their_parent_are_refused(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """The message names both tables, how many rows, which, and why SQLite did not do it."""
    history.add(executed("DELETE FROM customers WHERE id = 1"))
    before = dump(path)
    with pytest.raises(
        RevisionFailed,
        match=r"leaves 2 rows of orders that refer to rows of customers which are not there \(such"
        r" as rowid 11, 12\)\. Foreign keys are off .* has to delete or change the rows of orders"
        r".*\[retort:revision-failed\]",
    ):
        migrate(engine, history)
    assert dump(path) == before


def test_all_tables_are_named(engine: sa.Engine, history: History) -> None:
    """Also one without rowids."""
    history.add(executed("DELETE FROM customers WHERE id = 3"))
    with pytest.raises(
        RevisionFailed,
        match=r"1 row of notes that refer to rows of customers which are not there; 1 row of or",
    ):
        migrate(engine, history)


def test_a_revision_that_takes_care_of_the_children_passes(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """In whatever order."""
    history.add(
        executed(
            "DELETE FROM customers WHERE id = 1",
            "DELETE FROM orders WHERE customer_id = 1",
            "UPDATE orders SET customer_id = NULL WHERE customer_id = 2",
            "DELETE FROM customers WHERE id = 2",
        )
    )
    migrate(engine, history)
    assert rows(path, "SELECT count(*) FROM orders") == [(2,)]


def test_a_dropped_parent_is_noticed(engine: sa.Engine, history: History) -> None:
    """Dropping a table is the deletion of its rows."""
    history.add('op.drop_table("customers")')
    with pytest.raises(RevisionFailed, match="4 rows of orders"):
        migrate(engine, history)


def test_what_was_wrong_before_is_in_nobodys_way(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """Old rows without parents, and keys that SQLite can't check, stop no revision."""
    execute(path, f"{ORPHANS}; {BROKEN}; INSERT INTO cards VALUES ('x')")
    history.add(executed("UPDATE customers SET code = 'a'", "DELETE FROM orders WHERE id = 11"))
    migrate(engine, history)
    history.add(executed("DELETE FROM customers WHERE id = 1"))
    with pytest.raises(RevisionFailed, match="1 row of orders"):
        migrate(engine, history)


def test_each_revision_answers_for_itself(engine: sa.Engine, path: Path, history: History) -> None:
    """What the application leaves between two runs is not the next revision's fault."""
    history.add(executed("UPDATE customers SET code = 'a'"))
    migrate(engine, history)
    execute(path, ORPHANS)
    history.add(executed("UPDATE customers SET code = 'b'"))
    migrate(engine, history)


@pytest.mark.parametrize("table", ["orders", "customers"])
def test_old_rows_without_parents_follow_their_table(
    engine: sa.Engine, path: Path, history: History, table: str
) -> None:
    """A table that only gets another name has no new ones."""
    execute(path, ORPHANS)
    history.add(f'op.rename_table("{table}", "others")')
    migrate(engine, history)


def test_one_for_another_is_no_excuse(engine: sa.Engine, path: Path, history: History) -> None:
    """Correcting rows of one table does not allow to break those of another."""
    execute(path, "INSERT INTO notes VALUES ('b', 77), ('c', 77), ('d', 77)")
    history.add(
        executed("DELETE FROM notes WHERE customer_id = 77", "DELETE FROM customers WHERE id = 2")
    )
    with pytest.raises(RevisionFailed, match="1 row of orders"):
        migrate(engine, history)


def test_a_key_that_can_not_be_checked_is_refused(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """Every INSERT would fail; with an index made in the same revision, none does."""
    history.add(executed(BROKEN))
    before = dump(path)
    with pytest.raises(
        RevisionFailed,
        match=r'foreign key mismatch - "cards" referencing "customers"\. Every INSERT',
    ):
        migrate(engine, history)
    assert dump(path) == before
    history.write(1, executed(BROKEN, "CREATE UNIQUE INDEX codes ON customers (code)"))
    migrate(engine, history)


def test_where_foreign_keys_are_off_nothing_is_checked(path: Path, history: History) -> None:
    """An application that does not use them is not held to them."""
    engines = [sa.create_engine(f"sqlite:///{path}"), ours(path, foreign_keys=False)]
    for number, engine in enumerate(engines, start=2):
        history.add(executed(f"DELETE FROM customers WHERE id = {number}"))
        migrate(engine, history)
        engine.dispose()
    assert rows(path, "SELECT count(*) FROM orders") == [(4,)]


@pytest.mark.parametrize(
    ("statement", "is_looked_at"),
    [
        ("CREATE TABLE more (id INTEGER)", False),
        (" -- first\n create unique index i ON orders (id)", False),
        ("ALTER TABLE orders ADD COLUMN x TEXT", False),
        ('ALTER TABLE "orders" ADD x TEXT', False),
        ("CREATE VIEW v AS SELECT 1", False),
        ("ALTER TABLE orders ADD COLUMN c INTEGER DEFAULT 77 REFERENCES customers (id)", True),
        ("ALTER TABLE orders RENAME TO o", True),
        ("UPDATE orders SET id = id", True),
        ("DROP TABLE notes", True),
    ],
)
def test_rows_are_read_only_where_they_can_have_changed(
    path: Path,
    history: History,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    *,
    is_looked_at: bool,
) -> None:
    """A new table or index costs no look at all rows."""
    looks: list[Driver] = []
    look = sqlite_foreign_keys._orphans

    def noted(driver: Driver) -> dict[tuple[str, str], int]:
        looks.append(driver)
        return look(driver)

    monkeypatch.setattr(sqlite_foreign_keys, "_orphans", noted)
    engine = ours(path)
    history.add(executed(statement))
    try:
        migrate(engine, history)
    except RevisionFailed as error:
        assert "4 rows of orders that refer to rows of customers" in str(error)  # noqa: PT017
    engine.dispose()
    assert bool(looks) is is_looked_at


def test_a_column_with_a_default_that_refers_to_nothing_is_refused(
    engine: sa.Engine, history: History
) -> None:
    """With foreign keys on SQLite itself refuses it."""
    history.add(
        executed("ALTER TABLE orders ADD COLUMN c INTEGER DEFAULT 77 REFERENCES customers (id)")
    )
    with pytest.raises(RevisionFailed, match="4 rows of orders"):
        migrate(engine, history)
