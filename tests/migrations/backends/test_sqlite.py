"""Runs on SQLite files: foreign keys, settings, transactions, other processes, permissions."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from tests.migrations.backends.sqlite_databases import (
    CHANGE,
    ENGINES,
    NOBODY,
    REBUILD,
    SCHEMA,
    MakeEngine,
    Planned,
    check_changed,
    dump,
    ended,
    execute,
    fork,
    ours,
    ours_without_wal,
    plain,
    plain_with_events,
    pragma,
    rows,
)
from tests.migrations.scripts import QUICK, History, migrate

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import MigrationError, NotAllowed, RevisionFailed, TableLocked
from flask_retort.migrations.backends import Kind
from flask_retort.migrations.backends.sqlite import SQLite
from flask_retort.migrations.progress import Event, Retrying

IN_BLOCKS = [make for make in ENGINES if make is not plain_with_events]
"""With that listener nothing can run outside a transaction, whoever says it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database in use, at its first revision."""
    path = tmp_path / "shop.db"
    execute(path, SCHEMA)
    return path


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path / "history")
    history.add("pass")
    return history


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest) -> MakeEngine:
    made: MakeEngine = request.param
    return made


@pytest.fixture
def engine(make: MakeEngine, path: Path) -> Iterator[sa.Engine]:
    engine = make(path)
    yield engine
    engine.dispose()


# --- foreign keys ----------


def test_a_rebuild_keeps_the_rows_that_refer_to_the_table(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """1,000 rows each with CASCADE, SET NULL and no action are what they were."""
    tables = ("orders", "visits", "cards")
    before = [rows(path, f"SELECT * FROM {table}") for table in tables]
    history.add(REBUILD)
    migrate(engine, history)
    assert [rows(path, f"SELECT * FROM {table}") for table in tables] == before


def test_foreign_keys_are_on_again(engine: sa.Engine, history: History) -> None:
    """On the connection that was used, on others of the pool and on new ones, failed or not."""
    history.add(REBUILD)
    with engine.connect() as first, engine.connect() as second:
        first.exec_driver_sql("SELECT 1")
        second.exec_driver_sql("SELECT 1")
    migrate(engine, history)
    history.add("op.execute('not SQL')")
    with pytest.raises(RevisionFailed):
        migrate(engine, history)
    with engine.connect() as first, engine.connect() as second, engine.connect() as third:
        for connection in (first, second, third):
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            with pytest.raises(exc.IntegrityError):
                connection.exec_driver_sql("INSERT INTO cards VALUES (2000, 77)")
            connection.rollback()


def test_all_settings_are_put_back(engine: sa.Engine) -> None:
    """After a run the driver's connection is what it was."""

    def state(connection: sa.Connection) -> list[Any]:
        raw: Any = connection.connection.dbapi_connection
        names = ("foreign_keys", "busy_timeout", "legacy_alter_table", "defer_foreign_keys")
        found = [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
        return [*found, raw.isolation_level, getattr(raw, "autocommit", None)]

    def failing(backend: SQLite, connection: sa.Connection) -> None:
        with backend.session(connection, "alembic_version"), connection.begin():
            backend.begin(connection)
            connection.exec_driver_sql("DELETE FROM orders")
            raise Planned

    with engine.connect() as connection:
        before = state(connection)
        backend = SQLite(QUICK)
        with backend.session(connection, "alembic_version"):
            assert state(connection)[:2] == [0, 1000]
        assert state(connection) == before
        with pytest.raises(Planned):
            failing(backend, connection)
        assert state(connection) == before
        assert connection.exec_driver_sql("SELECT count(*) FROM orders").scalar() == 1000


def test_what_is_left_open_is_rolled_back(engine: sa.Engine, path: Path) -> None:
    """Putting settings back commits nothing of a transaction that nobody has ended."""
    before = dump(path)
    backend = SQLite(QUICK)
    with engine.connect() as connection:
        with backend.session(connection, "alembic_version"):
            backend.begin(connection)
            connection.connection.cursor().execute("DELETE FROM cards")
        assert dump(path) == before


def test_an_invalidated_connection_has_nothing_to_put_back(engine: sa.Engine) -> None:
    """When the connection is thrown away, the next one of the pool has the usual settings."""
    with engine.connect() as connection, SQLite(QUICK).session(connection, "alembic_version"):
        connection.invalidate()
    assert pragma(engine, "foreign_keys") == 1


@pytest.mark.parametrize("make", IN_BLOCKS)
def test_settings_that_a_block_has_changed_are_made_again(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """Foreign keys that a revision has switched on in a block are off in the transaction after."""
    history.add(
        "with op.get_context().autocommit_block():\n"
        '    op.execute("PRAGMA foreign_keys = ON")\n' + textwrap.dedent(REBUILD)
    )
    migrate(engine, history)
    assert rows(path, "SELECT count(*) FROM orders") == [(1000,)]


def test_foreign_keys_that_are_on_in_a_transaction_are_refused(path: Path) -> None:
    """Where they can't be switched off any more, nothing is rebuilt."""
    engine = plain(path)
    backend = SQLite(QUICK)
    with engine.connect() as connection, backend.session(connection, "alembic_version"):
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.exec_driver_sql("BEGIN")
        with pytest.raises(MigrationError, match="Foreign keys are on in the transaction"):
            backend.begin(connection)
    engine.dispose()


# --- transactions ----------


def test_begin_takes_the_right_to_write_at_once(engine: sa.Engine, path: Path) -> None:
    """After begin() nobody else can write; commit and rollback of SQLAlchemy end it."""
    backend = SQLite(QUICK)
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    with engine.connect() as connection, backend.session(connection, "alembic_version"):
        for end in (sa.Connection.commit, sa.Connection.rollback):
            connection.begin()
            backend.begin(connection)
            backend.begin(connection)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            connection.exec_driver_sql("INSERT INTO old DEFAULT VALUES")
            end(connection)
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
    assert other.execute("SELECT count(*) FROM old").fetchone() == (1,)
    other.close()


@pytest.mark.parametrize("make", IN_BLOCKS)
def test_an_autocommit_block_in_the_middle(engine: sa.Engine, path: Path, history: History) -> None:
    """VACUUM runs outside the transaction; what comes after it is in one again."""
    history.add(
        "op.execute(\"UPDATE customers SET name = 'x'\")\n"
        "with op.get_context().autocommit_block():\n"
        '    op.execute("VACUUM")\n'
        "op.execute(\"UPDATE customers SET name = 'y'\")\n"
        "raise ValueError"
    )
    with pytest.raises(RevisionFailed):
        migrate(engine, history)
    assert rows(path, "SELECT DISTINCT name FROM customers") == [("x",)]
    assert pragma(engine, "foreign_keys") == 1


# --- others ----------


@pytest.mark.parametrize("make", [ours, ours_without_wal, plain])
def test_another_writer_is_waited_for_and_tried_again(
    make: MakeEngine, path: Path, history: History
) -> None:
    """A transaction that ends meanwhile costs an attempt, not the revision."""
    engine = make(path)
    pragma(engine, "journal_mode")  # a new journal mode would wait for the writer too
    history.add(CHANGE)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    retries: list[Retrying] = []

    def let_go_at_the_first_retry(event: Event) -> None:
        if isinstance(event, Retrying):
            if not retries:
                other.execute("COMMIT")
            retries.append(event)

    settings = MigrationsConfig(lock_timeout=0.1, retries=5)
    migrate(engine, history, settings=settings, report=let_go_at_the_first_retry)
    other.close()
    engine.dispose()
    assert "locked" in retries[0].reason
    check_changed(path)


@pytest.mark.parametrize("make", [ours, ours_without_wal, plain])
def test_another_writer_that_does_not_end(make: MakeEngine, path: Path, history: History) -> None:
    """The lock timeout of the migrations counts, not the patience of the application."""
    engine = make(path)
    pragma(engine, "journal_mode")  # a new journal mode would wait for the writer too
    history.add(CHANGE)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    start = time.monotonic()
    with pytest.raises(TableLocked, match="locked"):
        migrate(engine, history, settings=MigrationsConfig(lock_timeout=0.2, retries=0))
    assert time.monotonic() - start < 4
    other.close()
    engine.dispose()


def test_a_reader_that_keeps_the_commit_waiting(path: Path, history: History) -> None:
    """With a rollback journal the commit needs all readers gone; it is undone and tried again."""
    engine = ours_without_wal(path)
    history.add(CHANGE)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN")
    other.execute("SELECT * FROM old").fetchall()
    timer = threading.Timer(0.6, lambda: other.execute("COMMIT"))
    timer.start()
    migrate(engine, history, settings=MigrationsConfig(lock_timeout=0.1, retries=5))
    timer.join()
    other.close()
    engine.dispose()
    check_changed(path)


# --- what can't be written ----------


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("make", [ours_without_wal, plain])
@pytest.mark.parametrize("is_the_folder", [False, True])
def test_a_missing_permission_is_named(
    make: MakeEngine, open_folder: Path, *, is_the_folder: bool
) -> None:
    """A file that may only be read, and a folder that may: a clear sentence, and nothing done."""
    path = open_folder / "shop.db"
    execute(path, SCHEMA)
    history = History(open_folder / "history")
    history.add("pass")
    history.add(CHANGE)
    expected = "be allowed to write the folder" if is_the_folder else "write a readonly database"

    def work() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        with pytest.raises(NotAllowed, match=expected):
            migrate(make(path), history)

    before = dump(path)
    path.chmod(0o666 if is_the_folder else 0o444)
    open_folder.chmod(0o555 if is_the_folder else 0o777)
    assert ended(fork(work)) == 0
    assert dump(path) == before


# --- sorting ----------


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("SELECT 1", Kind.READ),
        ("values (1)", Kind.READ),
        ("  -- why\n /* and */ ;explain SELECT 1", Kind.READ),
        ("WITH a AS (SELECT 1) SELECT * FROM a", Kind.READ),
        ("WITH a AS (SELECT 1) DELETE FROM b", Kind.WRITE),
        ("PRAGMA user_version = 3", Kind.READ),
        ("ATTACH 'x' AS y", Kind.READ),
        ("DETACH y", Kind.READ),
        ("SAVEPOINT a", Kind.READ),
        ("RELEASE a", Kind.READ),
        ("ROLLBACK TO a", Kind.READ),
        ("rollback transaction to savepoint a", Kind.READ),
        ("ROLLBACK", Kind.ALONE),
        ("BEGIN", Kind.ALONE),
        ("COMMIT", Kind.ALONE),
        ("END", Kind.ALONE),
        ("VACUUM", Kind.ALONE),
        ("INSERT INTO a VALUES (1)", Kind.WRITE),
        ("\nCREATE TABLE a (b)\n\n", Kind.WRITE),
        ("REINDEX", Kind.WRITE),
        ("ANALYZE", Kind.WRITE),
        ("", Kind.READ),
        ("-- nothing", Kind.READ),
        (" " * 5000 + "(", Kind.READ),
        (" " * 5000 + "DROP TABLE a", Kind.WRITE),
    ],
)
def test_statements_are_sorted(statement: str, kind: Kind) -> None:
    """Settings of the connection count as reads: a run that goes on has to say them again."""
    assert SQLite(QUICK).kind(statement) is kind


def test_errors_are_sorted() -> None:
    """Locks can be waited for; permissions can't; the rest is neither."""
    backend = SQLite(QUICK)

    def error(name: str) -> exc.DBAPIError:
        original = sqlite3.OperationalError(name)
        original.sqlite_errorcode = getattr(sqlite3, name)
        return exc.DBAPIError("x", None, original)

    transient = ["SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_BUSY_SNAPSHOT"]
    denied = ["SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH", "SQLITE_READONLY_DIRECTORY"]
    neither = ["SQLITE_ERROR", "SQLITE_FULL", "SQLITE_READONLY_DBMOVED", "SQLITE_CANTOPEN"]
    for name in (*transient, *denied, *neither):
        assert backend.is_transient(error(name)) is (name in transient), name
        assert backend.is_denied(error(name)) is (name in denied), name
    assert not backend.is_transient(exc.DBAPIError("x", None, ValueError()))
