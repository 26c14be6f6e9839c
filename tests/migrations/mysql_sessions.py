"""Sessions of MySQL and MariaDB for tests: engines by each driver, processes that can be killed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import pytest
import sqlalchemy as sa

DRIVERS = ("mysql+pymysql", "mysql+mysqldb")

_HOLD = """
import sys
import sqlalchemy as sa
from flask_retort.config_sections import MigrationsConfig
from flask_retort.migrations.backends.mysql import MySQL

url, statement = sys.argv[1:]
engine = sa.create_engine(url)
backend = MySQL(MigrationsConfig())
lock = backend.lock(engine, "alembic_version")
assert lock.try_acquire()
with engine.connect() as connection, backend.session(connection, "alembic_version"):
    print(backend.worker_id(connection), flush=True)
    connection.exec_driver_sql(statement)
    connection.commit()
    print("done", flush=True)
    sys.stdin.read()
"""


def with_driver(url: sa.URL, drivername: str) -> sa.URL:
    """The URL for another driver; skips the test where that is not installed."""
    module = {"mysqldb": "MySQLdb"}.get(drivername.partition("+")[2], drivername.partition("+")[2])
    if find_spec(module) is None:
        pytest.skip(f"the driver {module} is not installed")
    return url.set(drivername=drivername)


@contextmanager
def runner(url: sa.URL, statement: str = "DO 0") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that has the lock and executes one statement, and its worker's number."""
    command = [sys.executable, "-c", _HOLD, url.render_as_string(hide_password=False), statement]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


@contextmanager
def user(engine: sa.Engine, *grants: str) -> Iterator[sa.URL]:
    """The URL of a new user of the engine's database.

    :param grants: such as "ALL ON {db}.*".
    """
    name = f"u{engine.url.database}"[:60]
    execute(engine, f"CREATE USER '{name}'@'%' IDENTIFIED BY 'secret'")
    try:
        for grant in grants:
            execute(engine, f"GRANT {grant.format(db=engine.url.database)} TO '{name}'@'%'")
        yield engine.url.set(username=name, password="secret")
    finally:
        execute(engine, f"DROP USER '{name}'@'%'")


def execute(engine: sa.Engine, statement: str) -> list[Any]:
    """Execute a statement on a connection of its own, commit, and return the rows."""
    with engine.begin() as connection:
        result = connection.exec_driver_sql(statement.replace("%", "%%"))
        return list(result) if result.returns_rows else []


def state_of(engine: sa.Engine, number: int) -> str:
    """What the server says that a session is at; empty where there is no such session."""
    query = f"SELECT state FROM information_schema.processlist WHERE id = {number}"
    return "".join(str(state) for (state,) in execute(engine, query))


def eventually(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """What the condition gives as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)
    return found
