"""Indexes that are built beside others' work: what a failed one leaves is found and dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import Disposed

from flask_retort.errors import RevisionFailed
from flask_retort.migrations.backends.concurrent_index import (
    assert_valid,
    drop_leftovers,
    fingerprint,
    was_done,
)

NAMES = [
    ("ix_item_n", "item"),
    ("IX_Item_N", "Item"),
    ('"Ix Item"', "item"),
    ('"a ""quoted"" : name"', "public.item"),
    ('"100%s :of %(it)s"', '"public"."item"'),
    ("ix", '"Odd Schema"."Odd.Table"'),
    ("ix_" + "x" * 100, "item"),
]
DRIVERS = ["postgresql+psycopg", "postgresql+psycopg2"]


@pytest.fixture(params=DRIVERS)
def connection(
    request: pytest.FixtureRequest, postgresql_url: sa.URL, disposed: Disposed
) -> Iterator[sa.Connection]:
    """In autocommit; two tables whose rows can't be unique."""
    engine = disposed(sa.create_engine(postgresql_url.set(drivername=request.param)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        execute(connection, 'CREATE SCHEMA "Odd Schema"')
        for table in ("item", '"Odd Schema"."Odd.Table"'):
            execute(connection, f"CREATE TABLE {table} AS SELECT 1 AS n FROM generate_series(1, 3)")
        yield connection


def execute(connection: sa.Connection, statement: str) -> sa.CursorResult[Any]:
    """Execute it as it stands, with no character taken for a parameter."""
    options = {"no_parameters": True}
    return connection.exec_driver_sql(statement, execution_options=options)


def indexes(connection: sa.Connection) -> dict[object, object]:
    """Whether each index of the database is valid, by its name."""
    query = """
        SELECT c.relname, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_'
    """
    return {row.relname: row.indisvalid for row in execute(connection, query)}


def leave_invalid(connection: sa.Connection, statement: str) -> None:
    """Let a unique index fail on rows that are there twice."""
    with pytest.raises(sa.exc.IntegrityError):
        execute(connection, statement)
    assert False in indexes(connection).values()


@pytest.mark.parametrize("if_not_exists", ["", "IF NOT EXISTS "])
@pytest.mark.parametrize(("name", "table"), NAMES)
def test_an_invalid_leftover_is_dropped(
    connection: sa.Connection, name: str, table: str, if_not_exists: str
) -> None:
    """However its name and its table's are written; after that it can be built."""
    failing = f"CREATE UNIQUE INDEX CONCURRENTLY {if_not_exists}{name} ON {table} (n)"
    leave_invalid(connection, failing)
    assert not was_done(connection, failing, "")
    with pytest.raises(RevisionFailed, match="invalid"):
        assert_valid(connection, failing)
    drop_leftovers(connection, failing)
    assert indexes(connection) == {}
    good = failing.replace("UNIQUE ", "")
    execute(connection, good)
    assert_valid(connection, good)
    assert was_done(connection, good, "")


def test_only_the_index_of_that_table_is_dropped(connection: sa.Connection) -> None:
    """One of the same name in another schema, one that is valid, and others' stay."""
    leave_invalid(connection, "CREATE UNIQUE INDEX CONCURRENTLY ix ON item (n)")
    leave_invalid(
        connection, 'CREATE UNIQUE INDEX CONCURRENTLY "IX" ON "Odd Schema"."Odd.Table" (n)'
    )
    execute(connection, "CREATE INDEX ix_valid ON item (n)")
    before = indexes(connection)
    for other in (
        'CREATE INDEX CONCURRENTLY ix ON "Odd Schema"."Odd.Table" (n)',
        'CREATE INDEX CONCURRENTLY "IX" ON item (n)',
        "CREATE INDEX CONCURRENTLY ix_valid ON item (n)",
        "CREATE INDEX CONCURRENTLY ix ON not_there (n)",
        "CREATE INDEX CONCURRENTLY ON item (n)",
        "CREATE INDEX ix ON item (n)",
        "REINDEX TABLE CONCURRENTLY item",
        "VACUUM item",
    ):
        drop_leftovers(connection, other)
        assert indexes(connection) == before
    assert_valid(connection, "VACUUM item")
    assert fingerprint(connection, "VACUUM item") == ""
    assert not was_done(connection, "VACUUM item", "")


def test_an_unfinished_index_of_a_partitioned_table_stays(connection: sa.Connection) -> None:
    """It is invalid on purpose, until each partition has its own."""
    execute(connection, "CREATE TABLE part (n int) PARTITION BY RANGE (n)")
    execute(connection, "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (9)")
    execute(connection, "CREATE INDEX ix_part ON ONLY part (n)")
    drop_leftovers(connection, "CREATE INDEX CONCURRENTLY ix_part ON part (n)")
    assert indexes(connection) == {"ix_part": False}


@pytest.mark.parametrize(
    "statement",
    [
        "REINDEX TABLE CONCURRENTLY public.item",
        "REINDEX INDEX CONCURRENTLY ix_item",
        "REINDEX (CONCURRENTLY) INDEX ix_item",
    ],
)
def test_what_a_reindex_has_left_is_dropped(connection: sa.Connection, statement: str) -> None:
    """The server names it ``_ccnew``, or ``_ccold`` where the new one had taken its place."""
    execute(connection, "CREATE INDEX ix_item ON item (n)")
    execute(connection, "CREATE INDEX ix_valid_ccnew ON item (n)")
    leave_invalid(connection, "CREATE UNIQUE INDEX CONCURRENTLY ix_item_ccnew1 ON item (n)")
    leave_invalid(connection, "CREATE UNIQUE INDEX CONCURRENTLY ix_item_ccold ON item (n)")
    drop_leftovers(connection, statement)
    assert indexes(connection) == {"ix_item": True, "ix_valid_ccnew": True}


def test_an_index_that_was_there_before_is_not_taken_for_done(connection: sa.Connection) -> None:
    """The statement would have failed, and has to; with IF NOT EXISTS it is content."""
    execute(connection, "CREATE INDEX ix ON item (n)")
    create = "CREATE INDEX CONCURRENTLY ix ON item (n)"
    before = fingerprint(connection, create)
    assert before
    assert not was_done(connection, create, before)
    lenient = create.replace("ix", "IF NOT EXISTS ix")
    assert was_done(connection, lenient, fingerprint(connection, lenient))


def test_a_dropped_index_is_known_by_its_number(connection: sa.Connection) -> None:
    """Gone is done; still there, or there again under the name, is not."""
    drop = "DROP INDEX CONCURRENTLY ix"
    assert fingerprint(connection, drop) == ""
    assert not was_done(connection, drop, "")
    execute(connection, "CREATE INDEX ix ON item (n)")
    before = fingerprint(connection, drop)
    assert not was_done(connection, drop, before)
    execute(connection, drop)
    assert was_done(connection, drop, before)


def test_an_index_that_was_skipped_is_an_error(connection: sa.Connection) -> None:
    """IF NOT EXISTS is satisfied by anything of that name, a sequence too."""
    execute(connection, "CREATE SEQUENCE ix")
    create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON item (n)"
    execute(connection, create)
    with pytest.raises(RevisionFailed, match="another name"):
        assert_valid(connection, create)
