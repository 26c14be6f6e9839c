"""PostgreSQL as the runner uses it: settings, the mark, waiting, killed runs, errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from tests.conftest import Disposed
from tests.migrations.postgresql_runs import (
    DRIVERS,
    SETTINGS,
    alone,
    autocommit,
    execute,
    with_items,
)
from tests.migrations.programs import eventually

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import RunnerBusy
from flask_retort.migrations.backends import backend_for
from flask_retort.migrations.backends.postgresql import PostgreSQL

WATCHED = {
    "lock_timeout": "600ms",
    "statement_timeout": "8s",
    "idle_in_transaction_session_timeout": "9s",
    "idle_session_timeout": "0",
    "client_connection_check_interval": "2s",
}
REPEATED = [
    ("CREATE TABLE made (n int)", "CREATE TABLE made (n int)"),
    ("CREATE INDEX ix ON item (n)", "CREATE INDEX ix ON item (n)"),
    ("CREATE SCHEMA made", "CREATE SCHEMA made"),
    ("CREATE TYPE made AS ENUM ('a')", "CREATE TYPE made AS ENUM ('a')"),
    ("CREATE TYPE made AS ENUM ('a')", "ALTER TYPE made ADD VALUE 'a'"),
    ("ALTER TABLE item ADD COLUMN b int", "ALTER TABLE item ADD COLUMN b int"),
    ("ALTER TABLE item ADD CONSTRAINT c CHECK (n > 0)",) * 2,
    ("ALTER TABLE item ADD CONSTRAINT c UNIQUE (id)",) * 2,
    ("SELECT 1", "DROP TABLE not_there"),
    ("SELECT 1", "DROP INDEX CONCURRENTLY not_there"),
    ("SELECT 1", "DROP SCHEMA not_there"),
    ("SELECT 1", "DROP TYPE not_there"),
    ("SELECT 1", "ALTER TABLE item DROP COLUMN not_there"),
    ("SELECT 1", "ALTER TABLE item DROP CONSTRAINT not_there"),
    ("SELECT 1", "ALTER TABLE not_there RENAME TO other"),
    ("SELECT 1", "ALTER TABLE item RENAME COLUMN not_there TO other"),
    (
        "CREATE TABLE parts (n int) PARTITION BY LIST (n)",
        "ALTER TABLE parts DETACH PARTITION item CONCURRENTLY",
    ),
]
"""What was done before, and a statement whose error says that it was made already."""

NOT_REPEATED = [
    ("CREATE TABLE made (n int)", "CREATE INDEX CONCURRENTLY made ON item (n)"),
    ("SELECT 1", "CREATE TABLE t (n not_there)"),
    ("SELECT 1", "ALTER TABLE not_there ADD COLUMN n int"),
    ("SELECT 1", "ALTER TABLE not_there DROP COLUMN n"),
    ("SELECT 1", "INSERT INTO not_there VALUES (1)"),
    ("CREATE TABLE other (n int)", "ALTER TABLE item RENAME TO other"),
    ("CREATE VIEW v AS SELECT * FROM item", "DROP TABLE item"),
]
"""What is there or missing in these is not what the statement makes or removes."""


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, postgresql_url: sa.URL, disposed: Disposed) -> sa.Engine:
    """For each driver, with a table ``item``."""
    return with_items(disposed(sa.create_engine(postgresql_url.set(drivername=request.param))))


@pytest.fixture
def backend() -> PostgreSQL:
    """With short limits."""
    return PostgreSQL(SETTINGS)


@pytest.fixture
def work(engine: sa.Engine, backend: PostgreSQL) -> Iterator[sa.Connection]:
    """The worker's connection, within its session."""
    with engine.connect() as connection, backend.session(connection, "alembic_version"):
        yield connection


def show(connection: sa.Connection, *names: str) -> dict[str, object]:
    found = {name: execute(connection, f"SHOW {name}").scalar() for name in names or WATCHED}
    connection.rollback()
    return found


# --- settings and the mark --------------------------------------------------------


def test_it_is_the_back_end_of_both_drivers(engine: sa.Engine) -> None:
    """By the dialect's name."""
    assert type(backend_for(engine.dialect, SETTINGS)) is PostgreSQL


@pytest.mark.parametrize("fails", [False, True])
def test_settings_hold_for_the_run_and_are_put_back(
    engine: sa.Engine, backend: PostgreSQL, fails: bool
) -> None:
    """Over transactions and rollbacks; a failed run, in a failed transaction, puts back too."""
    names = [*WATCHED, "application_name", "tcp_keepalives_count"]
    with engine.connect() as connection:
        execute(connection, "SET lock_timeout = '77s'")
        connection.commit()
        before = show(connection, *names)
        try:
            with backend.session(connection, "alembic_version"):
                assert not connection.in_transaction()
                assert show(connection) == WATCHED
                execute(connection, "INSERT INTO item VALUES (11, 1)")
                connection.rollback()
                assert show(connection) == WATCHED
                if fails:
                    execute(connection, "SELECT * FROM not_there")
        except exc.ProgrammingError:
            assert fails
        assert not connection.in_transaction()
        assert show(connection, *names) == before
        held = execute(
            connection,
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        )
        assert held.scalar() == 0


def test_zero_is_no_limit(engine: sa.Engine) -> None:
    """And a limit below a millisecond is one, not none."""
    settings = MigrationsConfig(lock_timeout=0.0001, statement_timeout=0, idle_timeout=0)
    with engine.connect() as connection, PostgreSQL(settings).session(connection, "v"):
        limits = show(connection)
    assert limits["lock_timeout"] == "1ms"
    assert limits["statement_timeout"] == "0"
    assert limits["idle_in_transaction_session_timeout"] == "0"


def test_a_session_that_is_lost_hides_no_error(engine: sa.Engine, backend: PostgreSQL) -> None:
    """The error of the run comes out, noticed by SQLAlchemy or not; nothing is put back."""
    with engine.connect() as connection, engine.connect() as other:

        def lose_it() -> int:
            pid = backend.worker_id(connection)
            connection.rollback()
            execute(other, f"SELECT pg_terminate_backend({pid})")
            return 0

        with pytest.raises(exc.OperationalError), backend.session(connection, "v"):
            execute(connection, f"SELECT {lose_it()}")
        connection.rollback()
        with pytest.raises(ZeroDivisionError), backend.session(connection, "v"):
            _ = 1 / lose_it()


def test_two_sessions_of_one_version_table_exclude_each_other(
    engine: sa.Engine, backend: PostgreSQL
) -> None:
    """Also where both had the lock: the second waits as long as it may, and names the first."""
    with engine.connect() as first, engine.connect() as second:
        with backend.session(first, "alembic_version"):
            pid = backend.worker_id(first)
            first.rollback()
            start = time.monotonic()
            with (
                pytest.raises(RunnerBusy, match=rf"session {pid}.*pg_terminate_backend\({pid}\)"),
                PostgreSQL(SETTINGS).session(second, "alembic_version"),
            ):
                pass
            assert 1 <= time.monotonic() - start < 3
            assert not second.in_transaction()
            with PostgreSQL(SETTINGS).session(second, "another"):
                pass
        with PostgreSQL(SETTINGS).session(second, "alembic_version"):
            pass


# --- waiting ----------------------------------------------------------------------


def test_an_alter_gives_up_and_readers_wait_no_longer(
    engine: sa.Engine, backend: PostgreSQL, work: sa.Connection
) -> None:
    """It fails within its lock timeout as transient; the one in the way was seen meanwhile."""
    lock = backend.lock(engine, "alembic_version")
    assert lock.try_acquire() is False, "the session's mark stands for a run"
    worker = backend.worker_id(work)
    work.rollback()
    waited: list[float] = []
    seen: set[str] = set()

    def is_blocked() -> bool:
        seen.update(lock.observe(worker).blockers)
        return bool(seen)

    def read() -> None:
        eventually(is_blocked)
        start = time.monotonic()
        with engine.connect() as reader:
            execute(reader, "SELECT count(*) FROM item")
        waited.append(time.monotonic() - start)

    with engine.connect() as holder:
        pid = execute(holder, "SELECT pg_backend_pid() FROM item").scalar()
        thread = threading.Thread(target=read)
        thread.start()
        start = time.monotonic()
        with pytest.raises(exc.OperationalError) as info:
            execute(work, "ALTER TABLE item ADD COLUMN b int")
        lasted = time.monotonic() - start
        thread.join()
    lock.release()
    assert 0.6 <= lasted < 2
    assert waited[0] < 0.6 + 0.5
    assert backend.is_transient(info.value)
    assert [words for words in seen if words.startswith(f"session {pid} of user ")]


def test_an_index_waits_for_older_transactions_without_a_limit(
    engine: sa.Engine, backend: PostgreSQL, work: sa.Connection
) -> None:
    """Longer than ``lock_timeout``; what is said meanwhile names the one it waits for."""
    lock = backend.lock(engine, "alembic_version")
    assert not lock.try_acquire()
    worker = backend.worker_id(work)
    work.rollback()
    work.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as old:
        pid = execute(old, "SELECT pg_backend_pid()").scalar()
        execute(old, "DELETE FROM item WHERE id = 1")

        def end_it() -> None:
            eventually(lambda: lock.observe(worker).detail)
            time.sleep(1.5)
            details.append(lock.observe(worker).detail)
            old.rollback()

        details: list[str] = []
        thread = threading.Thread(target=end_it)
        thread.start()
        alone(backend, work, "CREATE INDEX CONCURRENTLY ix ON item (n)")
        thread.join()
    lock.release()
    assert details[-1].startswith("waiting for older transactions (0 of 1 ended): session")
    assert f"session {pid} of user" in details[-1]
    assert execute(work, "SHOW lock_timeout").scalar() == "600ms"
    assert execute(work, "SHOW statement_timeout").scalar() == "8s"


def test_a_validation_has_no_limit_where_it_blocks_nobody(
    backend: PostgreSQL, work: sa.Connection
) -> None:
    """After a stronger lock in the same transaction it has; the next statement has again."""
    add = "ALTER TABLE item ADD CONSTRAINT positive CHECK (n > 0) NOT VALID"
    validate = "ALTER TABLE item VALIDATE CONSTRAINT positive"
    with work.begin():
        for statement, limit in ((add, "8s"), (validate, "8s")):
            backend.before_statement(work, statement)
            assert execute(work, "SHOW statement_timeout").scalar() == limit
            execute(work, statement)
            backend.after_statement(work, statement)
    with work.begin():
        backend.before_statement(work, validate)
        assert execute(work, "SHOW statement_timeout").scalar() == "0"
        execute(work, validate)
        backend.after_statement(work, validate)
        assert execute(work, "SHOW statement_timeout").scalar() == "8s"
    backend.before_statement(work, validate)  # and then it fails
    work.commit()
    backend.before_statement(work, add)
    assert execute(work, "SHOW statement_timeout").scalar() == "8s"


@pytest.mark.parametrize("statement", ["VACUUM FULL item", "REINDEX TABLE item"])
def test_what_blocks_others_keeps_its_limits(
    backend: PostgreSQL, work: sa.Connection, engine: sa.Engine, statement: str
) -> None:
    """It can't be rolled back, and it must not keep readers waiting either."""
    work.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as holder:
        execute(holder, "UPDATE item SET n = 1")
        with pytest.raises(exc.OperationalError) as info:
            alone(backend, work, statement)
    assert backend.is_transient(info.value)


# --- errors -----------------------------------------------------------------------


def test_a_statement_timeout_would_come_again(engine: sa.Engine) -> None:
    """It is not transient; nor is a table that is not there."""
    backend = PostgreSQL(replace(SETTINGS, statement_timeout=0.2))
    with engine.connect() as connection, backend.session(connection, "v"):
        for statement in ("SELECT pg_sleep(5)", "SELECT * FROM not_there"):
            with pytest.raises(exc.DBAPIError) as info:
                execute(connection, statement)
            connection.rollback()
            assert not backend.is_transient(info.value)
            assert not backend.is_denied(info.value)


def test_a_deadlock_is_transient(engine: sa.Engine, backend: PostgreSQL) -> None:
    """Whichever of the two the server has chosen."""
    failed: list[exc.DBAPIError] = []
    meet = threading.Barrier(2)

    def update(first: int, second: int) -> None:
        with engine.connect() as connection:
            execute(connection, f"UPDATE item SET n = 2 WHERE id = {first}")
            meet.wait(10)
            try:
                execute(connection, f"UPDATE item SET n = 2 WHERE id = {second}")
            except exc.DBAPIError as error:
                failed.append(error)

    threads = [threading.Thread(target=update, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [backend.is_transient(error) for error in failed] == [True]


def test_a_missing_right_is_denied(
    engine: sa.Engine, backend: PostgreSQL, disposed: Disposed
) -> None:
    """Another user's table, and a schema that may not be used; also not transient."""
    role = f"none_{engine.url.database}"
    with engine.begin() as connection:
        execute(connection, f"CREATE ROLE {role} LOGIN; CREATE SCHEMA closed")
    limited = disposed(sa.create_engine(engine.url.set(username=role)))
    try:
        with limited.connect() as connection, backend.session(connection, "alembic_version"):
            for statement in ("ALTER TABLE item ADD COLUMN b int", "CREATE TABLE closed.t (n int)"):
                with pytest.raises(exc.ProgrammingError) as info:
                    execute(connection, statement)
                connection.rollback()
                assert backend.is_denied(info.value)
                assert not backend.is_transient(info.value)
    finally:
        limited.dispose()
        with engine.begin() as connection:
            execute(connection, f"DROP ROLE {role}")


def test_the_error_of_a_repeated_statement_says_that_it_was_made(
    backend: PostgreSQL, engine: sa.Engine
) -> None:
    """When the new thing is there, or the old one gone; all other errors stay errors."""
    with autocommit(engine) as connection:
        for number, (before, statement) in enumerate((*REPEATED, *NOT_REPEATED)):
            execute(connection, f"CREATE SCHEMA s{number}; SET search_path = s{number}")
            execute(connection, "CREATE TABLE item (id int, n int)")
            execute(connection, before)
            with pytest.raises(exc.DBAPIError) as info:
                execute(connection, statement)
            expected = number < len(REPEATED)
            assert backend.is_done_already(info.value) is expected, statement
