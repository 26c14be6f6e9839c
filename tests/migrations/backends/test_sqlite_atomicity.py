"""All of a revision or nothing, whatever ends it, wherever it ends, on every kind of engine."""

from __future__ import annotations

import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from tests.migrations.backends.sqlite_databases import (
    CHANGE,
    ENGINES,
    REBUILD,
    SCHEMA,
    MakeEngine,
    Planned,
    check_changed,
    dump,
    ended,
    execute,
    fork,
    kill_self,
    ours,
    pragma,
    rows,
)
from tests.migrations.scripts import History, migrate

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import RevisionFailed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database in use, at its first revision."""
    path = tmp_path / "shop.db"
    execute(path, SCHEMA)
    return path


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path / "history")
    history.add("pass")
    return history


@pytest.fixture(params=ENGINES)
def make(request: pytest.FixtureRequest) -> MakeEngine:
    made: MakeEngine = request.param
    return made


@pytest.fixture
def engine(make: MakeEngine, path: Path) -> Iterator[sa.Engine]:
    engine = make(path)
    yield engine
    engine.dispose()


def at_statement(engine: sa.Engine, number: int, do: Callable[[], None]) -> list[str]:
    """Do something before the engine's n-th statement of any kind; the statements so far."""
    said: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)
        if len(said) == number:
            do()

    return said


def raise_planned() -> None:
    raise Planned


def test_an_exception_at_any_statement_leaves_everything_as_it_was(
    make: MakeEngine, path: Path, history: History
) -> None:
    """The run is ended before each of its statements in turn; then it succeeds."""
    history.add(CHANGE)
    before = dump(path)
    number = 0
    while not whole(make, path, history, number + 1):
        number += 1
        assert dump(path) == before, number
    assert number > 20
    check_changed(path)


def whole(make: MakeEngine, path: Path, history: History, number: int) -> bool:
    """Run with an exception before the n-th statement; whether the run came to its end before."""
    engine = make(path)
    at_statement(engine, number, raise_planned)
    try:
        migrate(engine, history)
    except (Planned, RevisionFailed):
        assert pragma(engine, "foreign_keys") == 1
        return False
    else:
        return True
    finally:
        engine.dispose()


def test_a_kill_at_any_statement_leaves_everything_as_it_was(
    make: MakeEngine, path: Path, history: History
) -> None:
    """The process is killed with SIGKILL before each statement in turn; then it succeeds."""
    history.add(CHANGE)
    before = dump(path)
    killed = 0

    def work() -> None:
        engine = make(path)
        at_statement(engine, killed + 1, kill_self)
        migrate(engine, history)

    while (code := ended(fork(work))) == -signal.SIGKILL:
        killed += 1
        assert dump(path) == before, killed
    assert code == 0
    assert killed > 20
    check_changed(path)


def test_a_failing_revision_succeeds_once_the_cause_is_gone(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """Nothing of the first attempt stands in the way of the second."""
    history.add(f"{CHANGE}\n    op.execute('SELECT * FROM missing')")
    before = dump(path)
    for _ in range(2):
        with pytest.raises(RevisionFailed, match="no such table: missing"):
            migrate(engine, history)
        assert dump(path) == before
    history.write(2, CHANGE)
    assert migrate(engine, history) == 1
    check_changed(path)


@pytest.mark.parametrize("journal_mode", ["wal", "delete", "truncate", "persist", "memory"])
def test_in_every_journal_mode(path: Path, history: History, journal_mode: str) -> None:
    """A revision that fails after a rebuild leaves nothing, however SQLite keeps its journal."""
    engine = ours(path, journal_mode=journal_mode)
    history.add(f"{CHANGE}\n    op.execute('SELECT * FROM missing')")
    before = dump(path)
    with pytest.raises(RevisionFailed):
        migrate(engine, history)
    assert pragma(engine, "journal_mode") == journal_mode
    engine.dispose()
    assert dump(path) == before


def test_eight_processes_at_once(make: MakeEngine, tmp_path: Path, history: History) -> None:
    """From an empty database all end well, and one did the work."""
    path, log = tmp_path / "new.db", tmp_path / "log"
    history.write(1, 'op.create_table("one", sa.Column("id", sa.Integer, primary_key=True))')
    history.add(
        f'open({str(log)!r}, "a").write("x")\nop.create_table("two", sa.Column("id", sa.Integer))'
    )

    def work() -> None:
        engine = make(path)
        migrate(engine, history, settings=MigrationsConfig(wait=60))
        engine.dispose()

    children = [fork(work) for _ in range(8)]
    assert [ended(child) for child in children] == [0] * 8
    assert log.read_text() == "x"
    assert rows(path, "SELECT version_num FROM alembic_version") == [("r2",)]


# --- what a revision says of transactions itself ----------


@pytest.mark.parametrize("word", ["ROLLBACK", " /* x */ rollback transaction"])
def test_a_revision_may_not_roll_back(path: Path, history: History, word: str) -> None:
    """Statements that are counted would be undone."""
    engine = ours(path)
    history.add(f'op.drop_table("old")\nop.execute("{word}")')
    before = dump(path)
    with pytest.raises(RevisionFailed, match=r"executes ROLLBACK\."):
        migrate(engine, history)
    engine.dispose()
    assert dump(path) == before


COMMITS = [
    'op.execute("COMMIT")',
    'op.get_bind().connection.driver_connection.executescript("SELECT 1")',
]


@pytest.mark.parametrize("commit", COMMITS)
def test_a_revision_that_commits_by_itself(
    engine: sa.Engine, path: Path, history: History, commit: str
) -> None:
    """What it does after that is whole or not at all again, and without foreign keys."""
    history.add(
        f'op.drop_table("old")\n{commit}\nop.execute("PRAGMA foreign_keys = ON")\n'
        f"{textwrap.dedent(REBUILD)}\nop.drop_table('log')\nop.execute('not SQL')"
    )
    with pytest.raises(RevisionFailed, match="syntax error"):
        migrate(engine, history)
    texts = dict(rows(path, "SELECT name, sql FROM sqlite_master"))
    assert "old" not in texts
    assert "log" in texts
    assert "VARCHAR" not in texts["customers"]
    assert not [name for name in texts if name.startswith("_alembic")]
    assert rows(path, "SELECT count(*) FROM orders") == [(1000,)]


def test_savepoints_in_a_revision(engine: sa.Engine, path: Path, history: History) -> None:
    """A script can roll back a part of itself."""
    history.add(
        "bind = op.get_bind()\n"
        "bind.execute(sa.text(\"UPDATE customers SET name = 'kept'\"))\n"
        "nested = bind.begin_nested()\n"
        "bind.execute(sa.text(\"UPDATE customers SET name = 'lost'\"))\n"
        "nested.rollback()"
    )
    migrate(engine, history)
    assert rows(path, "SELECT DISTINCT name FROM customers") == [("kept",)]
