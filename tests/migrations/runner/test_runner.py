"""Whole runs: what is pending, in which order over several databases, and what is said."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.migrations.scripts import QUICK, History, contents, engine_for, migrate, work

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import DatabaseAhead, HalfDone, NotAllowed, RevisionFailed, TableLocked
from flask_retort.migrations import runner
from flask_retort.migrations.backends import backend_for
from flask_retort.migrations.progress import (
    Event,
    NothingToDo,
    Retrying,
    RevisionFinished,
    RevisionStarted,
)

ONE = 'op.create_table("one", sa.Column("id", sa.Integer, primary_key=True))'
TWO = 'op.create_table("two", sa.Column("id", sa.Integer, primary_key=True))'


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Two revisions of a table each."""
    history = History(tmp_path / "history")
    history.add(ONE, 'op.drop_table("one")')
    history.add(TWO, 'op.drop_table("two")')
    return history


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    """An engine on an empty database."""
    engine = engine_for(database_url)
    yield engine
    engine.dispose()


def test_up_down_and_up_again(engine: sa.Engine, history: History) -> None:
    """Going down to the beginning and up again leaves the same database."""
    events: list[Event] = []
    assert migrate(engine, history, report=events.append) == 2
    there = contents(engine)
    assert {*there} - {"sqlite_master"} == {"alembic_version", "one", "two"}
    assert [type(told) for told in events] == [RevisionStarted, RevisionFinished] * 2
    assert migrate(engine, history, "base", downgrade=True) == 2
    assert {*contents(engine)} - {"sqlite_master"} == {"alembic_version"}
    assert migrate(engine, history) == 2
    assert contents(engine) == there


def test_where_nothing_is_pending_nothing_is_touched(engine: sa.Engine, history: History) -> None:
    """A second run applies nothing and says so."""
    migrate(engine, history)
    events: list[Event] = []
    assert migrate(engine, history, report=events.append) == 0
    assert events == [NothingToDo("", ("r2",))]


def test_the_first_revision_brings_its_version_table_with_it(
    engine: sa.Engine, tmp_path: Path
) -> None:
    """Where the schema is transactional, a first revision that fails leaves nothing at all."""
    broken = History(tmp_path / "broken")
    broken.add(f'{ONE}\nop.execute("not SQL")')
    with pytest.raises(RevisionFailed, match=r"r1 \(revision 1\).*r1.py line 12"):
        migrate(engine, broken)
    if engine.dialect.name == "mysql":
        assert set(contents(engine)) == {"alembic_version", "alembic_version_steps", "one"}
    else:
        assert contents(engine) == {}


def test_revisions_before_the_failing_one_stay(engine: sa.Engine, history: History) -> None:
    """Each revision is a transaction of its own."""
    history.add('raise ValueError("no")')
    with pytest.raises(RevisionFailed, match="ValueError: no"):
        migrate(engine, history)
    assert {"one", "two"} < set(contents(engine))
    assert contents(engine)["alembic_version"]["rows"] == ["('r2',)"]


def test_a_database_ahead_of_the_code_is_refused(engine: sa.Engine, history: History) -> None:
    """Whose revision is not among the files is not touched."""
    migrate(engine, history)
    (history.folder / "versions" / "r2.py").unlink()
    with pytest.raises(DatabaseAhead, match="revision r2, which this code does not have"):
        migrate(engine, history)


def test_databases_advance_together(database_url: sa.URL, history: History, tmp_path: Path) -> None:
    """Several databases take turns revision by revision; one that fails stops the others there."""
    other = sa.URL.create("sqlite", database=str(tmp_path / "other.db"))
    history.add("op.get_bind().dialect.name == 'sqlite' or op.execute('not SQL')")
    engines = {"": engine_for(other), "far": engine_for(database_url)}
    events: list[Event] = []
    with ExitStack() as stack:
        works = [
            work(
                stack.enter_context(engine.connect()),
                history,
                "heads",
                downgrade=False,
                database=name,
            )
            for name, engine in engines.items()
        ]
        fails = database_url.get_backend_name() != "sqlite"
        with pytest.raises(RevisionFailed, match="'far'") if fails else ExitStack():
            runner.run(works, settings=QUICK, report=events.append)
    finished = [
        (told.revision, told.database) for told in events if isinstance(told, RevisionFinished)
    ]
    expected = [("r1", ""), ("r1", "far"), ("r2", ""), ("r2", "far"), ("r3", "")]
    assert finished == (expected if fails else [*expected, ("r3", "far")])
    for engine in engines.values():
        engine.dispose()


def test_nothing_stays_checked_out_and_no_setting_is_left(
    engine: sa.Engine, history: History
) -> None:
    """After a run, failed or not, the pool has all connections, and they are as they were."""
    history.add('op.execute("not SQL")')
    with pytest.raises(RevisionFailed):
        migrate(engine, history)
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined] # a QueuePool
    question = {
        "sqlite": "PRAGMA foreign_keys",
        "postgresql": "SHOW lock_timeout",
        "mysql": "SELECT @@lock_wait_timeout",
    }[engine.dialect.name]
    with engine.connect() as connection:
        found = connection.exec_driver_sql(question).scalar()
    fresh = engine_for(engine.url)
    with fresh.connect() as connection:
        assert connection.exec_driver_sql(question).scalar() == found
    fresh.dispose()


class TestLocked:
    """A table that somebody else has locked."""

    SETTINGS = MigrationsConfig(wait=30, lock_timeout=1, retries=1)

    @pytest.fixture(params=["postgresql", "mysql"])
    def server(self, request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
        """An engine on an empty database of a server."""
        engine = engine_for(request.getfixturevalue(f"{request.param}_url"))
        yield engine
        engine.dispose()

    def test_it_is_tried_again_and_then_given_up(self, server: sa.Engine, history: History) -> None:
        """The error and each retry name who holds the lock; later the same command succeeds."""
        migrate(server, history)
        history.add('op.add_column("one", sa.Column("name", sa.String(20)))')
        events: list[Event] = []
        with server.connect() as holder:
            holder.exec_driver_sql("SELECT * FROM one")
            session = _session(holder)
            with pytest.raises(TableLocked, match=str(session)):
                migrate(server, history, settings=self.SETTINGS, report=events.append)
        retries = [told for told in events if isinstance(told, Retrying)]
        assert [(told.attempt, told.attempts) for told in retries] == [(1, 2)]
        assert str(session) in retries[0].blockers[0]
        assert migrate(server, history) == 1


def _session(connection: sa.Connection) -> int:
    function = {"postgresql": sa.func.pg_backend_pid(), "mysql": sa.func.connection_id()}
    found: int = connection.execute(sa.select(function[connection.dialect.name])).scalar_one()
    return found


def test_a_missing_permission_is_named(postgresql_url: sa.URL, history: History) -> None:
    """A user who may not create tables gets one sentence."""
    owner = engine_for(postgresql_url)
    name = f"{postgresql_url.database}_reader"
    with owner.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD 'reader'")
    reader = engine_for(postgresql_url.set(username=name, password="reader"))
    try:
        with pytest.raises(NotAllowed, match=r"may not do that.*permission denied"):
            migrate(reader, history)
        migrate(owner, history)
        with pytest.raises(NotAllowed, match=r"alembic_version of the default .* can't be read"):
            migrate(reader, history)
    finally:
        reader.dispose()
        with owner.begin() as connection:
            connection.exec_driver_sql(f"DROP ROLE {name}")
        owner.dispose()


def test_what_can_t_be_in_a_transaction_is_answered_with_the_line_to_write(
    postgresql_url: sa.URL, history: History
) -> None:
    """A concurrent index outside an autocommit block is rolled back, and the block is named."""
    history.add('op.create_index("ix", "one", ["id"], postgresql_concurrently=True)')
    engine = engine_for(postgresql_url)
    with pytest.raises(RevisionFailed, match=r"rolled back.*op.get_context\(\).autocommit_block"):
        migrate(engine, history)
    engine.dispose()


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_a_statement_that_takes_too_long_is_ended(
    request: pytest.FixtureRequest, history: History, server: str
) -> None:
    """The statement timeout ends it; the message says how to allow more."""
    sleep = {"postgresql": "pg_sleep(20)", "mysql": "SLEEP(20)"}[server]
    history.add(f'op.execute("SELECT {sleep} FROM two UNION ALL SELECT {sleep}")')
    engine = engine_for(request.getfixturevalue(f"{server}_url"))
    settings = MigrationsConfig(wait=30, statement_timeout=1, retries=0)
    with pytest.raises(RevisionFailed, match=r"'statement_timeout': seconds"):
        migrate(engine, history, settings=settings)
    engine.dispose()


def test_a_limit_that_a_revision_sets_ends_with_it(engine: sa.Engine, history: History) -> None:
    """The next revision has the application's limits again."""
    if engine.dialect.name == "sqlite":
        return
    set_it, show_it, expected = {
        "postgresql": ("SET lock_timeout = 77", "SHOW lock_timeout", "1s"),
        "mysql": ("SET lock_wait_timeout = 77", "SELECT @@lock_wait_timeout", "1"),
    }[engine.dialect.name]
    history.add(f'op.execute("{set_it}")')
    history.add(f'print("limit", op.get_bind().exec_driver_sql("{show_it}").scalar())')
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        migrate(engine, history)
    assert printed.getvalue().split() == ["limit", expected]


def test_a_half_done_downgrade_says_what_to_write(mysql_url: sa.URL, history: History) -> None:
    """The command in the message finishes it."""
    history.add(TWO.replace("two", "three"), 'op.drop_table("three")\nop.execute("wrong")')
    engine = engine_for(mysql_url)
    migrate(engine, history)
    with pytest.raises(RevisionFailed):
        migrate(engine, history, "-1", downgrade=True)
    with pytest.raises(HalfDone, match="'flask db downgrade r2'"):
        migrate(engine, history)
    history.write(3, TWO.replace("two", "three"), 'op.drop_table("three")')
    assert migrate(engine, history, "r2", downgrade=True) == 1
    engine.dispose()


@pytest.mark.parametrize("server", ["postgresql", "mysql"])
def test_the_work_of_a_process_that_ends_is_ended_in_the_server(
    request: pytest.FixtureRequest, server: str
) -> None:
    """What the lock cancels does not go on; cancelling what has ended does nothing."""
    engine = engine_for(request.getfixturevalue(f"{server}_url"))
    backend = backend_for(engine.dialect, QUICK)
    sleep = {"postgresql": "SELECT pg_sleep(60)", "mysql": "SELECT SLEEP(60)"}[server]
    lock = backend.lock(engine, "alembic_version")
    assert lock.try_acquire()
    ended: list[Exception] = []
    with engine.connect() as connection:
        worker = backend.worker_id(connection)

        def work() -> None:
            try:
                connection.exec_driver_sql(sleep)
            except sa.exc.DBAPIError as error:
                ended.append(error)

        working = threading.Thread(target=work)
        working.start()
        while not lock.observe(worker).blockers and working.is_alive():
            lock.cancel(worker)
            working.join(0.2)
    assert len(ended) == 1
    lock.cancel(worker)
    lock.release()
    engine.dispose()
