"""What a listener hears of the statements of an engine."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc

from flask_retort.events import StatementExecuted, observe

metadata = sa.MetaData()
words = sa.Table(
    "words",
    metadata,
    sa.Column("id", sa.Integer, sa.Sequence("word_numbers"), primary_key=True),
    sa.Column("word", sa.String(20), unique=True),
)


@pytest.fixture
def engine(database_url: sa.URL, disposed: Any) -> sa.Engine:
    """An engine on each back end, with an empty table whose key comes from a sequence if it can."""
    engine: sa.Engine = disposed(sa.create_engine(database_url))
    metadata.create_all(engine)
    return engine


@pytest.fixture
def heard(engine: sa.Engine) -> list[StatementExecuted]:
    """Every statement the engine has executed."""
    statements: list[StatementExecuted] = []
    observe(engine, statements.append, bind_key="words")
    return statements


def test_a_statement_is_reported_with_its_facts(
    engine: sa.Engine, heard: list[StatementExecuted]
) -> None:
    """Text and parameters as the driver got them, times and the engine's key are reported."""
    before = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(words.insert(), {"id": 1, "word": "retort"})
        connection.execute(sa.select(words.c.word).where(words.c.word == "retort")).all()
    after = time.perf_counter()
    insert, select = heard
    assert insert.statement.startswith("INSERT INTO words")
    assert "retort" in str(insert.parameters)
    assert insert.rows == 1
    assert select.statement.startswith("SELECT words.word")
    assert before <= insert.start_time <= insert.end_time <= select.start_time <= after
    assert insert.duration == insert.end_time - insert.start_time
    assert {insert.bind_key, select.bind_key} == {"words"}


def test_executemany_has_all_sets_of_parameters(
    engine: sa.Engine, heard: list[StatementExecuted]
) -> None:
    """A statement for many sets is one report with the list of sets, and says so."""
    many = [{"id": number, "word": f"word {number}"} for number in range(3)]
    with engine.begin() as connection:
        connection.execute(words.insert(), many)
        connection.execute(sa.select(words))
    assert [statement.executemany for statement in heard] == [True, False]
    assert len(heard[0].parameters) == 3


def test_rows_that_the_driver_does_not_know_are_none(disposed: Any) -> None:
    """A row count of -1, which PEP 249 gives the meaning "unknown", is reported as None."""
    engine = disposed(sa.create_engine("sqlite://"))
    heard: list[StatementExecuted] = []
    observe(engine, heard.append)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    assert heard[0].rows is None


def test_rows_of_returning_are_right_or_none(
    engine: sa.Engine, heard: list[StatementExecuted]
) -> None:
    """sqlite3 counts them only as they are read, so there they are None, never a wrong number."""
    with engine.begin() as connection:
        connection.execute(words.insert(), [{"id": 1, "word": "a"}, {"id": 2, "word": "b"}])
        if engine.dialect.update_returning:
            connection.execute(words.update().values(word=None).returning(words.c.id)).all()
            assert heard[-1].rows == (None if engine.dialect.name == "sqlite" else 2)
        else:
            connection.execute(words.update().values(word=None))
            assert heard[-1].rows == 2


def test_a_default_that_runs_by_itself_is_reported(
    engine: sa.Engine, heard: list[StatementExecuted]
) -> None:
    """A sequence that SQLAlchemy asks in a statement of its own is reported, before the INSERT."""
    alone = sa.Table(
        "words",
        sa.MetaData(),
        sa.Column("id", sa.Integer, sa.Sequence("word_numbers"), primary_key=True),
        sa.Column("word", sa.String(20)),
        implicit_returning=False,
    )
    with engine.begin() as connection:
        connection.execute(alone.insert(), {"word": "retort"})
        [*defaults, insert] = heard
    assert insert.statement.startswith("INSERT")
    assert len(defaults) == engine.dialect.supports_sequences
    for default in defaults:
        assert "word_numbers" in default.statement
        assert default.start_time < default.end_time <= insert.start_time


def test_an_engine_without_listeners_is_not_touched(disposed: Any) -> None:
    """Nothing is attached before the first listener, and once for all of them after."""
    engine = disposed(sa.create_engine("sqlite://"))
    with engine.connect():
        assert "do_execute" not in vars(engine.dialect)
    first: list[StatementExecuted] = []
    second: list[StatementExecuted] = []
    observe(engine, first.append)
    timed = engine.dialect.do_execute
    observe(engine, second.append)
    assert engine.dialect.do_execute is timed
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    assert first == second
    assert first[0] is second[0]


def test_what_sqlalchemy_asks_for_itself_is_not_reported(
    database_url: sa.URL, disposed: Any
) -> None:
    """The questions of the first connection are SQLAlchemy's; the first report is the user's."""
    engine = disposed(sa.create_engine(database_url))
    heard: list[StatementExecuted] = []
    observe(engine, heard.append)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    assert [statement.statement for statement in heard] == ["SELECT 1"]


def test_a_statement_without_parameters_is_reported(
    engine: sa.Engine, heard: list[StatementExecuted]
) -> None:
    """The execution option no_parameters, which hands the text over alone, is timed too."""
    with engine.connect().execution_options(no_parameters=True) as connection:
        connection.exec_driver_sql("SELECT 1 % 1")
    assert [(s.statement, s.parameters) for s in heard] == [("SELECT 1 % 1", ())]


def test_a_failed_statement_is_not_reported_and_leaves_nothing(
    engine: sa.Engine, heard: list[StatementExecuted]
) -> None:
    """A statement that fails is silent, and the time of the next one is its own."""
    with engine.connect() as connection:
        with pytest.raises(exc.DBAPIError):
            connection.execute(sa.text("SELECT * FROM nowhere"))
        connection.rollback()
        time.sleep(0.02)
        connection.execute(sa.text("SELECT 1"))
    assert [statement.statement for statement in heard] == ["SELECT 1"]
    assert heard[0].duration < 0.02


def test_an_error_of_a_listener_reaches_the_caller(engine: sa.Engine) -> None:
    """What a listener raises comes out of the statement, whose connection stays usable."""

    def refuse(_: StatementExecuted) -> None:
        raise LookupError("too many statements")

    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
        observe(engine, refuse)
        with pytest.raises(LookupError, match="too many statements"):
            connection.execute(sa.text("SELECT 2"))


def test_an_engine_is_not_kept_alive(disposed: Any) -> None:
    """An observed engine can be collected."""
    engine = sa.create_engine("sqlite://")
    observe(engine, lambda executed: None)
    alive = weakref.ref(engine)
    del engine
    gc.collect()
    assert alive() is None


def test_events_of_other_listeners_do_not_mix(
    engine: sa.Engine, heard: list[StatementExecuted]
) -> None:
    """A statement executed inside another one's event comes first, and is not in its time."""

    @event.listens_for(engine, "before_cursor_execute")
    def log(connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
        if statement == "SELECT 1":
            connection.execute(sa.text("SELECT 2"))

    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
    inner, outer = heard
    assert (inner.statement, outer.statement) == ("SELECT 2", "SELECT 1")
    assert inner.start_time < inner.end_time < outer.start_time < outer.end_time
