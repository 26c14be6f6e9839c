"""Poolers between us and the server: a real pgbouncer in each of its modes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from tests.conftest import Disposed

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import BehindPooler
from flask_retort.migrations.backends.postgresql import PostgreSQL

DRIVERS = ["postgresql+psycopg", "postgresql+psycopg2"]
Pgbouncer = Callable[..., sa.URL]


@pytest.fixture
def pgbouncer(postgresql_url: sa.URL) -> Iterator[Pgbouncer]:
    """``pgbouncer("transaction", pool_size=2)``: a URL of the test's database through one."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        reason = "pgbouncer is not installed (Debian's package pgbouncer)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    started: list[subprocess.Popen[bytes]] = []
    with _folder() as folder:

        def start(mode: str, **options: object) -> sa.URL:
            port = _free_port()
            command = [program, _settings(folder, postgresql_url, port, mode, options)]
            user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
            with (folder / "log").open("ab") as log:
                started.append(subprocess.Popen(command, user=user, stdout=log, stderr=log))
            _wait(port)
            return postgresql_url.set(host="127.0.0.1", port=port, query={})

        yield start
        for process in started:
            process.kill()
            process.wait()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"default_pool_size": 1},
        {"server_round_robin": 1, "min_pool_size": 2, "default_pool_size": 2},
        {"server_round_robin": 1, "min_pool_size": 5},
    ],
    ids=["usual", "one session", "two in turn", "five in turn"],
)
def test_transaction_mode_is_refused(
    pgbouncer: Pgbouncer, disposed: Disposed, driver: str, options: dict[str, object]
) -> None:
    """However many sessions the pooler has and in whichever order it deals them out."""
    url = pgbouncer("transaction", **options)
    with pytest.raises(BehindPooler, match=f":{url.port}/.*server's own host") as info:
        _acquire(disposed(sa.create_engine(url.set(drivername=driver))))
    assert "[retort:behind-pooler]" in str(info.value)


def test_a_busy_pooler_is_refused(pgbouncer: Pgbouncer, disposed: Disposed) -> None:
    """Also while other clients take and give back sessions all the time."""
    url = pgbouncer("transaction", default_pool_size=4)
    others = disposed(sa.create_engine(url, pool_size=6, connect_args={"prepare_threshold": None}))
    engine = disposed(sa.create_engine(url))
    is_over = threading.Event()

    def use() -> None:
        while not is_over.is_set():
            with others.begin() as connection:
                connection.execute(sa.text("SELECT pg_sleep(random() / 100)"))

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            with pytest.raises(BehindPooler):
                _acquire(engine)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def test_nothing_is_left_on_the_poolers_sessions(
    pgbouncer: Pgbouncer, disposed: Disposed, postgresql_url: sa.URL
) -> None:
    """They are other clients' too: no lock, no setting, no open transaction."""
    url = pgbouncer("transaction", default_pool_size=1)
    engine = disposed(sa.create_engine(url))
    with pytest.raises(BehindPooler):
        _acquire(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SHOW tcp_keepalives_count")).scalar() != "3"
        name = connection.execute(sa.text("SHOW application_name")).scalar_one()
        assert not name.startswith("flask db")
        held = sa.text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
        )
        assert connection.execute(held).scalar() == 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_statement_mode_is_refused(pgbouncer: Pgbouncer, disposed: Disposed, driver: str) -> None:
    """An engine that makes no transaction when it connects gets as far as our question."""
    url = pgbouncer("statement").set(drivername=driver)
    with pytest.raises(BehindPooler):
        _acquire(
            disposed(sa.create_engine(url, isolation_level="AUTOCOMMIT", use_native_hstore=False))
        )


@pytest.mark.parametrize("driver", DRIVERS)
def test_statement_mode_lets_no_ordinary_engine_in(
    pgbouncer: Pgbouncer, disposed: Disposed, driver: str
) -> None:
    """Its transactions are refused by the pooler itself, from the first statement on."""
    url = pgbouncer("statement").set(drivername=driver)
    with pytest.raises(exc.DBAPIError):
        _acquire(disposed(sa.create_engine(url)))


@pytest.mark.parametrize("driver", DRIVERS)
def test_session_mode_is_as_good_as_none(
    pgbouncer: Pgbouncer, disposed: Disposed, driver: str
) -> None:
    """The lock is held, excludes, and is free when it is given back."""
    engine = disposed(sa.create_engine(pgbouncer("session").set(drivername=driver)))
    first = PostgreSQL(MigrationsConfig()).lock(engine, "alembic_version")
    second = PostgreSQL(MigrationsConfig()).lock(engine, "alembic_version")
    assert first.try_acquire()
    assert not second.try_acquire()
    assert f"process {os.getpid()} on " in second.holder()
    first.release()
    assert _soon(second.try_acquire)
    second.release()


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_server_itself_is_never_taken_for_a_pooler(
    postgresql_url: sa.URL, disposed: Disposed, driver: str
) -> None:
    """Twenty times, with a pool of one connection that is in use."""
    url = postgresql_url.set(drivername=driver)
    engine = disposed(sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=1))
    with engine.connect():
        for _ in range(20):
            _acquire(engine)


def _acquire(engine: sa.Engine) -> None:
    lock = PostgreSQL(MigrationsConfig()).lock(engine, "alembic_version")
    try:
        assert _soon(lock.try_acquire)
    finally:
        lock.release()


def _soon(condition: Callable[[], bool]) -> bool:
    """The server needs a moment to see that a connection was closed."""
    deadline = time.monotonic() + 5
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


@contextmanager
def _folder() -> Iterator[Path]:
    """Where the pooler's account may read: pytest's temporary folders are closed to others."""
    with tempfile.TemporaryDirectory(prefix="retort-pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _settings(
    folder: Path, server: sa.URL, port: int, mode: str, options: dict[str, object]
) -> str:
    users, settings = folder / "users", folder / f"{port}.ini"
    users.write_text(f'"{server.username}" "{server.password or ""}"\n')
    lines = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": users,
        "pool_mode": mode,
        **options,
    }
    # An embedded server listens on a socket only, named in the URL's query.
    host = server.host or server.query.get("host", "127.0.0.1")
    databases = f"[databases]\n{server.database} = host={host} port={server.port or 5432}\n"
    text = databases + "[pgbouncer]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items())
    settings.write_text(text)
    return str(settings)


def _wait(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "pgbouncer does not listen"
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
