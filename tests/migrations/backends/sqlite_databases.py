"""Engines on SQLite files as applications have them, and what the tests compare of a file."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from flask_retort.config import Config
from flask_retort.engines import make_engine

NOBODY = 65534

MakeEngine = Callable[[Path], sa.Engine]


SCHEMA = """
CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER REFERENCES customers (id) ON DELETE CASCADE
);
CREATE TABLE visits (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER REFERENCES customers (id) ON DELETE SET NULL
);
CREATE TABLE cards (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (id));
CREATE TABLE old (id INTEGER PRIMARY KEY);
CREATE TABLE log (line TEXT);
CREATE TRIGGER renamed AFTER UPDATE OF name ON customers
    BEGIN INSERT INTO log VALUES (old.name); END;
CREATE VIEW names AS SELECT name FROM customers;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
    INSERT INTO customers SELECT i, 'c' || i FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO orders SELECT i, 1 + i % 10 FROM n;
INSERT INTO visits SELECT * FROM orders;
INSERT INTO cards SELECT * FROM orders;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
INSERT INTO alembic_version VALUES ('r1');
"""

CHANGE = """
    op.add_column("customers", sa.Column("note", sa.Text))
    op.execute("UPDATE customers SET note = 'was ' || name")
    with op.batch_alter_table(
        "customers", table_kwargs={"sqlite_autoincrement": True}
    ) as batch:
        batch.alter_column("name", type_=sa.String(99), nullable=False)
        batch.create_index("ix_note", ["note"])
    op.create_table("tags", sa.Column("id", sa.Integer, primary_key=True))
    op.bulk_insert(sa.table("tags", sa.column("id")), [{"id": 1}, {"id": 2}])
    op.execute("DELETE FROM orders WHERE customer_id = 3")
    op.drop_table("old")
"""

REBUILD = """
    with op.batch_alter_table(
        "customers", table_kwargs={"sqlite_autoincrement": True}
    ) as batch:
        batch.alter_column("name", type_=sa.String(99))
"""


def ours(path: Path, **keys: object) -> sa.Engine:
    """An engine of the extension."""
    url = sa.URL.create("sqlite", database=str(path))
    config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": url, "RETORT_SQLITE": keys})
    return make_engine({"url": url}, bind_key=None, config=config)


def ours_without_wal(path: Path) -> sa.Engine:
    """An engine of the extension on a database with a rollback journal."""
    return ours(path, journal_mode="delete")


def plain(path: Path, **options: Any) -> sa.Engine:
    """An engine as a user's env.py makes it, with foreign keys switched on."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), **options)

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    return engine


def plain_in_autocommit(path: Path) -> sa.Engine:
    """An engine whose driver never begins a transaction."""
    return plain(path, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)


def plain_with_events(path: Path) -> sa.Engine:
    """SQLAlchemy's own recipe: the driver begins nothing, a listener begins."""
    engine = plain(path)

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def plain_with_attribute(path: Path) -> sa.Engine:
    """The driver's own transactions of Python 3.12: one is always open."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)), connect_args={"autocommit": False}
    )

    @event.listens_for(engine, "connect")
    def _(connection: Any, record: object) -> None:
        connection.autocommit = True
        connection.execute("PRAGMA foreign_keys = ON")
        connection.autocommit = False

    return engine


ENGINES: list[Any] = [
    ours,
    ours_without_wal,
    plain,
    plain_in_autocommit,
    plain_with_events,
    pytest.param(
        plain_with_attribute,
        marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="needs Python 3.12"),
    ),
]


def dump(path: Path) -> str:
    """The whole database as statements, read by the driver alone."""
    connection = sqlite3.connect(path)
    try:
        return "\n".join(connection.iterdump())
    finally:
        connection.close()


def pragma(engine: sa.Engine, name: str) -> Any:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def execute(path: Path, script: str) -> None:
    """Run statements on the file, without any engine and without foreign keys."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(script)
    finally:
        connection.close()


def rows(path: Path, statement: str) -> list[Any]:
    """What a statement answers, without any engine."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def check_changed(path: Path) -> None:
    """All of ``CHANGE`` is there, and all of what was there before."""
    assert rows(path, "SELECT version_num FROM alembic_version") == [("r2",)]
    assert rows(path, "SELECT count(*) FROM visits WHERE customer_id IS NOT NULL") == [(1000,)]
    assert rows(path, "SELECT count(*) FROM orders") == [(900,)]
    assert rows(path, "SELECT count(*) FROM tags") == [(2,)]
    assert rows(path, "SELECT note FROM customers WHERE id = 2") == [("was c2",)]
    names = {name for (name,) in rows(path, "SELECT name FROM sqlite_master")}
    assert {"ix_note", "renamed", "names"} < names
    assert not [name for name in names if name.startswith("_alembic") or name == "old"]
    assert not Path(f"{path}.migrating").exists()


class Planned(Exception):  # noqa: N818 - a failure that is not an error
    """Ends a run where a test wants it to end."""


def fork(work: Callable[[], object]) -> int:
    """Start a child that does the work and ends with 0, or with 1 and a traceback."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - printed, and reported by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    """The child's exit code; a signal's number is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_self() -> None:
    """End this process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
