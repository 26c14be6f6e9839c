"""A revision that ends at any of its statements is rolled back, or goes on where it ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from tests.migrations.scripts import History, contents, engine_for, migrate

from flask_retort.errors import ChangedRevision, HalfDone, RevisionFailed
from flask_retort.migrations.progress import Event, RevisionStarted
from flask_retort.migrations.runner import journal

FIRST = """
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("visits", sa.Integer, nullable=False, server_default="0"),
    )
    users = sa.table("users", sa.column("id"), sa.column("name"), sa.column("visits"))
    op.bulk_insert(users, [{"id": n, "name": f"user {n}", "visits": n} for n in range(1, 6)])
"""
# Changes of rows that must not be made twice stand before, between and after changes of the schema.
SECOND = """
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE users SET visits = visits + 100"))
    op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True))
    connection.execute(sa.text("UPDATE users SET visits = visits + 10 WHERE id > :id"), {"id": 2})
    op.add_column("users", sa.Column("nick", sa.String(20)))
    op.execute("UPDATE users SET nick = name")
    op.create_index("ix_users_nick", "users", ["nick"])
    op.execute("UPDATE users SET visits = visits * 2")
"""
UNDO_SECOND = """
    op.execute("UPDATE users SET visits = visits / 2 - 100")
    op.drop_index("ix_users_nick", "users")
    op.execute("UPDATE users SET visits = visits + 1")
    op.drop_column("users", "nick")
    op.drop_table("posts")
"""
WITH_BLOCK = {
    "postgresql": """
        op.execute("UPDATE users SET visits = visits + 100")
        with op.get_context().autocommit_block():
            op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)
            op.execute("UPDATE users SET visits = visits + 10")
            op.add_column("users", sa.Column("nick", sa.String(20)))
        op.execute("UPDATE users SET visits = visits * 2")
        op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True))
    """,
    "sqlite": """
        op.execute("UPDATE users SET visits = visits + 100")
        with op.get_context().autocommit_block():
            op.execute("VACUUM")
            op.execute("UPDATE users SET visits = visits + 10")
            op.add_column("users", sa.Column("nick", sa.String(20)))
        op.execute("UPDATE users SET visits = visits * 2")
        op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True))
    """,
}
WITH_BLOCK["mysql"] = WITH_BLOCK["postgresql"]


class _StopError(Exception):
    """What ends a run in a test."""


@pytest.fixture
def history(tmp_path: Path) -> History:
    """A history whose first revision makes a table with five rows."""
    history = History(tmp_path / "history")
    history.add(FIRST, 'op.drop_table("users")')
    return history


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    """An engine on an empty database."""
    engine = engine_for(database_url)
    yield engine
    engine.dispose()


def _at_statement(engine: sa.Engine, number: int, moment: str, act: Callable[[], None]) -> None:
    """Act before or after the engine's n-th statement of any kind, the runner's own included."""
    count = iter(range(1, sys.maxsize))

    def look(*_: Any) -> None:
        if next(count) == number:
            act()

    event.listen(engine, f"{moment}_cursor_execute", look)


def _statements(engine: sa.Engine, run: Callable[[], object]) -> int:
    counted: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *about: counted.append(about[2]))
    run()
    return len(counted)


def _killed_at(url: sa.URL, history: History, number: int, moment: str, downgrade: bool) -> None:
    """Run the history in a child process that ends by SIGKILL at the n-th statement."""
    child = os.fork()
    if child == 0:
        try:
            engine = engine_for(url)
            _at_statement(engine, number, moment, lambda: os.kill(os.getpid(), signal.SIGKILL))
            migrate(engine, history, "-1" if downgrade else "heads", downgrade=downgrade)
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child ended by itself"


def _finished(url: sa.URL, history: History) -> dict[str, Any]:
    """What the database holds after a run that nobody disturbs."""
    _migrate_to(url, history, "heads")
    return _seen(url)


def _seen(url: sa.URL) -> dict[str, Any]:
    engine = engine_for(url)
    found = contents(engine)
    engine.dispose()
    return found


SCRIPTS = {"plain": SECOND, "block": WITH_BLOCK}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_statement_the_next_run_makes_it_whole(
    database_url: sa.URL, history: History, kind: str, moment: str, reset: Callable[[], None]
) -> None:
    """After SIGKILL at each statement in turn, one more run gives the same schema and rows."""
    script = SECOND if kind == "plain" else WITH_BLOCK[database_url.get_backend_name()]
    first = _finished(database_url, history)
    history.add(script)
    engine = engine_for(database_url)
    total = _statements(engine, lambda: migrate(engine, history))
    expected = contents(engine)
    engine.dispose()
    assert expected != first
    # With a server, each moment has every second statement: the other moment lies close to it.
    first_one, step = (
        (1, 1) if database_url.get_backend_name() == "sqlite" else (1 + (moment == "after"), 2)
    )
    for number in range(first_one, total, step):
        reset()
        _migrate_to(database_url, history, "r1")
        _killed_at(database_url, history, number, moment, False)
        if kind == "plain" and database_url.get_backend_name() != "mysql":
            found = _seen(database_url)
            assert found in (first, expected), f"killed {moment} statement {number}"
        assert _finished(database_url, history) == expected, f"killed {moment} statement {number}"


@pytest.fixture
def reset(database_url: sa.URL) -> Callable[[], None]:
    """Empties the database."""

    def empty() -> None:
        engine = engine_for(database_url)
        metadata = sa.MetaData()
        metadata.reflect(engine)
        metadata.drop_all(engine)
        engine.dispose()

    return empty


def _migrate_to(url: sa.URL, history: History, revision: str) -> None:
    engine = engine_for(url)
    migrate(engine, history, revision)
    engine.dispose()


def test_an_exception_at_any_statement_leaves_nothing_or_is_gone_on_from(
    engine: sa.Engine, history: History, reset: Callable[[], None]
) -> None:
    """Where the schema is transactional everything is as before; the next run is whole anywhere."""
    history.add(SECOND)
    total = _statements(engine, lambda: migrate(engine, history))
    expected = contents(engine)
    reset()
    migrate(engine, history, "r1")
    before = contents(engine)
    is_atomic = engine.dialect.name != "mysql"
    failures = undone = 0
    for number in range(1, total):
        reset()
        migrate(engine, history, "r1")
        failures += _fails_at(engine, history, number)
        found = contents(engine)
        if is_atomic:
            assert found in (before, expected), f"after an exception at statement {number}"
            undone += found == before
        migrate(engine, history)
        assert contents(engine) == expected, f"after an exception at statement {number}"
    assert failures > 8
    assert undone > 8 or not is_atomic


def _fails_at(engine: sa.Engine, history: History, number: int) -> bool:
    def fail() -> None:
        raise _StopError

    other = engine_for(engine.url)
    _at_statement(other, number, "before", fail)
    try:
        migrate(other, history)
    except (RevisionFailed, _StopError):
        return True
    else:
        return False
    finally:
        other.dispose()


def test_a_downgrade_goes_on_too(
    database_url: sa.URL, history: History, reset: Callable[[], None]
) -> None:
    """A downgrade that is killed at any statement is finished by the next one."""
    history.add(SECOND, UNDO_SECOND)
    _finished(database_url, history)
    engine = engine_for(database_url)
    total = _statements(engine, lambda: migrate(engine, history, "r1", downgrade=True))
    expected = contents(engine)
    engine.dispose()
    for number in range(1, total, 3):
        reset()
        _finished(database_url, history)
        _killed_at(database_url, history, number, "after", True)
        engine = engine_for(database_url)
        migrate(engine, history, "r1", downgrade=True)
        assert contents(engine) == expected, f"killed after statement {number}"
        engine.dispose()


class TestInABlock:
    """What ends a revision in the middle of an autocommit block, on PostgreSQL."""

    @pytest.fixture
    def server(self, postgresql_url: sa.URL) -> Iterator[sa.Engine]:
        """An engine on an empty database."""
        engine = engine_for(postgresql_url)
        yield engine
        engine.dispose()

    def test_a_lost_connection_is_said(self, server: sa.Engine, history: History) -> None:
        """Not what SQLAlchemy says when the block is left; and the next run goes on."""
        history.add("""
            op.execute("UPDATE users SET visits = visits + 100")
            with op.get_context().autocommit_block():
                op.execute("SELECT pg_terminate_backend(pg_backend_pid()) FROM users")
        """)
        with pytest.raises(RevisionFailed, match="the connection was lost"):
            migrate(server, history)
        with server.connect() as connection:
            mark = journal.half_done(connection, "alembic_version", None)
        assert mark is not None
        assert mark.done == 1

    def test_an_interruption_stays_one(self, server: sa.Engine, history: History) -> None:
        """Ctrl+C and SIGTERM are not turned into errors, and the session's work is ended."""
        history.add("""
            with op.get_context().autocommit_block():
                op.create_index("ix", "users", ["name"], postgresql_concurrently=True)
                raise KeyboardInterrupt
        """)
        with pytest.raises(KeyboardInterrupt):
            migrate(server, history)

    def test_a_typed_commit_is_a_step(self, server: sa.Engine, history: History) -> None:
        """What it commits is noted with it, so that the next run does not repeat it."""
        body = """
            op.execute("UPDATE users SET visits = visits + 100")
            op.execute("COMMIT")
            op.execute("UPDATE users SET {}")
        """
        history.add(body.format("wrong = 1"))
        with pytest.raises(RevisionFailed, match="2 statements are made"):
            migrate(server, history)
        history.write(2, body.format("visits = visits + 1"))
        migrate(server, history)
        with server.connect() as connection:
            assert connection.scalar(sa.text("SELECT min(visits) FROM users")) == 102


def test_where_the_first_statement_fails_nothing_is_half_done(
    mysql_url: sa.URL, history: History
) -> None:
    """Nothing was made, so nothing has to be finished before another command."""
    history.add('op.drop_table("missing")')
    engine = engine_for(mysql_url)
    with pytest.raises(RevisionFailed, match=r"Unknown table '.*' \(1051\). All that it did is"):
        migrate(engine, history)
    assert migrate(engine, history, "base", downgrade=True) == 1
    engine.dispose()


class TestHalfDone:
    """A revision that could not be rolled back whole."""

    @pytest.fixture
    def half_done(self, mysql_url: sa.URL, history: History) -> Iterator[sa.Engine]:
        """MariaDB after a revision of which two statements ran and the third failed."""
        history.add("""
            op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True))
            op.add_column("users", sa.Column("nick", sa.String(20)))
            op.execute("UPDATE users SET wrong = 1")
        """)
        engine = engine_for(mysql_url)
        with pytest.raises(RevisionFailed) as failed:
            migrate(engine, history)
        assert "2 statements are made" in str(failed.value)
        assert "r2.py line" in str(failed.value)
        yield engine
        engine.dispose()

    def test_the_corrected_script_goes_on(self, half_done: sa.Engine, history: History) -> None:
        """What comes after the statements that ran may change."""
        history.write(
            2,
            """
            op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True))
            op.add_column("users", sa.Column("nick", sa.String(20)))
            op.execute("UPDATE users SET visits = 1")
            """,
        )
        events: list[Event] = []
        migrate(half_done, history, report=events.append)
        started = [told for told in events if isinstance(told, RevisionStarted)]
        assert [told.resumed for told in started] == [2]
        assert "alembic_version_steps" not in contents(half_done)

    @pytest.mark.parametrize(
        "body",
        [
            'op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True))',
            'op.create_table("posts", sa.Column("id", sa.Integer, primary_key=True))\n'
            'op.add_column("users", sa.Column("nick", sa.String(30)))\n'
            'op.execute("UPDATE users SET visits = 1")',
        ],
        ids=["shorter", "another statement"],
    )
    def test_a_changed_beginning_is_refused(
        self, half_done: sa.Engine, history: History, body: str
    ) -> None:
        """A script that is not the one that ran is not run any further, and nothing is changed."""
        before = contents(half_done)
        history.write(2, body)
        with pytest.raises(ChangedRevision, match="flask db stamp r2"):
            migrate(half_done, history)
        assert contents(half_done) == before

    def test_nothing_else_runs_before_it_is_finished(
        self, half_done: sa.Engine, history: History
    ) -> None:
        """A downgrade is refused while an upgrade is half done."""
        with pytest.raises(HalfDone, match="flask db upgrade r2"):
            migrate(half_done, history, "base", downgrade=True)

    def test_it_can_be_read(self, half_done: sa.Engine) -> None:
        """The journal tells which revision, how far, and what ran last."""
        with half_done.connect() as connection:
            mark = journal.half_done(connection, "alembic_version", None)
        assert mark is not None
        assert (mark.revision, mark.downgrade, mark.done, mark.running) == ("r2", False, 2, None)
        assert mark.last.startswith("ALTER TABLE users ADD COLUMN nick")
