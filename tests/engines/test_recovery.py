"""Connections that died in the pool: by the server's own hand."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from flask_retort.engines import recovery

from .conftest import MakeEngine
from .test_fork import current_session, session_id

END = {
    "postgresql": "SELECT pg_terminate_backend({})",
    "mysql": "KILL {}",
    "mariadb": "KILL {}",
}


def end_session(server_url: sa.URL, number: Any) -> None:
    """As an administrator: end the session and wait until it is gone."""
    engine = sa.create_engine(server_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(END[engine.dialect.name].format(number))
        table = (
            "pg_stat_activity WHERE pid"
            if engine.dialect.name == "postgresql"
            else ("information_schema.processlist WHERE id")
        )
        while connection.exec_driver_sql(f"SELECT 1 FROM {table} = {number}").first():
            pass


def count_pings(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that grows by one with each ping."""
    pings: list[Any] = []
    ping = engine.dialect.do_ping

    def counting(connection: Any) -> bool:
        pings.append(connection)
        return ping(connection)

    monkeypatch.setattr(engine.dialect, "do_ping", counting)
    return pings


def test_a_killed_connection_is_replaced_before_it_is_used(
    engine_for: MakeEngine, server_url: sa.URL
) -> None:
    """Every connection of the pool dies; no statement fails."""
    engine = engine_for(server_url)
    held = [engine.connect() for _ in range(3)]
    ended = [session_id(connection) for connection in held]
    for connection in held:
        connection.close()
    for number in ended:
        end_session(server_url, number)
    again = [engine.connect() for _ in range(3)]
    assert not {session_id(connection) for connection in again} & set(ended)
    for connection in again:
        connection.close()


def test_a_healthy_connection_is_not_pinged(
    engine_for: MakeEngine, server_url: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No round trip at checkout while it is used often; nor after an error, nor when new."""
    engine = engine_for(server_url)
    pings = count_pings(engine, monkeypatch)
    first = current_session(engine)
    with pytest.raises(sa.exc.DBAPIError), engine.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1 UNION ALL SELECT 2").fetchone()
    assert current_session(engine) == first
    assert pings == []


def test_a_connection_that_was_idle_is_pinged(
    engine_for: MakeEngine, server_url: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many seconds in the pool, once; and it is kept when it answers."""
    now = 1000.0
    monkeypatch.setattr(recovery, "monotonic", lambda: now)
    engine = engine_for(server_url, RETORT_PING_AFTER_IDLE=5)
    pings = count_pings(engine, monkeypatch)
    first = current_session(engine)
    now += 4.9
    assert (current_session(engine), len(pings)) == (first, 0)
    now += 5.0
    assert (current_session(engine), len(pings)) == (first, 1)


def test_the_idle_time_finds_what_the_socket_does_not_tell(
    engine_for: MakeEngine, server_url: sa.URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a firewall has dropped the connection silently, the ping after idleness helps."""
    now = 1000.0
    monkeypatch.setattr(recovery, "monotonic", lambda: now)
    monkeypatch.setattr(recovery, "_poll", lambda _: lambda: False)
    engine = engine_for(server_url)
    ended = current_session(engine)
    end_session(server_url, ended)
    now += 30.0
    assert current_session(engine) != ended


def test_one_dead_connection_makes_the_whole_old_pool_new(
    engine_for: MakeEngine, server_url: sa.URL
) -> None:
    """The rest is as old as the dead one, so it is not tried one by one."""
    engine = engine_for(server_url)
    held = [engine.connect() for _ in range(2)]
    old = [session_id(connection) for connection in held]
    for connection in held:
        connection.close()
    end_session(server_url, old[0])
    fresh = [engine.connect() for _ in range(2)]
    assert not {session_id(connection) for connection in fresh} & set(old)
    for connection in fresh:
        connection.close()


@pytest.mark.parametrize("pre_ping", [True, False])
def test_the_user_s_own_pre_ping_is_all_there_is(
    engine_for: MakeEngine, postgresql_url: sa.URL, pre_ping: bool
) -> None:
    """With pool_pre_ping among the options, true or false, nothing of ours is attached."""
    engine = engine_for(postgresql_url, {"pool_pre_ping": pre_ping})
    assert not engine.pool.dispatch.checkout
    assert engine.pool._pre_ping is pre_ping


def test_never_and_always(engine_for: MakeEngine, postgresql_url: sa.URL) -> None:
    """None attaches nothing; 0 is SQLAlchemy's pre-ping."""
    never = engine_for(postgresql_url, RETORT_PING_AFTER_IDLE=None)
    assert not never.pool.dispatch.checkout
    assert never.pool._pre_ping is False
    always = engine_for(postgresql_url, RETORT_PING_AFTER_IDLE=0)
    assert always.pool._pre_ping is True


def test_sqlite_is_not_pinged(sqlite_file: sa.Engine) -> None:
    """A file does not go away by itself."""
    assert not sqlite_file.pool.dispatch.checkout


def test_it_survives_dispose(engine_for: MakeEngine, postgresql_url: sa.URL) -> None:
    """The new pool after dispose() is watched like the old one."""
    engine = engine_for(postgresql_url)
    engine.dispose()
    ended = current_session(engine)
    end_session(postgresql_url, ended)
    assert current_session(engine) != ended


def test_other_listeners_run_with_the_new_connection(
    engine_for: MakeEngine, postgresql_url: sa.URL
) -> None:
    """A user's checkout listener is given the connection that is handed out in the end."""
    engine = engine_for(postgresql_url)
    seen: list[Any] = []
    event.listen(engine, "checkout", lambda connection, record, proxy: seen.append(connection))
    end_session(postgresql_url, current_session(engine))
    with engine.connect() as connection:
        assert seen[-1] is connection.connection.dbapi_connection
