"""A connection beside the pool."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool, StaticPool
from tests.conftest import Disposed
from tests.migrations.programs import eventually

from flask_retort.errors import CannotConnect
from flask_retort.migrations.backends.aside import connect_aside

DRIVERS = ["postgresql+psycopg", "postgresql+psycopg2"]
POOLS: list[dict[str, Any]] = [
    {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1},
    {"poolclass": NullPool},
    {"poolclass": StaticPool},
]


@pytest.mark.parametrize("options", POOLS, ids=["queue", "null", "static"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_it_has_a_session_of_its_own(
    postgresql_url: sa.URL, disposed: Disposed, driver: str, options: dict[str, Any]
) -> None:
    """Also where the pool is used up, and the pool counts nothing before, during and after."""
    engine = disposed(sa.create_engine(postgresql_url.set(drivername=driver), **options))
    query = sa.text("SELECT pg_backend_pid()")
    with engine.connect() as work:
        before = engine.pool.status()
        aside = connect_aside(engine)
        assert aside.execute(query).scalar() != work.execute(query).scalar()
        assert engine.pool.status() == before
        aside.close()
        assert engine.pool.status() == before


@pytest.mark.parametrize("driver", DRIVERS)
def test_it_is_in_autocommit_and_ends_with_close(
    postgresql_url: sa.URL, disposed: Disposed, driver: str
) -> None:
    """What it executes is there at once; closed, its server session is gone."""
    engine = disposed(sa.create_engine(postgresql_url.set(drivername=driver)))
    aside = connect_aside(engine)
    aside.execute(sa.text("CREATE TABLE seen (n int)"))
    sessions = sa.text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid AND state = 'idle'")
    pid = {"pid": aside.execute(sa.text("SELECT pg_backend_pid()")).scalar()}
    with engine.connect() as other:
        assert sa.inspect(other).has_table("seen")
        assert other.execute(sessions, pid).scalar() == 1
        other.rollback()
        aside.close()
        left = sa.text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid")
        other.execution_options(isolation_level="AUTOCOMMIT")
        eventually(lambda: other.execute(left, pid).scalar() is None, 5)


def test_events_of_new_connections_apply(postgresql_url: sa.URL, disposed: Disposed) -> None:
    """A password made for each connection, and what is set on it, come from these events."""
    engine = disposed(sa.create_engine(postgresql_url.set(username="nobody_yet")))

    @event.listens_for(engine, "do_connect")
    def do_connect(dialect: Any, record: Any, args: Any, parameters: dict[str, Any]) -> None:
        parameters["user"] = postgresql_url.username

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET search_path = elsewhere")
        connection.commit()

    aside = connect_aside(engine)
    assert aside.execute(sa.text("SHOW search_path")).scalar() == "elsewhere"
    aside.close()


def test_a_refused_connection_is_said_without_the_password(
    postgresql_url: sa.URL, disposed: Disposed
) -> None:
    """The sentence names the database, the driver's reason, and what to look at."""
    url = postgresql_url.set(database="not_there", password="right-horse")
    engine = disposed(sa.create_engine(url))
    with pytest.raises(CannotConnect, match=r"not_there.*does not exist.*raise the limit") as info:
        connect_aside(engine)
    assert "right-horse" not in str(info.value)


def test_a_user_without_another_connection_is_told(
    postgresql_url: sa.URL, disposed: Disposed
) -> None:
    """The pool's own connection goes on."""
    engine = disposed(sa.create_engine(postgresql_url))
    role = f"one_{postgresql_url.database}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1"))
    limited = disposed(sa.create_engine(postgresql_url.set(username=role)))
    try:
        with limited.connect() as work:
            with pytest.raises(CannotConnect, match="too many connections"):
                connect_aside(limited)
            assert work.execute(sa.text("SELECT 1")).scalar() == 1
    finally:
        limited.dispose()
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP ROLE {role}"))
