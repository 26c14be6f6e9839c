"""What is set on new connections of servers, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc

from .conftest import MakeEngine, need_driver


def variable(connection: sa.Connection) -> Any:
    statement = "SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"
    return connection.exec_driver_sql(statement).one()[1]


def make_stock(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE stock (id INT PRIMARY KEY, n INT) ENGINE=InnoDB")
        connection.exec_driver_sql("INSERT INTO stock VALUES (1, 10)")


@pytest.fixture(params=["mysql+pymysql", "mysql+mysqldb", "mariadb+pymysql", "mariadb+mysqldb"])
def mariadb_url(request: pytest.FixtureRequest, mysql_url: sa.URL) -> sa.URL:
    """An empty MariaDB database, by each driver under each scheme."""
    need_driver(request.param.partition("+")[2])
    return mysql_url.set(drivername=request.param)


def test_mariadb_reports_a_row_that_changed_since_it_was_read(
    engine_for: MakeEngine, mariadb_url: sa.URL
) -> None:
    """Read, another commits, write: an error to run again, not a lost update."""
    engine = engine_for(mariadb_url)
    make_stock(engine)
    with engine.connect() as one, engine.begin() as two:
        seen = one.exec_driver_sql("SELECT n FROM stock").scalar_one()
        two.exec_driver_sql("UPDATE stock SET n = n - 1")
        two.commit()
        with pytest.raises(exc.OperationalError, match="1020"):
            one.exec_driver_sql(f"UPDATE stock SET n = {seen - 1}")


def test_snapshot_isolation_is_on_for_every_connection(
    engine_for: MakeEngine, mariadb_url: sa.URL
) -> None:
    """Also for those that come later; and not where it is switched off."""
    engine = engine_for(mariadb_url)
    with engine.connect() as one, engine.connect() as two:
        assert (variable(one), variable(two)) == ("ON", "ON")
    off = engine_for(mariadb_url, RETORT_MYSQL={"snapshot_isolation": False})
    with off.connect() as connection:
        assert variable(connection) == "OFF"


def test_a_server_without_the_variable_is_asked_once(
    engine_for: MakeEngine, mariadb_url: sa.URL
) -> None:
    """MySQL does not know it: the first connection finds out, no error is seen."""
    engine = engine_for(mariadb_url)
    attempts: list[str] = []

    class Cursor:
        """Answers as a server does that has no such variable."""

        def execute(self, statement: str) -> None:
            attempts.append(statement)
            raise engine.dialect.loaded_dbapi.OperationalError(1193, "Unknown system variable")

        def close(self) -> None:
            pass

    class Connection:
        def cursor(self) -> Cursor:
            return Cursor()

    for _ in range(2):
        for listener in engine.pool.dispatch.connect:
            if type(listener).__name__ == "_SnapshotIsolation":
                listener(Connection(), None)
    assert len(attempts) == 1


def test_unicode_beyond_the_basic_plane(engine_for: MakeEngine, mariadb_url: sa.URL) -> None:
    """utf8mb4: an emoji comes back as it was."""
    with engine_for(mariadb_url).begin() as connection:
        assert connection.exec_driver_sql("SELECT '\U0001f9ea'").scalar() == "\U0001f9ea"


@pytest.mark.parametrize("pooler", [None, "transaction"])
def test_statements_are_prepared_only_without_a_pooler(
    engine_for: MakeEngine, postgresql_url: sa.URL, pooler: str | None
) -> None:
    """psycopg 3 prepares what runs often; a pooler in transaction mode must not see that."""
    engine = engine_for(postgresql_url, RETORT_POOLER=pooler)
    with engine.connect() as connection:
        for number in range(10):
            connection.execute(sa.text("SELECT :n + 1").bindparams(n=number)).scalar()
        prepared = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements")
        assert (prepared.scalar() == 0) is (pooler is not None)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_nothing_is_set_on_a_postgresql_connection(
    engine_for: MakeEngine, postgresql_url: sa.URL, driver: str
) -> None:
    """A setting would stay on the pooler's connection for whoever comes next."""
    need_driver(driver)
    url = postgresql_url.set(drivername=f"postgresql+{driver}")
    engine = engine_for(url, RETORT_POOLER="transaction")
    with engine.connect() as connection:
        changed = connection.exec_driver_sql(
            "SELECT name FROM pg_settings WHERE source = 'session'"
        ).scalars()
        assert set(changed) <= {"client_encoding"}


def test_user_listeners_and_dispose_work_together(
    engine_for: MakeEngine, database_url: sa.URL
) -> None:
    """After dispose() new connections are set up like the first ones."""
    engine = engine_for(database_url)
    opened: list[Any] = []
    event.listen(engine, "connect", lambda connection, record: opened.append(connection))
    for _ in range(2):
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1
        engine.dispose()
    assert len(opened) == 2
