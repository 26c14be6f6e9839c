"""The listener on an engine: what it translates, what it leaves, and that it never fails."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc, orm

from flask_retort import errors
from flask_retort.config import Config
from flask_retort.constraints import Schema, translate, translation
from flask_retort.engines import make_engine

Disposed = Callable[[sa.Engine], sa.Engine]
METADATA = sa.MetaData()
ITEM: sa.Table[Any] = sa.Table(
    "item",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("code", sa.String(9), unique=True),
)


@pytest.fixture
def engine(database_url: sa.URL, disposed: Disposed) -> sa.Engine:
    made = disposed(sa.create_engine(database_url))
    translate(made, Schema.of(METADATA))
    METADATA.create_all(made)
    return made


def test_a_thousand_rows_at_once(engine: sa.Engine) -> None:
    """The error of one of them is as exact as that of one alone, without its value."""
    rows = [{"id": n, "code": f"c{n % 997}"} for n in range(1000)]
    with engine.connect() as connection, pytest.raises(errors.UniqueViolation) as info:
        connection.execute(sa.insert(ITEM), rows)
    assert (info.value.fields, info.value.about.table) == (("code",), "item")
    assert info.value.value is None


def test_ordinary_errors_are_sqlalchemy_s(engine: sa.Engine) -> None:
    """What is not of the family, a missing table for one, is raised as it always was."""
    with engine.connect() as connection, pytest.raises(exc.DBAPIError) as info:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    assert not isinstance(info.value, errors.RetortError)


def test_an_error_that_is_translated_is_left_alone(engine: sa.Engine) -> None:
    """Another listener's answer counts."""

    class OwnError(Exception):
        pass

    def answer(context: Any) -> OwnError:
        return OwnError()

    event.listen(engine, "handle_error", answer, insert=True)
    with engine.connect() as connection, pytest.raises(OwnError):
        connection.execute(sa.insert(ITEM), [{"id": 1}, {"id": 1}])


def test_an_unforeseen_failure_does_not_hide_the_database_s_error(
    database_url: sa.URL, disposed: Disposed, caplog: pytest.LogCaptureFixture
) -> None:
    """The class is right, what it is about is not known, and the failure is in the log."""
    engine = disposed(sa.create_engine(database_url))
    METADATA.create_all(engine)

    def fail() -> NoReturn:
        raise LookupError("no models today")

    translate(engine, Schema(fail, fail))
    with engine.connect() as connection, pytest.raises(errors.UniqueViolation) as info:
        connection.execute(sa.text("INSERT INTO item (id) VALUES (1), (1)"))
    assert info.value.about == errors.About(reason="is already taken")
    assert "no models today" in caplog.text


def test_an_error_that_can_t_be_read_is_sqlalchemy_s(
    disposed: Disposed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a driver's error holds, the application gets the error of its database."""

    def fail(error: BaseException) -> NoReturn:
        raise LookupError("an odd error")

    monkeypatch.setitem(translation._BACK_ENDS, "sqlite", fail)
    engine = disposed(sa.create_engine("sqlite://"))
    translate(engine, Schema.of(METADATA))
    METADATA.create_all(engine)
    with engine.connect() as connection, pytest.raises(exc.IntegrityError) as info:
        connection.execute(sa.insert(ITEM), [{"id": 1}, {"id": 1}])
    assert type(info.value) is exc.IntegrityError
    assert "an odd error" in caplog.text


def test_a_session_without_flask(engine: sa.Engine) -> None:
    """SQLAlchemy's own session raises the same."""
    with orm.Session(engine) as session, pytest.raises(exc.IntegrityError) as info:
        session.execute(sa.insert(ITEM), [{"id": 1}, {"id": 1}])
    assert isinstance(info.value, errors.UniqueViolation)
    assert isinstance(info.value.__cause__, engine.dialect.loaded_dbapi.Error)


def test_an_error_at_commit(postgresql_url: sa.URL, disposed: Disposed) -> None:
    """A constraint that is checked then has no statement, and its fields all the same."""
    metadata = sa.MetaData()
    unique = sa.UniqueConstraint("n", name="uq_n", deferrable=True, initially="DEFERRED")
    table = sa.Table("t", metadata, sa.Column("n", sa.Integer), unique)
    engine = disposed(sa.create_engine(postgresql_url))
    translate(engine, Schema.of(metadata))
    metadata.create_all(engine)
    with engine.connect() as connection:
        connection.execute(sa.insert(table), [{"n": 1}, {"n": 1}])
        with pytest.raises(errors.UniqueViolation) as info:
            connection.commit()
    assert (info.value.fields, info.value.constraint) == (("n",), "uq_n")


def test_a_partition_is_the_table(postgresql_url: sa.URL, disposed: Disposed) -> None:
    """PostgreSQL names the part that a row went to, which the models don't know."""
    metadata = sa.MetaData()
    table = sa.Table(
        "log",
        metadata,
        sa.Column("n", sa.Integer, unique=True),
        postgresql_partition_by="RANGE (n)",
    )
    engine = disposed(sa.create_engine(postgresql_url))
    translate(engine, Schema.of(metadata))
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql("CREATE TABLE log_1 PARTITION OF log DEFAULT")
    with engine.connect() as connection, pytest.raises(errors.UniqueViolation) as info:
        connection.execute(sa.insert(table), [{"n": 1}, {"n": 1}])
    assert (info.value.about.table, info.value.fields) == ("log", ("n",))
    assert info.value.constraint == "log_1_n_key"


def test_a_locked_database_keeps_our_explanation(tmp_path: Path, disposed: Disposed) -> None:
    """The reason that stands in the driver's error is shown, and once."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": url})
    engine = disposed(make_engine({"url": url}, bind_key=None, config=config))
    translate(engine, Schema.of(METADATA))
    METADATA.create_all(engine)
    with engine.connect() as first, engine.connect() as second:
        first.execute(sa.insert(ITEM).values(id=1))
        with pytest.raises(errors.LockTimeout) as info:
            second.execute(sa.insert(ITEM).values(id=2))
    text = str(info.value)
    assert "this thread has begun to write through another connection" in text
    assert text.endswith("[retort:database-locked] [retort:lock-timeout]")
    assert isinstance(info.value.orig, sqlite3.OperationalError)


def test_it_costs_nothing_without_an_error(database_url: sa.URL, disposed: Disposed) -> None:
    """It listens to errors, and to nothing else; another dialect is not touched at all."""
    engine = disposed(sa.create_engine(database_url))

    def listened() -> set[str]:
        dispatches: Iterable[Any] = (engine.dispatch, engine.dialect.dispatch, engine.pool.dispatch)
        return {
            name
            for dispatch in dispatches
            for name in dispatch._event_names
            if list(getattr(dispatch, name))
        }

    before = listened()
    translate(engine, Schema.of(METADATA))
    assert listened() - before == {"handle_error"}
