"""The lock of a PostgreSQL database: one process at a time, whatever becomes of it."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from tests.conftest import Disposed
from tests.migrations.programs import eventually, running

from flask_retort.config import Config
from flask_retort.engines import make_engine
from flask_retort.migrations.backends import Lock
from flask_retort.migrations.backends.postgresql_lock import (
    MARK,
    PostgreSQLLock,
    give_back,
    key_of,
    try_take,
)

DRIVERS = ["postgresql+psycopg", "postgresql+psycopg2"]
HOLD = """
    import sys, time
    import sqlalchemy as sa
    from flask_retort.migrations.backends.postgresql_lock import PostgreSQLLock

    lock = PostgreSQLLock(sa.create_engine(sys.argv[1]), "alembic_version")
    assert lock.try_acquire()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def engine(postgresql_url: sa.URL, disposed: Disposed) -> sa.Engine:
    """An engine of the test's database."""
    return disposed(sa.create_engine(postgresql_url))


@contextmanager
def lock_of(engine: sa.Engine, version_table: str = "alembic_version") -> Iterator[Lock]:
    lock = PostgreSQLLock(engine, version_table)
    try:
        yield lock
    finally:
        lock.release()


@pytest.mark.parametrize("driver", DRIVERS)
def test_another_process_is_kept_out_until_it_is_killed(
    postgresql_url: sa.URL, disposed: Disposed, driver: str
) -> None:
    """It is named by process, host, age and session; SIGKILL gives the lock back."""
    url = postgresql_url.set(drivername=driver)
    engine = disposed(sa.create_engine(url))
    with running(HOLD, url.render_as_string(hide_password=False)) as other, lock_of(engine) as lock:
        assert not lock.try_acquire()
        time.sleep(1.1)
        assert not lock.try_acquire()
        words = (
            rf"process {other.pid} on {socket.gethostname()[:35]}, since [1-9]\d* s"
            r" \(PostgreSQL session \d+\)"
        )
        assert re.fullmatch(words, lock.holder())
        other.kill()
        eventually(lock.try_acquire, 5)
        assert lock.holder() == ""


def test_one_process_excludes_itself(engine: sa.Engine) -> None:
    """Two locks of one process are two runners; released, and twice, it is free."""
    with lock_of(engine) as first, lock_of(engine) as second:
        assert first.try_acquire()
        assert first.try_acquire(), "asked again, it is still had"
        assert not second.try_acquire()
        first.release()
        first.release()
        eventually(second.try_acquire, 5)
        assert not first.try_acquire(), "it can be asked for again after release"


def test_a_pool_of_one_connection_in_use_is_enough(
    postgresql_url: sa.URL, disposed: Disposed
) -> None:
    """The engine is one of the extension's own; nothing of its pool is touched."""
    config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": postgresql_url})
    options = {"url": postgresql_url, "pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    engine = disposed(make_engine(options, bind_key=None, config=config))
    with engine.connect() as work:
        pid = work.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        with lock_of(engine) as lock:
            assert lock.try_acquire()
            assert lock.observe(pid).blockers == ()
            assert "Connections in pool: 0" in engine.pool.status()
        assert work.execute(sa.text("SELECT 1")).scalar() == 1
    assert "Current Checked out connections: 0" in engine.pool.status()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as work:
        count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        eventually(lambda: work.execute(count).scalar() == 1, 5)


def test_other_version_tables_have_locks_of_their_own(engine: sa.Engine) -> None:
    """With its default schema or without, a table is the same; any other one is another."""
    with (
        lock_of(engine) as lock,
        lock_of(engine, "public.alembic_version") as same,
        lock_of(engine, "other.alembic_version") as elsewhere,
        lock_of(engine, "alembic_version_two") as other,
    ):
        assert lock.try_acquire()
        assert not same.try_acquire()
        assert elsewhere.try_acquire()
        assert other.try_acquire()


def test_other_databases_have_locks_of_their_own(
    engine: sa.Engine, postgresql_server: sa.URL, disposed: Disposed
) -> None:
    """Of the same server, with a version table of the same name."""
    other = disposed(sa.create_engine(postgresql_server))
    with lock_of(engine, "public.retort") as lock, lock_of(other, "public.retort") as elsewhere:
        assert lock.try_acquire()
        assert elsewhere.holder() == ""
        assert elsewhere.try_acquire()


def test_who_waits_holds_no_snapshot(engine: sa.Engine) -> None:
    """A concurrent index waits for snapshots; with a waiting runner's it would wait for ever."""
    query = sa.text(
        "SELECT state, backend_xmin, xact_start FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with lock_of(engine) as lock, lock_of(engine) as waiting, engine.connect() as look:
        look.execution_options(isolation_level="AUTOCOMMIT")
        assert lock.try_acquire()
        assert not waiting.try_acquire()
        # Those that were opened to find a pooler are about to end.
        eventually(lambda: len(look.execute(query).all()) == 2, 5)
        assert [tuple(row) for row in look.execute(query)] == [("idle", None, None)] * 2


@pytest.mark.parametrize("asks_first", [False, True])
def test_the_holder_is_known_to_users_of_few_rights(
    engine: sa.Engine, postgresql_url: sa.URL, disposed: Disposed, asks_first: bool
) -> None:
    """And to who never asked for the lock; where it is free, nobody is named."""
    role = f"few_{postgresql_url.database}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
    limited = disposed(sa.create_engine(postgresql_url.set(username=role)))
    try:
        with lock_of(engine) as lock, lock_of(limited) as other:
            assert other.holder() == ""
            assert lock.try_acquire()
            if asks_first:
                assert not other.try_acquire()
            assert f"process {os.getpid()} on " in other.holder()
            lock.release()
            eventually(lambda: other.holder() == "", 5)
    finally:
        limited.dispose()
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP ROLE {role}"))


def test_a_foreign_session_with_the_lock_is_named_too(engine: sa.Engine) -> None:
    """Somebody took it by hand, without our signature."""
    with lock_of(engine) as lock, engine.connect() as other:
        assert lock.holder() == ""
        parameters = {"area": int.from_bytes(b"rt_l"), "key": _key(engine)}
        other.execute(sa.text("SELECT pg_advisory_lock(:area, :key)"), parameters)
        assert not lock.try_acquire()
        pid = other.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        assert lock.holder() == f"PostgreSQL session {pid} of user {engine.url.username}"
        other.execute(sa.text("SELECT pg_advisory_unlock(:area, :key)"), parameters)


def test_a_session_that_outlived_its_run_keeps_others_out(engine: sa.Engine) -> None:
    """Its mark counts as much as the lock, and the words say how to end it."""
    with lock_of(engine) as lock, lock_of(engine) as third, engine.connect() as orphan:
        assert try_take(orphan, MARK, _key(engine))
        orphan.commit()
        pid = orphan.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        assert not lock.try_acquire()
        assert f"PostgreSQL session {pid}" in lock.holder()
        assert f"SELECT pg_terminate_backend({pid})" in lock.holder()
        assert "terminate" not in third.holder(), "that one waits for the first"
        give_back(orphan, MARK, _key(engine))
        orphan.commit()
        assert lock.try_acquire()


def test_a_lost_connection_is_said_and_no_other_one_taken(
    postgresql_url: sa.URL, disposed: Disposed
) -> None:
    """Looking goes on without an error, and does not take the pool's only connection."""
    engine = disposed(sa.create_engine(postgresql_url, pool_size=1, max_overflow=0, pool_timeout=1))
    with engine.connect() as work, lock_of(engine) as lock:
        assert lock.try_acquire()
        session = _session_of(lock)
        pid = work.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        work.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": session})
        for _ in range(3):
            assert "the work itself goes on" in lock.observe(pid).detail
            time.sleep(0.1)
        lock.release()
        assert lock.try_acquire(), "with a new connection, it is free"


def test_the_servers_limit_for_idle_sessions_does_not_end_it(
    engine: sa.Engine, postgresql_url: sa.URL
) -> None:
    """A runner that waits, or whose revision computes, says nothing for long."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = postgresql_url.database
        connection.execute(sa.text(f"ALTER DATABASE {name} SET idle_session_timeout = 300"))
    with lock_of(engine) as lock, lock_of(engine) as other:
        assert lock.try_acquire()
        time.sleep(0.8)
        assert not other.try_acquire()


def test_it_is_made_without_a_connection() -> None:
    """The server need not even be there; nothing has to be released."""
    lock = PostgreSQLLock(sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"), "v")
    assert lock.observe(1).detail == ""
    lock.release()


def _key(engine: sa.Engine) -> int:
    with engine.connect():
        return key_of(engine.dialect, "alembic_version")


def _session_of(lock: Lock) -> int:
    assert isinstance(lock, PostgreSQLLock)
    assert lock._connection is not None
    pid: int = lock._connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    return pid
