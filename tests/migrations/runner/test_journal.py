"""The journal: one row, in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from tests.migrations.scripts import contents, engine_for

from flask_retort.migrations.runner.journal import Journal, Mark, half_done

MARK = Mark("ae10", False, 3, "d" * 64, last="ALTER TABLE users", running=None)


@pytest.fixture
def connection(database_url: sa.URL) -> Iterator[sa.Connection]:
    """A connection to an empty database."""
    engine = engine_for(database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _journal(connection: sa.Connection) -> Journal:
    return Journal(connection, "alembic_version", None)


def test_reading_changes_nothing(connection: sa.Connection) -> None:
    """Without a table there is nothing half done, and none is created."""
    assert half_done(connection, "alembic_version", None) is None
    connection.rollback()
    assert contents(connection.engine) == {}


def test_what_is_written_is_read_by_another(connection: sa.Connection) -> None:
    """The mark comes back whole, the running statement included."""
    journal = _journal(connection)
    journal.prepare()
    journal.write(MARK)
    running = Mark("ae10", True, 4, "e" * 64, "last", "CREATE INDEX ü", "fingerprint")
    journal.write(running)
    connection.commit()
    assert _journal(connection).read() == running


def test_any_statement_fits(mysql_url: sa.URL) -> None:
    """A long statement in any script is kept whole, whatever the database's own defaults are."""
    engine = engine_for(mysql_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER DATABASE CHARACTER SET latin1")
        connection.exec_driver_sql("SET default_storage_engine = 'MyISAM'")
        journal = _journal(connection)
        journal.prepare()
        connection.commit()
        journal.write(Mark("ae10", False, 0, "", running="Ω😀" * 50_000))
        assert journal.read() == Mark("ae10", False, 0, "", running="Ω😀" * 50_000)
        connection.rollback()
        assert journal.read() is None
    engine.dispose()


def test_it_is_rolled_back_with_what_it_tells_of(connection: sa.Connection) -> None:
    """A mark of a transaction that is rolled back is not there."""
    journal = _journal(connection)
    journal.prepare()
    connection.commit()
    journal.write(MARK)
    connection.rollback()
    assert _journal(connection).read() is None
    assert journal.read() is None
    journal.write(MARK)
    assert _journal(connection).read() == MARK


def test_only_an_empty_journal_is_dropped(connection: sa.Connection) -> None:
    """What is half done keeps its table."""
    journal = _journal(connection)
    journal.prepare()
    journal.write(MARK)
    journal.drop()
    assert journal.read() == MARK
    journal.clear()
    journal.drop()
    connection.commit()
    assert contents(connection.engine) == {}
