"""The right to migrate a MySQL database: one process has it, and it ends with the process."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from tests.migrations.mysql_sessions import (
    DRIVERS,
    eventually,
    execute,
    runner,
    state_of,
    user,
    with_driver,
)

from flask_retort.errors import BehindPooler, MigrationError
from flask_retort.migrations.backends import Observed, own
from flask_retort.migrations.backends.mysql_lock import LOCK, STAY, MySQLLock, lock_name, try_take


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, mysql_url: sa.URL) -> Iterator[sa.Engine]:
    """With a pool that has room for one connection."""
    url = with_driver(mysql_url, request.param)
    engine = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=1)
    yield engine
    engine.dispose()


@pytest.fixture
def lock(engine: sa.Engine) -> Iterator[MySQLLock]:
    """Not yet taken."""
    lock = MySQLLock(engine, "alembic_version")
    yield lock
    lock.release()


def test_two_runners_exclude_each_other(engine: sa.Engine, lock: MySQLLock) -> None:
    """Until the first gives it back; asking never waits."""
    other = MySQLLock(engine, "alembic_version")
    assert lock.try_acquire()
    begin = time.monotonic()
    assert not other.try_acquire()
    assert time.monotonic() - begin < 1
    lock.release()
    assert other.try_acquire()
    other.release()
    other.release()


def test_asked_twice_it_is_still_given_back_whole(engine: sa.Engine, lock: MySQLLock) -> None:
    """Named locks count how often they are taken."""
    assert lock.try_acquire()
    assert lock.try_acquire()
    lock.release()
    again = MySQLLock(engine, "alembic_version")
    assert again.try_acquire()
    again.release()


def test_another_version_table_or_database_has_another_lock(
    engine: sa.Engine, lock: MySQLLock
) -> None:
    """Names of locks belong to the whole server."""
    assert lock.try_acquire()
    other_table = MySQLLock(engine, "other_version")
    assert other_table.try_acquire()
    other_table.release()
    elsewhere = sa.create_engine(engine.url.set(database="mysql"), poolclass=sa.NullPool)
    other_database = MySQLLock(elsewhere, "alembic_version")
    assert other_database.try_acquire()
    other_database.release()


def test_names_are_short_and_differ_where_tables_do(engine: sa.Engine) -> None:
    """MySQL takes 64 characters and makes no difference between capitals and small letters."""
    tables = ["v", "V", "é", "e", "x" * 60, "x" * 61, "X" * 61]
    with engine.connect() as connection:
        names = [lock_name(connection, LOCK, table) for table in tables]
        for name in names:
            assert try_take(connection, name)
    assert max(map(len, names)) <= 64
    assert len({name.lower() for name in names}) == len(tables)


def test_it_needs_no_room_in_the_pool(engine: sa.Engine, lock: MySQLLock) -> None:
    """A pool of one connection has that one for the work; the lock's is closed at the end."""
    with engine.connect() as connection:
        assert lock.try_acquire()
        connection.exec_driver_sql("SELECT 1").close()
        query = "SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE()"
        assert connection.exec_driver_sql(query).scalar() == 2
        lock.release()
        eventually(lambda: connection.exec_driver_sql(query).scalar() == 1)


def test_its_connection_is_opened_as_the_pools_are_and_stays(
    engine: sa.Engine, lock: MySQLLock
) -> None:
    """The application's events apply; a server that ends idle sessions early does not end it."""
    seen: list[int] = []

    @event.listens_for(engine, "connect")
    def connected(connection: sa.PoolProxiedConnection, record: object) -> None:
        seen.append(1)
        cursor = connection.cursor()
        cursor.execute("SET SESSION wait_timeout = 1")
        cursor.close()

    assert lock.try_acquire()
    assert len(seen) == 1
    assert lock._connection is not None
    waits = lock._connection.exec_driver_sql("SELECT @@SESSION.wait_timeout").scalar()
    assert waits == STAY
    time.sleep(1.5)
    other = MySQLLock(engine, "alembic_version")
    assert not other.try_acquire()
    other.release()


def test_another_process_is_named_and_a_killed_one_has_nothing(
    engine: sa.Engine, lock: MySQLLock
) -> None:
    """kill -9 of the holder frees the lock as soon as the server notices."""
    with runner(engine.url) as (process, worker):
        assert not lock.try_acquire()
        numbers = {int(row[0]) for row in execute(engine, "SHOW PROCESSLIST")}
        words = lock.holder().split()
        assert words[0] == "connection"
        assert int(words[1]) in numbers - {worker}
        assert words[2:6] == ["of", "user", engine.url.username, "from"]
        assert "KILL" not in lock.holder()
        process.kill()
        process.wait()
        eventually(lock.try_acquire)
    assert lock.holder() == ""


def test_who_may_not_see_others_still_learns_the_number(engine: sa.Engine) -> None:
    """Without the PROCESS privilege, the sessions of other users are not listed."""
    with user(engine, "ALL ON {db}.*") as url, runner(engine.url):
        mine = sa.create_engine(url, poolclass=sa.NullPool)
        lock = MySQLLock(mine, "alembic_version")
        assert not lock.try_acquire()
        assert lock.holder().startswith("connection ")
        assert "user" not in lock.holder()
        lock.release()


def test_who_may_not_see_others_sees_sessions_of_the_own_user(engine: sa.Engine) -> None:
    """Which is the usual case: all runners have the same URL."""
    with user(engine, "ALL ON {db}.*") as url, runner(url):
        lock = MySQLLock(sa.create_engine(url, poolclass=sa.NullPool), "alembic_version")
        assert not lock.try_acquire()
        assert f"of user {url.username} from" in lock.holder()
        lock.release()


def test_a_killed_runner_is_waited_for_while_its_statement_goes_on(
    engine: sa.Engine, lock: MySQLLock
) -> None:
    """The server does not stop with the client: nobody may begin before it has."""
    with runner(engine.url, "SELECT SLEEP(4)") as (process, worker):
        eventually(lambda: state_of(engine, worker) == "User sleep")
        process.kill()
        process.wait()
        begin = time.monotonic()
        eventually(lambda: not lock.try_acquire() and "KILL" in lock.holder())
        assert f"connection {worker} of user" in lock.holder()
        assert f"'KILL {worker}' ends it" in lock.holder()
        eventually(lock.try_acquire)
        assert time.monotonic() - begin > 1


def test_a_lost_connection_is_told_and_frees_the_lock(engine: sa.Engine, lock: MySQLLock) -> None:
    """Nothing raises an error of which nobody could tell what it has to do with the migration."""
    assert lock.try_acquire()
    assert lock._connection is not None
    number = lock._connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar()
    assert lock.observe(number) == Observed()
    execute(engine, f"KILL {number}")
    for _ in range(2):
        assert "connection is lost" in lock.observe(number).detail
    lock.release()
    assert lock.observe(number) == Observed()
    again = MySQLLock(engine, "alembic_version")
    assert again.try_acquire()
    again.release()


def test_a_connection_lost_unnoticed_can_be_given_back(engine: sa.Engine, lock: MySQLLock) -> None:
    """The end of a run is not the place to find that out."""
    assert lock.try_acquire()
    assert lock._connection is not None
    number = lock._connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar()
    execute(engine, f"KILL {number}")
    lock.release()


def test_a_server_that_refuses_named_locks_is_not_worked_with(
    lock: MySQLLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node of a strict cluster does: without the lock, two runners would meet."""

    def refused(connection: sa.Connection, statement: str, *arguments: object) -> object:
        if "GET_LOCK" in statement:
            text = "Percona-XtraDB-Cluster prohibits use of GET_LOCK"
            raise sa.exc.InternalError(statement, None, Exception(1105, text))
        return own(connection, statement, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("flask_retort.migrations.backends.mysql_lock.own", refused)
    with pytest.raises(MigrationError, match=r"prohibits use of GET_LOCK.*pxc_strict_mode"):
        lock.try_acquire()


def test_a_lock_that_is_another_sessions_is_none(
    lock: MySQLLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something that deals statements out to sessions at will would let two runners in."""
    monkeypatch.setattr(
        "flask_retort.migrations.backends.mysql_lock.session_with", lambda connection, name: 1
    )
    with pytest.raises(BehindPooler, match="another session"):
        lock.try_acquire()
