"""SQLite: what begins a transaction, and what a rollback takes back."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.engines import begin_as_writer
from flask_retort.engines.sqlite_transactions import TransactionalConnection, writes

from .conftest import MakeEngine

WRITES = [
    "INSERT INTO item VALUES (9, 9)",
    "update item SET n = 1",
    "  DELETE FROM item",
    "REPLACE INTO item VALUES (1, 1)",
    "-- why\n/* and\nwhere */ INSERT INTO item VALUES (9, 9)",
    "INSERT INTO item VALUES (9, 9) RETURNING id",
    "WITH a AS (SELECT 9 AS x) INSERT INTO item SELECT x, x FROM a",
    "WITH \"select (\" AS (SELECT 1), b(x) AS (VALUES (')')) -- (\n UPDATE item SET n = 1",
    "CREATE TABLE other (id INTEGER)",
    "ALTER TABLE item ADD COLUMN m INTEGER",
    "DROP TABLE item",
    "ANALYZE",
    "REINDEX",
    "SAVEPOINT a",
]
READS = [
    "SELECT * FROM item",
    "select 'INSERT'",
    " VALUES (1)",
    "WITH a AS (SELECT 'DELETE' AS \"update\") SELECT * FROM a",
    "WITH a AS (SELECT 1) SELECT replace('a', 'b', 'c') FROM a",
    "EXPLAIN DELETE FROM item",
    "PRAGMA foreign_keys = ON",
    "pragma user_version",
    "VACUUM",
    "ATTACH ':memory:' AS other",
    "/* nothing */",
    "",
]


def driver_connection(engine: sa.Engine) -> sqlite3.Connection:
    """A connection of the engine's kind, outside its pool."""
    proxied = engine.raw_connection()
    proxied.detach()
    connection: Any = proxied.dbapi_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


def numbers(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT n FROM item ORDER BY id").scalars())


# --- what begins a transaction ----------


@pytest.mark.parametrize("sql", WRITES)
def test_a_write_begins_a_transaction_that_rolls_back(sqlite_file: sa.Engine, sql: str) -> None:
    """Rows, schema and savepoints alike: after a rollback nothing of it is left."""
    with closing(driver_connection(sqlite_file)) as connection:
        before = list(connection.iterdump())
        connection.execute(sql).fetchall()
        assert connection.in_transaction
        connection.rollback()
        assert list(connection.iterdump()) == before


@pytest.mark.parametrize("sql", READS)
def test_a_read_or_setting_begins_none(sqlite_file: sa.Engine, sql: str) -> None:
    """Reading takes no lock, and settings work as the driver does them."""
    with closing(driver_connection(sqlite_file)) as connection:
        connection.execute(sql).fetchall()
        assert not connection.in_transaction


def test_long_statements_are_judged_too() -> None:
    """The verdict does not depend on the length of the statement."""
    padding = "/*" + "x" * 10_000 + "*/"
    assert writes(padding + WRITES[0])
    assert not writes(padding + READS[0])


def test_a_transaction_is_a_writer_from_its_first_write(sqlite_file: sa.Engine) -> None:
    """Another process could not write any more: the lock is taken at once, not at commit."""
    with sqlite_file.connect() as connection:
        connection.exec_driver_sql("SAVEPOINT a")
        path = sqlite_file.url.database
        assert path is not None
        with (
            closing(sqlite3.connect(path, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")


def test_executemany_is_one_transaction(sqlite_file: sa.Engine) -> None:
    """Many rows by one call roll back together."""
    with closing(driver_connection(sqlite_file)) as connection:
        connection.executemany("INSERT INTO item VALUES (?, 0)", [(i,) for i in range(2, 50)])
        connection.rollback()
    assert numbers(sqlite_file) == [0]


def test_executescript_commits_first_as_the_driver_documents(sqlite_file: sa.Engine) -> None:
    """What came before the script is committed, and the turn of writing is over after it."""
    with closing(driver_connection(sqlite_file)) as connection:
        connection.execute("UPDATE item SET n = 1")
        connection.executescript("INSERT INTO item VALUES (2, 2); INSERT INTO item VALUES (3, 3);")
        assert not connection.in_transaction
        with sqlite_file.begin() as other:
            other.exec_driver_sql("INSERT INTO item VALUES (4, 4)")
    assert numbers(sqlite_file) == [1, 2, 3, 4]


def test_the_connection_as_context_manager_ends_the_turn(sqlite_file: sa.Engine) -> None:
    """``with connection:`` commits, and lets the next writer in."""
    with closing(driver_connection(sqlite_file)) as connection:
        with connection:
            connection.execute("UPDATE item SET n = 1")
        with sqlite_file.begin() as other:
            other.exec_driver_sql("UPDATE item SET n = n + 1")
    assert numbers(sqlite_file) == [2]


@pytest.mark.parametrize("word", ["COMMIT", "END", "ROLLBACK"])
def test_a_transaction_ended_in_sql_ends_the_turn(sqlite_file: sa.Engine, word: str) -> None:
    """The next writer does not wait for one that has said COMMIT itself."""
    with closing(driver_connection(sqlite_file)) as connection:
        connection.execute("UPDATE item SET n = 1")
        connection.execute(word)
        with sqlite_file.begin() as other:
            other.exec_driver_sql("UPDATE item SET n = n + 1")


def test_a_conflict_that_rolls_back_ends_the_turn(sqlite_file: sa.Engine) -> None:
    """ON CONFLICT ROLLBACK ends the transaction by itself."""
    with closing(driver_connection(sqlite_file)) as connection:
        connection.execute("UPDATE item SET n = 1")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT OR ROLLBACK INTO item VALUES (1, 1)")
        with sqlite_file.begin() as other:
            other.exec_driver_sql("UPDATE item SET n = n + 5")
    assert numbers(sqlite_file) == [5]


# --- savepoints, autocommit, the driver's own ways ----------


def test_a_rollback_takes_back_a_released_savepoint(sqlite_file: sa.Engine) -> None:
    """Releasing a savepoint commits nothing."""
    with sqlite_file.connect() as connection:
        with connection.begin_nested():
            connection.exec_driver_sql("UPDATE item SET n = 1")
        connection.rollback()
    assert numbers(sqlite_file) == [0]


def test_a_savepoint_rolled_back_keeps_the_rest(sqlite_file: sa.Engine) -> None:
    """Only what came after the savepoint is taken back."""
    with sqlite_file.begin() as connection:
        connection.exec_driver_sql("INSERT INTO item VALUES (2, 2)")
        nested = connection.begin_nested()
        connection.exec_driver_sql("INSERT INTO item VALUES (3, 3)")
        nested.rollback()
    assert numbers(sqlite_file) == [0, 2]


def test_schema_changes_roll_back(sqlite_file: sa.Engine) -> None:
    """CREATE TABLE is part of the transaction."""
    table = sa.Table("late", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    with sqlite_file.connect() as connection:
        table.create(connection)
        connection.rollback()
        assert not sa.inspect(connection).has_table("late")


def test_autocommit_is_the_driver_s(sqlite_file: sa.Engine) -> None:
    """With SQLAlchemy's AUTOCOMMIT every statement is a transaction, and we begin none."""
    with sqlite_file.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("UPDATE item SET n = 1")
        driver = connection.connection.dbapi_connection
        assert isinstance(driver, TransactionalConnection)
        assert not driver.in_transaction
        connection.rollback()
    assert numbers(sqlite_file) == [1]
    with sqlite_file.connect() as connection:
        connection.exec_driver_sql("UPDATE item SET n = 2")
        connection.rollback()
    assert numbers(sqlite_file) == [1]


@pytest.mark.parametrize("level", ["IMMEDIATE", "EXCLUSIVE", "DEFERRED"])
def test_the_driver_s_isolation_levels_are_respected(
    engine_for: MakeEngine, tmp_path: Path, level: str
) -> None:
    """Whatever the driver is told by its own argument, rollback works."""
    engine = engine_for(
        f"sqlite:///{tmp_path / 'a.db'}", {"connect_args": {"isolation_level": level}}
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER)")
    with engine.connect() as connection:
        connection.exec_driver_sql("INSERT INTO item VALUES (1, 1)")
        connection.rollback()
    assert numbers(engine) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the argument came with Python 3.12")
def test_the_driver_s_autocommit_argument_is_respected(
    engine_for: MakeEngine, tmp_path: Path
) -> None:
    """With autocommit=True the driver's rollback does nothing, so no transaction may be begun."""
    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}", {"connect_args": {"autocommit": True}})
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER)")
        driver = connection.connection.dbapi_connection
        assert isinstance(driver, TransactionalConnection)
        assert not driver.in_transaction


def test_a_user_s_connection_class_is_kept(engine_for: MakeEngine, tmp_path: Path) -> None:
    """A ``factory`` among the connect arguments is the user's decision."""

    class Own(sqlite3.Connection):
        pass

    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}", {"connect_args": {"factory": Own}})
    with engine.connect() as connection:
        assert type(connection.connection.driver_connection) is Own


def test_transactions_can_be_left_to_the_driver(engine_for: MakeEngine, tmp_path: Path) -> None:
    """RETORT_SQLITE = {"transactions": "driver"} is Python's own behaviour."""
    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}", RETORT_SQLITE={"transactions": "driver"})
    with engine.connect() as connection:
        assert type(connection.connection.driver_connection) is sqlite3.Connection


def test_other_cursors_can_be_asked_for(sqlite_file: sa.Engine) -> None:
    """``cursor(factory)`` gives the class that was asked for."""
    with closing(driver_connection(sqlite_file)) as connection:
        assert type(connection.cursor(sqlite3.Cursor)) is sqlite3.Cursor


# --- read-only databases, unfinished results ----------


def test_any_amount_of_space_is_skipped_at_once() -> None:
    """The time grows with the length of what stands before the first word, not with its square."""
    assert writes(" " * 100_000 + WRITES[0])
    assert not writes(" " * 100_000 + "(")


def test_a_read_only_database_can_be_read_also_in_a_savepoint(
    sqlite_file: sa.Engine, engine_for: MakeEngine
) -> None:
    """mode=ro: reads and savepoints work, a write says that the database is read-only."""
    engine = engine_for(f"sqlite:///file:{sqlite_file.url.database}?mode=ro&uri=true")
    with engine.connect() as connection:
        with connection.begin_nested():
            assert connection.exec_driver_sql("SELECT n FROM item").scalar() == 0
        with pytest.raises(exc.OperationalError, match="readonly"):
            connection.exec_driver_sql("UPDATE item SET n = 1")
    with sqlite_file.begin() as connection:
        connection.exec_driver_sql("UPDATE item SET n = 1")


def test_a_write_over_an_unfinished_select_is_explained(sqlite_file: sa.Engine) -> None:
    """When another has written since, SQLite can't let a half-read connection write."""
    with closing(driver_connection(sqlite_file)) as connection:
        connection.execute("INSERT INTO item VALUES (2, 2)")
        connection.commit()
        cursor = connection.execute("SELECT n FROM item")
        cursor.fetchone()
        with sqlite_file.begin() as other:
            other.exec_driver_sql("UPDATE item SET n = 9")
        with pytest.raises(sqlite3.OperationalError, match="Fetch all rows") as info:
            connection.execute("UPDATE item SET n = 1")
        assert info.value.sqlite_errorname == "SQLITE_BUSY_SNAPSHOT"
        cursor.fetchall()
        connection.execute("UPDATE item SET n = 1")


# --- load ----------


def read_then_write(engine: sa.Engine, times: int) -> None:
    for _ in range(times):
        with engine.begin() as connection, connection.begin_nested():
            number = connection.exec_driver_sql("SELECT n FROM item WHERE id = 1").scalar_one()
            connection.exec_driver_sql("UPDATE item SET n = ? WHERE id = 1", (number + 1,))


def test_threads_that_read_then_write_never_find_the_database_locked(
    sqlite_file: sa.Engine,
) -> None:
    """4 threads, 200 transactions each: all succeed, none is lost."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            read_then_write(sqlite_file, 200)
        except BaseException as error:  # noqa: BLE001 - is reported by the test
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert numbers(sqlite_file) == [800]


def test_writers_are_served_in_the_order_they_came(sqlite_file: sa.Engine) -> None:
    """First come, first served, while a reader is not held up at all."""
    order: list[int] = []
    ready = threading.Semaphore(0)

    def work(number: int) -> None:
        with sqlite_file.connect() as connection:
            ready.release()
            connection.exec_driver_sql("UPDATE item SET n = n + 1")
            order.append(number)
            connection.commit()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    with sqlite_file.begin() as holder:
        holder.exec_driver_sql("UPDATE item SET n = 0")
        for thread in threads:
            thread.start()
            ready.acquire()
            time.sleep(0.05)
        assert numbers(sqlite_file) == [0]
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_a_transaction_can_begin_as_writer_before_it_has_written(sqlite_file: sa.Engine) -> None:
    """What it reads from then on nobody else changes before its end."""
    with sqlite_file.connect() as connection, sqlite_file.connect() as other:
        begin_as_writer(connection)
        begin_as_writer(connection)
        other.exec_driver_sql("PRAGMA busy_timeout = 0")
        raw: Any = other.connection.driver_connection
        raw._timeout = 0
        with pytest.raises(exc.OperationalError, match="database is locked"):
            begin_as_writer(other)
        connection.rollback()
        begin_as_writer(other)
        assert raw.in_transaction


def test_a_connection_in_autocommit_does_not_begin_as_writer(sqlite_file: sa.Engine) -> None:
    """It has no transaction that could hold the lock to its end."""
    with sqlite_file.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        begin_as_writer(connection)
        raw: Any = connection.connection.driver_connection
        assert not raw.in_transaction
