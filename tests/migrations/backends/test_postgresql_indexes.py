"""Concurrent indexes as the runner builds them, also when it fails or is killed meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator

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
from tests.migrations.programs import eventually, running

from flask_retort.errors import RevisionFailed, RunnerBusy
from flask_retort.migrations.backends.postgresql import PostgreSQL

BUILD = """
    import sys
    import sqlalchemy as sa
    from flask_retort.config_sections import MigrationsConfig
    from flask_retort.migrations.backends.postgresql import PostgreSQL

    url, check, statement = sys.argv[1:]
    engine = sa.create_engine(url)
    backend = PostgreSQL(MigrationsConfig(lock_timeout=0.6))
    lock = backend.lock(engine, "alembic_version")
    assert lock.try_acquire()
    with engine.connect() as connection, backend.session(connection, "alembic_version"):
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.text(f"SET client_connection_check_interval = {check}"))
        backend.before_alone(connection, statement)
        print("ready", flush=True)
        connection.execute(sa.text(statement))
"""


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


def test_a_failed_unique_index_leaves_nothing(backend: PostgreSQL, work: sa.Connection) -> None:
    """Left in place, it would go on refusing rows and slow every write down."""
    work.execution_options(isolation_level="AUTOCOMMIT")
    statement = "CREATE UNIQUE INDEX CONCURRENTLY ix ON item (n)"
    with pytest.raises(exc.IntegrityError):
        alone(backend, work, statement)
    assert execute(work, "SELECT to_regclass('ix')").scalar() is None
    assert execute(work, "SHOW lock_timeout").scalar() == "600ms"
    execute(work, "UPDATE item SET n = id")
    alone(backend, work, statement)
    assert backend.was_done(work, statement, "")


def test_a_leftover_that_is_in_use_is_left_to_the_next_run(
    backend: PostgreSQL, work: sa.Connection, engine: sa.Engine
) -> None:
    """Cleaning up after an error waits no longer than the lock timeout, and hides no error."""
    work.execution_options(isolation_level="AUTOCOMMIT")
    statement = "CREATE UNIQUE INDEX CONCURRENTLY ix ON item (n)"
    with pytest.raises(exc.IntegrityError):
        execute(work, statement)
    with engine.connect() as other:
        execute(other, "SELECT * FROM item FOR UPDATE")
        start = time.monotonic()
        backend.alone_ended(work, statement)
        assert time.monotonic() - start < 2
    execute(work, "UPDATE item SET n = id")
    alone(backend, work, statement)


def test_an_index_that_is_not_there_is_an_error(backend: PostgreSQL, work: sa.Connection) -> None:
    """Something else has its name, and the server said nothing."""
    work.execution_options(isolation_level="AUTOCOMMIT")
    execute(work, "CREATE VIEW ix AS SELECT 1")
    with pytest.raises(RevisionFailed, match="not there"):
        alone(backend, work, "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON item (n)")


@pytest.mark.parametrize("check", ["0", "2000"], ids=["goes on", "is ended by the server"])
def test_a_run_killed_while_it_builds_an_index(
    engine: sa.Engine, backend: PostgreSQL, check: str
) -> None:
    """Its session keeps the next run out until it ends; then a valid index is made, or found."""
    statement = "CREATE INDEX CONCURRENTLY ix ON item (n)"
    lock = backend.lock(engine, "alembic_version")
    url = engine.url.render_as_string(hide_password=False)
    with engine.connect() as old, autocommit(engine) as look:
        execute(old, "DELETE FROM item WHERE id = 1")
        with running(BUILD, url, check, statement) as program:
            eventually(lambda: _waits(look))
            assert not lock.try_acquire()
            assert f"process {program.pid} on " in lock.holder()
            program.kill()
        if check == "0":
            time.sleep(1)
            assert not lock.try_acquire()
            assert "goes on in the server" in lock.holder()
            assert f"process {program.pid} on " in lock.holder()
            with (
                pytest.raises(RunnerBusy, match=f"for process {program.pid} on "),
                engine.connect() as connection,
                backend.session(connection, "alembic_version"),
            ):
                pass
            old.rollback()
        eventually(lock.try_acquire, 8)
        old.rollback()
    with engine.connect() as work, backend.session(work, "alembic_version"):
        work.execution_options(isolation_level="AUTOCOMMIT")
        assert backend.was_done(work, statement, "") is (check == "0")
        if check != "0":
            leftover = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix')"
            assert execute(work, leftover).scalar() is False
            alone(backend, work, statement)
        assert backend.was_done(work, statement, "")
    lock.release()


def _waits(look: sa.Connection) -> object:
    return execute(
        look,
        "SELECT 1 FROM pg_stat_progress_create_index"
        " WHERE datname = current_database() AND phase LIKE 'waiting for%'",
    ).scalar()
