"""Engines that can't write; tests/transactions/test_reading.py shows the scope that uses them."""

from __future__ import annotations

import gc
import sqlite3
import threading
import weakref
from typing import Any

import pytest
import sqlalchemy as sa

from flask_retort.config import Config
from flask_retort.engines import ReadingEngines, attach_to_all, make_engine, refuse_writes
from flask_retort.engines.reading import reading_engine
from flask_retort.errors import CannotConnect, Disconnected, PoolExhausted

from .conftest import MakeEngine
from .test_commits import end_session
from .test_fork import in_child

ONE = sa.text("SELECT 1")
NOWHERE = "postgresql+psycopg://nobody@127.0.0.1/none"


def made(engine: sa.Engine) -> sa.Engine:
    """The engine's reading engine, which it must have."""
    reading = reading_engine(engine)
    assert reading is not None
    return reading


def test_every_connection_refuses_writes(server_url: sa.URL, engine_for: MakeEngine) -> None:
    """The first one and the next, in AUTOCOMMIT; the engine itself goes on writing."""
    engine = engine_for(server_url)
    reading = made(engine)
    with reading.connect() as first, reading.connect() as second:
        for connection in (first, second):
            with pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.only transaction"):
                connection.execute(sa.text("CREATE TABLE item (id int)"))
            assert connection.scalar(ONE) == 1
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE item (id int)"))


def test_savepoints_are_left_out(server_url: sa.URL, engine_for: MakeEngine) -> None:
    """A part that fails does not fail the rest in AUTOCOMMIT, which is all they could do here."""
    with made(engine_for(server_url)).connect() as connection:
        with pytest.raises(sa.exc.DBAPIError), connection.begin_nested():
            connection.execute(sa.text("SELECT nothing"))
        with connection.begin_nested():
            assert connection.scalar(ONE) == 1


def test_it_is_made_once(engine_for: MakeEngine) -> None:
    """Also if many threads ask at the same time."""
    engine = engine_for(NOWHERE)
    found: list[sa.Engine] = []
    threads = [threading.Thread(target=lambda: found.append(made(engine))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {made(engine)}
    assert len(found) == 8


def test_its_errors_are_those_of_the_engine(server_url: sa.URL, engine_for: MakeEngine) -> None:
    """A lost connection, an exhausted pool, a server that can't be reached."""
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
    reading = made(engine_for(server_url, options, bind_key="stock"))
    with pytest.raises(PoolExhausted, match="'stock'"), reading.connect(), reading.connect():
        pass
    with reading.connect() as connection:
        end_session(connection, engine_for(server_url))
        with pytest.raises(Disconnected, match="'stock'"):
            connection.execute(ONE)
    with reading.connect() as connection:
        assert connection.scalar(ONE) == 1
    with pytest.raises(CannotConnect):
        made(engine_for(server_url.set(port=1))).connect()


def test_a_forked_child_opens_its_own_connections(
    server_url: sa.URL, engine_for: MakeEngine
) -> None:
    """As it does with any engine; the parent's go on."""
    engine = engine_for(server_url)
    reading = made(engine)
    with reading.connect() as connection:
        assert connection.scalar(ONE) == 1

    def child() -> None:
        with reading.connect() as connection:
            assert connection.scalar(ONE) == 1
        engine.dispose()

    in_child(child)()
    with reading.connect() as connection:
        assert connection.scalar(ONE) == 1


def test_what_is_attached_is_attached_to_both(engine_for: MakeEngine) -> None:
    """Whether the reading engine is there by then or not."""
    engine = engine_for(NOWHERE)
    early: list[sa.Engine] = []
    attach_to_all(engine, early.append)
    assert early == [engine]
    reading = made(engine)
    late: list[sa.Engine] = []
    attach_to_all(engine, late.append)
    assert early == late == [engine, reading]


def test_an_engine_is_collected_with_its_reading_engine() -> None:
    """Nothing global keeps them, whatever is attached."""

    def references() -> list[weakref.ref[sa.Engine]]:
        config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": NOWHERE})
        engine = make_engine(config.engine_options({})[None], bind_key=None, config=config)
        attach_to_all(engine, lambda _: engine)
        return [weakref.ref(engine), weakref.ref(made(engine))]

    kept = references()
    gc.collect()
    assert [reference() for reference in kept] == [None, None]


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"isolation_level": "SERIALIZABLE"}, {}),
        ({"execution_options": {"isolation_level": "SERIALIZABLE"}}, {}),
        ({"creator": lambda: None}, {}),
        ({}, {"RETORT_POOLER": "transaction"}),
    ],
)
def test_where_there_is_none(
    engine_for: MakeEngine, options: dict[str, Any], keys: dict[str, Any]
) -> None:
    """The engine itself stands in, whose transactions are then made read only."""
    engine = engine_for(NOWHERE, options, **keys)
    assert reading_engine(engine) is None
    assert ReadingEngines({None: engine}, autocommit=True)[None] is engine
    plain = sa.create_engine(NOWHERE)
    assert reading_engine(plain) is None


def test_engines_by_bind_key(engine_for: MakeEngine) -> None:
    """PostgreSQL's unless told otherwise, MariaDB's if asked for, never SQLite's."""
    engines: dict[str | None, sa.Engine] = {
        None: engine_for("sqlite://"),
        "pg": engine_for(NOWHERE),
        "my": engine_for("mysql+pymysql://nobody@127.0.0.1/none"),
    }
    for autocommit, replaced in ((None, {"pg"}), (True, {"pg", "my"}), (False, set())):
        found = ReadingEngines(engines, autocommit=autocommit)
        assert {key for key in found if found[key] is not engines[key]} == replaced
        assert len(found) == 3
        assert "other" not in found


def test_a_transaction_of_any_engine(database_url: sa.URL, engine_for: MakeEngine) -> None:
    """It refuses writes to its end, the next one of the same connection does not."""
    engine = engine_for(database_url, {"pool_size": 1, "max_overflow": 0})
    insert = sa.text("INSERT INTO item VALUES (1)")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE item (id int)"))
    with engine.connect() as connection:
        refuse_writes(connection)
        assert connection.scalar(ONE) == 1
        with pytest.raises(sa.exc.DBAPIError, match=r"(?i)read.?only"):
            connection.execute(insert)
    with engine.connect() as connection:
        refuse_writes(connection)  # and no statement
    with engine.begin() as connection:
        connection.execute(insert)


def test_sqlite_writes_again_when_the_connection_is_given_back(sqlite_file: sa.Engine) -> None:
    """By whatever way; one that is thrown away needs nothing."""
    for leave in ("close", "invalidate", "detach"):
        with sqlite_file.connect() as connection:
            refuse_writes(connection)
            with pytest.raises(sa.exc.DBAPIError):
                connection.execute(sa.text("UPDATE item SET n = 1"))
            if leave != "close":
                getattr(connection, leave)()
        with sqlite_file.begin() as connection:
            driver_connection: Any = connection.connection.driver_connection
            assert isinstance(driver_connection, sqlite3.Connection)
            connection.execute(sa.text("UPDATE item SET n = 1"))
