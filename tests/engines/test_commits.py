"""Which errors came out of COMMIT; tests/transactions/test_outcome.py cuts the connections."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from flask_retort.engines.commits import came_from_commit
from flask_retort.errors import BrokenSession, CommitOutcomeUnknown, Disconnected

from .conftest import MakeEngine


def end_session(connection: sa.Connection, by: sa.Engine) -> None:
    """Let the server end the connection's session, as asked by another one, and wait for it."""
    if connection.dialect.name == "postgresql":
        own_id, kill = "SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"
        left = "SELECT count(*) FROM pg_stat_activity WHERE pid = {}"
    else:
        own_id, kill = "SELECT connection_id()", "KILL {}"
        left = "SELECT count(*) FROM information_schema.processlist WHERE id = {}"
    number = connection.scalar(sa.text(own_id))
    with by.execution_options(isolation_level="AUTOCOMMIT").connect() as other:
        other.execute(sa.text(kill.format(number)))
        while other.scalar(sa.text(left.format(number))):
            continue


def test_only_errors_of_commit_are_marked(server_url: sa.URL, engine_for: MakeEngine) -> None:
    """An ended session is noticed by whatever comes next; a commit may have been under way."""
    engine = engine_for(server_url)
    with engine.connect() as connection:
        end_session(connection, engine)
        with pytest.raises(CommitOutcomeUnknown) as raised:
            connection.commit()
    assert raised.value.orig is not None
    assert came_from_commit(raised.value.orig)
    with engine.connect() as connection:
        end_session(connection, engine)
        with pytest.raises(Disconnected) as lost:
            connection.execute(sa.text("SELECT 1"))
    assert lost.type is Disconnected
    assert lost.value.orig is not None
    assert not came_from_commit(lost.value.orig)


@pytest.mark.server
def test_a_commit_that_the_database_refuses_has_an_outcome(
    postgresql_url: sa.URL, engine_for: MakeEngine
) -> None:
    """A constraint checked at the end: nothing was committed, and that is known."""
    engine = engine_for(postgresql_url)
    with engine.connect() as connection:
        connection.execute(
            sa.text("CREATE TABLE item (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        )
        connection.execute(sa.text("INSERT INTO item VALUES (1), (1)"))
        with pytest.raises(sa.exc.IntegrityError) as raised:
            connection.commit()
    assert not isinstance(raised.value, CommitOutcomeUnknown)


@pytest.mark.server
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_commit_that_would_roll_back_is_refused(
    postgresql_url: sa.URL, engine_for: MakeEngine, driver: str
) -> None:
    """PostgreSQL answers COMMIT after a caught error with ROLLBACK, and no error of its own."""
    engine = engine_for(postgresql_url.set(drivername=f"postgresql+{driver}"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE item (id int UNIQUE)"))
    connection = engine.connect()
    with connection:
        connection.execute(sa.text("INSERT INTO item VALUES (1)"))
        with pytest.raises(sa.exc.ProgrammingError):
            connection.execute(sa.text("SELECT nothing FROM nowhere"))
        with pytest.raises(BrokenSession):
            connection.commit()
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM item")) == 0
        connection.execute(sa.text("INSERT INTO item VALUES (2)"))
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
