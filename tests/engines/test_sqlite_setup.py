"""SQLite: what is set on each connection, many that open at once, databases in memory."""

from __future__ import annotations

import gc
import os
import sqlite3
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import QueuePool, SingletonThreadPool, StaticPool

from flask_retort.engines.sqlite_transactions import TransactionalConnection
from flask_retort.errors import CannotConnect, ConfigurationError

from .conftest import MakeEngine
from .test_fork import in_child
from .test_sqlite_transactions import numbers, read_then_write


def pragma(engine: sa.Engine, name: str) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def memory_file(engine: sa.Engine) -> str:
    with engine.connect() as connection:
        return str(connection.exec_driver_sql("PRAGMA database_list").one()[2])


# --- pragmas ----------


def test_safe_settings_are_the_default(sqlite_file: sa.Engine) -> None:
    """WAL, synchronous normal, foreign keys, 20 s of patience."""
    assert pragma(sqlite_file, "journal_mode") == "wal"
    assert pragma(sqlite_file, "synchronous") == 1
    assert pragma(sqlite_file, "foreign_keys") == 1
    assert pragma(sqlite_file, "busy_timeout") == 20_000


def test_every_setting_can_be_switched_off(engine_for: MakeEngine, tmp_path: Path) -> None:
    """With everything off, a connection is as SQLite makes it."""
    off = {"foreign_keys": False, "journal_mode": None, "synchronous": None, "busy_timeout": 5}
    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}", RETORT_SQLITE=off)
    assert pragma(engine, "journal_mode") == "delete"
    assert pragma(engine, "synchronous") == 2
    assert pragma(engine, "foreign_keys") == 0
    assert pragma(engine, "busy_timeout") == 5_000


def test_synchronous_normal_is_for_wal_only(engine_for: MakeEngine, tmp_path: Path) -> None:
    """With a rollback journal, SQLite's own FULL stays; another value is taken as given."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    journal = {"journal_mode": "truncate"}
    assert pragma(engine_for(url, RETORT_SQLITE=journal), "synchronous") == 2
    assert (
        pragma(engine_for(url, RETORT_SQLITE={**journal, "synchronous": "extra"}), "synchronous")
        == 3
    )


def test_foreign_keys_are_enforced(engine_for: MakeEngine, database_url: sa.URL) -> None:
    """A row that refers to nothing is refused, on every back end."""
    metadata = sa.MetaData()
    parent = sa.Table("parent", metadata, sa.Column("id", sa.Integer, primary_key=True))
    child = sa.Table("child", metadata, sa.Column("parent_id", sa.ForeignKey(parent.c.id)))
    engine = engine_for(database_url)
    metadata.create_all(engine)
    with engine.connect() as connection, pytest.raises(exc.IntegrityError):
        connection.execute(child.insert().values(parent_id=1))


def test_a_read_only_file_in_another_mode_opens(engine_for: MakeEngine, tmp_path: Path) -> None:
    """The journal mode of a database that may not be written is left alone."""
    path = tmp_path / "a.db"
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE item (n)")
    made.close()
    engine = engine_for(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert pragma(engine, "journal_mode") == "delete"
    assert pragma(engine, "foreign_keys") == 1


def test_other_connect_arguments_survive(engine_for: MakeEngine, tmp_path: Path) -> None:
    """Our connection class takes every argument of the driver's."""
    engine = engine_for(
        f"sqlite:///{tmp_path / 'a.db'}",
        {"connect_args": {"detect_types": sqlite3.PARSE_DECLTYPES, "cached_statements": 0}},
    )
    assert pragma(engine, "journal_mode") == "wal"


# --- many at once ----------


def test_threads_may_open_a_new_database_together(engine_for: MakeEngine, tmp_path: Path) -> None:
    """Only one can switch to WAL at a time, and SQLite does not wait for it: we do."""
    failures: list[BaseException] = []
    for number in range(5):
        engines = [engine_for(f"sqlite:///{tmp_path / str(number)}.db") for _ in range(8)]
        barrier = threading.Barrier(len(engines))

        def work(engine: sa.Engine, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                assert pragma(engine, "journal_mode") == "wal"
            except BaseException as error:  # noqa: BLE001 - is reported by the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_the_switch_to_wal_waits_for_a_writer(engine_for: MakeEngine, tmp_path: Path) -> None:
    """While another writes, SQLite refuses the switch at once; the busy timeout counts anyway."""
    path = tmp_path / "a.db"
    foreign = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    foreign.execute("CREATE TABLE item (n)")
    foreign.execute("BEGIN IMMEDIATE")
    impatient = engine_for(f"sqlite:///{path}", RETORT_SQLITE={"busy_timeout": 0.05})
    with pytest.raises(CannotConnect, match="longer than the busy timeout"):
        impatient.connect()
    timer = threading.Timer(0.2, foreign.commit)
    timer.start()
    assert pragma(engine_for(f"sqlite:///{path}"), "journal_mode") == "wal"
    timer.join()
    foreign.close()


def test_processes_may_open_and_write_together(engine_for: MakeEngine, tmp_path: Path) -> None:
    """4 processes open one new database, then read and write 200 times each: none is locked out."""
    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}")

    def work() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, n)"
            )
            connection.exec_driver_sql("INSERT OR IGNORE INTO item VALUES (1, 0)")
        read_then_write(engine, 200)

    for wait in [in_child(work) for _ in range(4)]:
        wait()
    assert numbers(engine) == [800]


# --- memory ----------


@pytest.fixture
def memory(engine_for: MakeEngine) -> sa.Engine:
    engine = engine_for("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER)")
        connection.exec_driver_sql("INSERT INTO item VALUES (1, 0)")
    return engine


def test_sessions_of_a_memory_database_are_isolated(memory: sa.Engine) -> None:
    """One sees nothing uncommitted of the other, and its rollback takes nothing from it."""
    with memory.connect() as outer, memory.connect() as inner:
        outer.exec_driver_sql("INSERT INTO item VALUES (2, 2)")
        assert inner.exec_driver_sql("SELECT count(*) FROM item").scalar() == 1
        inner.rollback()
        outer.commit()
        assert inner.exec_driver_sql("SELECT count(*) FROM item").scalar() == 2


def test_a_memory_database_is_one_for_all_threads(memory: sa.Engine) -> None:
    """What one thread commits, every thread sees."""
    found: list[list[int]] = []
    thread = threading.Thread(target=lambda: found.append(numbers(memory)))
    thread.start()
    thread.join()
    assert found == [[0]]


def test_any_number_of_sessions_may_be_open(memory: sa.Engine) -> None:
    """As with one shared connection, no pool runs out."""
    connections = [memory.connect() for _ in range(40)]
    for connection in connections:
        connection.close()


def test_a_memory_database_is_called_by_its_name(memory: sa.Engine) -> None:
    """The URL does not show the temporary file, which the configuration knows nothing about."""
    assert str(memory.url) == "sqlite://"
    assert repr(memory) == "Engine(sqlite://)"


def test_two_memory_engines_are_two_databases(memory: sa.Engine, engine_for: MakeEngine) -> None:
    """Each engine has a database of its own."""
    assert not sa.inspect(engine_for("sqlite://")).has_table("item")


def test_only_this_user_may_read_the_temporary_file(memory: sa.Engine) -> None:
    """The folder is closed to others; nothing waits for the disk."""
    folder = os.path.dirname(memory_file(memory))
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert pragma(memory, "synchronous") == 0


def test_the_rows_survive_dispose_and_end_with_the_engine(engine_for: MakeEngine) -> None:
    """dispose() closes connections; the file goes with the engine."""
    engine = engine_for("sqlite://")
    folder = os.path.dirname(memory_file(engine))
    engine.dispose()
    assert os.path.dirname(memory_file(engine)) == folder
    engine.dispose()
    make_cells = engine_for.__closure__
    assert make_cells is not None
    for cell in make_cells:
        if isinstance(cell.cell_contents, list):
            cell.cell_contents.remove(engine)
    del engine
    gc.collect()
    assert not os.path.exists(folder)


def test_a_forked_child_does_not_remove_its_parent_s_database(memory: sa.Engine) -> None:
    """The child uses the same database, and its end is not the database's end."""

    def work() -> None:
        with memory.begin() as connection:
            connection.exec_driver_sql("UPDATE item SET n = 7")

    in_child(work, finalise=True)()
    assert numbers(memory) == [7]


def test_one_shared_connection_can_be_had_back(engine_for: MakeEngine) -> None:
    """RETORT_SQLITE = {"memory": "shared"} is the predecessor's behaviour."""
    engine = engine_for("sqlite://", RETORT_SQLITE={"memory": "shared"})
    assert isinstance(engine.pool, StaticPool)
    with engine.connect() as one, engine.connect() as two:
        assert one.connection.dbapi_connection is two.connection.dbapi_connection
    assert memory_file(engine) == ""


def test_other_pools_and_named_databases_are_as_the_user_says(engine_for: MakeEngine) -> None:
    """Only the unnamed shared database is replaced."""
    assert memory_file(engine_for("sqlite://", {"poolclass": SingletonThreadPool})) == ""
    named = engine_for("sqlite:///file:shop?mode=memory&cache=shared&uri=true")
    assert isinstance(named.pool, StaticPool)
    with named.connect() as connection:
        assert isinstance(connection.connection.dbapi_connection, TransactionalConnection)


def test_pool_settings_do_not_break_a_memory_database(engine_for: MakeEngine) -> None:
    """A test configuration with SQLite in memory may keep the pool settings of production."""
    engine = engine_for("sqlite://", SQLALCHEMY_POOL_SIZE=3, SQLALCHEMY_POOL_TIMEOUT=1)
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.size() == 3
    engine_for("sqlite://", SQLALCHEMY_POOL_SIZE=3, RETORT_SQLITE={"memory": "shared"})


def test_without_a_temporary_folder_the_way_out_is_named(
    engine_for: MakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A read-only system gets a sentence that says what to set."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(ConfigurationError, match="'memory': 'shared'"):
        engine_for("sqlite://").connect()
