"""The databases of a run: made for it, filled with the same rows, dropped at its end."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import exc

USERS = 1000
"""Rows of the table "users", with the keys 1 to USERS."""


@dataclass(frozen=True)
class Server:
    """A database server, named by a URL with rights to create databases.

    :param variable: environment variable that holds the URL.
    :param standard: URL that is tried without it.
    """

    name: str
    variable: str
    standard: str
    version_query: str
    drop: str

    def url(self) -> sa.URL:
        """Where the server is expected."""
        return sa.make_url(os.environ.get(self.variable) or self.standard)

    def absence(self) -> str | None:
        """Why the server can't be used, in one line without the URL; None when it answers."""
        try:
            _execute(self.url().update_query_dict({"connect_timeout": "3"}), "SELECT 1")
        except (exc.OperationalError, ImportError) as error:
            return f"no {self.name} server ({type(error).__name__}); name one in {self.variable}"
        return None

    def version(self) -> str:
        """The server's version."""
        return str(_execute(self.url(), self.version_query)).split()[0].split("-")[0]


POSTGRESQL = Server(
    "PostgreSQL",
    "RETORT_TEST_POSTGRESQL",
    "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
    "SHOW server_version",
    "DROP DATABASE {} WITH (FORCE)",
)
MARIADB = Server(
    "MariaDB",
    "RETORT_TEST_MYSQL",
    "mysql+pymysql://root@127.0.0.1:3306/",
    "SELECT VERSION()",
    "DROP DATABASE {}",
)


@contextmanager
def filled_file() -> Generator[sa.URL, None, None]:
    """The URL of a SQLite file with the users in it, in WAL mode for whoever opens it."""
    with tempfile.TemporaryDirectory(prefix="retort-bench-") as folder:
        path = os.path.join(folder, "bench.db")
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = wal")
        connection.close()
        url = sa.URL.create("sqlite", database=path)
        _fill(url)
        yield url


@contextmanager
def filled_database(server: Server) -> Generator[sa.URL, None, None]:
    """The URL of a new database on the server with the users in it."""
    with new_database(server) as url:
        _fill(url)
        yield url


@contextmanager
def new_database(server: Server) -> Generator[sa.URL, None, None]:
    """The URL of a new, empty database on the server."""
    name = f"retort_bench_{os.getpid()}"
    _execute(server.url(), f"CREATE DATABASE {name}")
    try:
        yield server.url().set(database=name)
    finally:
        _execute(server.url(), server.drop.format(name))


def _fill(url: sa.URL) -> None:
    users = sa.Table(
        "users",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("email", sa.String(120), nullable=False, unique=True),
        sa.Column("city", sa.String(80), nullable=False),
        sa.Column("points", sa.Integer, nullable=False),
    )
    numbers = range(1, USERS + 1)
    rows = [
        {"name": f"User {n}", "email": f"u{n}@example.org", "city": f"City {n % 97}", "points": n}
        for n in numbers
    ]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        users.create(connection)
        connection.execute(users.insert(), rows)


def _execute(url: sa.URL, statement: str) -> object:
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.exec_driver_sql(statement)
        return result.scalar() if result.returns_rows else None
