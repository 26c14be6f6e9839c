"""A pool that has run out."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from flask_retort.engines import dispose_all
from flask_retort.errors import PoolExhausted

from .conftest import MakeEngine

SMALL = {"pool_size": 2, "max_overflow": 1, "pool_timeout": 0.2}


class OwnPool(QueuePool):
    """A user's pool class."""


def exhausted(engine: sa.Engine) -> str:
    held = [engine.connect() for _ in range(3)]
    start = time.monotonic()
    with pytest.raises(PoolExhausted) as info:
        engine.connect()
    assert 0.15 < time.monotonic() - start < 1
    assert isinstance(info.value, exc.TimeoutError)
    for connection in held:
        connection.close()
    engine.connect().close()
    return str(info.value)


def test_the_message_names_pool_size_and_keys(engine_for: MakeEngine, database_url: sa.URL) -> None:
    """Within pool_timeout: which pool, how large, and what to change."""
    text = exhausted(engine_for(database_url, SMALL))
    for part in (
        "default database",
        "within 0.2 s",
        "all 3 ",
        "QueuePool",
        "pool_size 2",
        "max_overflow 1",
        "SQLALCHEMY_ENGINE_OPTIONS",
        "'pool_timeout'",
    ):
        assert part in text
    assert text.endswith("[retort:pool-exhausted]")


def test_a_bind_and_the_user_s_pool_class_are_named(engine_for: MakeEngine, tmp_path: Path) -> None:
    """The class is the user's own, and stays so when the engine is disposed."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    engine = engine_for(url, {**SMALL, "poolclass": OwnPool}, "reports")
    for _ in range(2):
        text = exhausted(engine)
        assert "database 'reports'" in text
        assert "its OwnPool" in text
        assert "SQLALCHEMY_BINDS['reports']" in text
        engine.dispose()
        assert isinstance(engine.pool, OwnPool)


def test_one_who_waits_is_served_when_a_connection_comes_back(
    engine_for: MakeEngine, tmp_path: Path
) -> None:
    """Waiting within the time is no error."""
    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}", {**SMALL, "pool_timeout": 10})
    held = [engine.connect() for _ in range(3)]
    timer = threading.Timer(0.1, held[0].close)
    timer.start()
    engine.connect().close()
    timer.join()
    for connection in held[1:]:
        connection.close()


@pytest.mark.parametrize("poolclass", [NullPool, StaticPool])
def test_other_pools_are_untouched(
    engine_for: MakeEngine, tmp_path: Path, poolclass: type[sa.Pool]
) -> None:
    """A pool without a queue can't run out, and stays exactly what it is."""
    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}", {"poolclass": poolclass})
    assert type(engine.pool) is poolclass


def test_a_ready_pool_is_untouched(engine_for: MakeEngine, tmp_path: Path) -> None:
    """A pool object given by the user is used as it is."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    ready = sa.create_engine(url).pool
    engine = engine_for(url, {"pool": ready}, SQLALCHEMY_POOL_SIZE=3, SQLALCHEMY_ECHO=False)
    assert engine.pool is ready
    engine.connect().close()


def test_text_values_are_converted(engine_for: MakeEngine, tmp_path: Path) -> None:
    """Options from the environment may be text."""
    options = {"pool_size": "3", "pool_timeout": "1", "pool_recycle": "60", "echo": "false"}
    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}", options)
    assert isinstance(engine.pool, QueuePool)
    assert (engine.pool.size(), engine.pool.timeout(), engine.echo) == (3, 1, False)


def test_dispose_all_closes_idle_connections(engine_for: MakeEngine, database_url: sa.URL) -> None:
    """Idle connections of all engines are closed at once."""
    engines = {key: engine_for(database_url) for key in (None, "a")}
    closed: list[object] = []
    for engine in engines.values():
        event.listen(engine, "close", lambda connection, record: closed.append(connection))
        engine.connect().close()
    dispose_all(engines)
    assert len(closed) == 2
