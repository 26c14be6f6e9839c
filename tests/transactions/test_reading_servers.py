"""What a read-only scope sends to a server, over which connections."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import MakeApp
from tests.engines.conftest import need_driver
from tests.faults.proxy import proxied
from tests.transactions.ledger import Account, Base, Ledger, make_ledger

from flask_retort import SQLAlchemy
from flask_retort.errors import ReadOnlyViolation
from flask_retort.record_queries import get_recorded_queries


@pytest.fixture(params=["psycopg", "psycopg2", "pymysql", "mysqldb"])
def server(request: pytest.FixtureRequest, make_app: MakeApp) -> Iterator[tuple[Ledger, Any]]:
    """A ledger over each driver of a server, behind a proxy that counts round trips."""
    need_driver(request.param)
    is_postgresql = request.param.startswith("psycopg")
    url = request.getfixturevalue("postgresql_url" if is_postgresql else "mysql_url")
    name = f"{url.get_backend_name()}+{request.param}"
    with proxied(url.set(drivername=name)) as proxy:
        app = make_app(SQLALCHEMY_DATABASE_URI=proxy.url, RETORT_GUARDS="off")
        with make_ledger(app) as ledger:
            yield ledger, proxy
            ledger.db.engine.dispose()


@pytest.mark.server
def test_how_many_round_trips_a_read_takes(server: tuple[Ledger, Any]) -> None:
    """PostgreSQL: one, MariaDB: one if asked for; a transaction has a beginning and an end."""
    ledger, proxy = server
    is_postgresql = ledger.db.engine.dialect.name == "postgresql"

    def read(autocommit: bool | None) -> int:
        before = proxy.round_trips
        with ledger.db.read_only(autocommit=autocommit) as session:
            session.get_one(Account, 1)
        return int(proxy.round_trips - before)

    for autocommit in (None, True, False):
        read(autocommit)  # connects
    assert read(None) == (1 if is_postgresql else 4)
    assert read(True) == 1
    assert read(False) == 4
    ledger.db.session.remove()
    before = proxy.round_trips
    ledger.db.session.get_one(Account, 1)
    ledger.db.session.remove()
    assert proxy.round_trips - before == 3


@pytest.mark.server
def test_rows_can_be_streamed(server: tuple[Ledger, Any]) -> None:
    """In AUTOCOMMIT too, where a server's cursor would end with its statement."""
    ledger, _ = server
    ledger.db.session.add_all([Account(name=f"n{i}") for i in range(30)])
    ledger.db.session.commit()
    statement = sa.select(Account.name).order_by(Account.id).execution_options(yield_per=4)
    for fetched in (31, 1):
        with ledger.db.read_only() as session:
            result = session.scalars(statement)
            assert len(list(itertools.islice(result, fetched))) == fetched
            result.close()
    if ledger.db.engine.dialect.name == "postgresql":  # the others do one at a time
        with ledger.db.read_only() as session:
            first, second = session.scalars(statement), session.scalars(statement)
            assert list(zip(first, second, strict=True))[-1] == ("n29", "n29")


@pytest.mark.server
def test_behind_a_pooler_and_with_an_isolation_level_it_is_a_transaction(
    make_app: MakeApp, postgresql_url: sa.URL
) -> None:
    """Nothing is set on the connection that the next client would get; still no writes."""
    for keys in (
        {"RETORT_POOLER": "transaction"},
        {"SQLALCHEMY_ENGINE_OPTIONS": {"isolation_level": "REPEATABLE READ"}},
    ):
        app = make_app(SQLALCHEMY_DATABASE_URI=postgresql_url, RETORT_GUARDS="off", **keys)
        db = SQLAlchemy(app, model_class=Base)
        with app.app_context():
            db.create_all()
            with db.read_only() as session:
                asked = "SELECT current_setting('transaction_read_only')"
                assert session.scalar(sa.text(asked)) == "on"
                asked = "SELECT current_setting('default_transaction_read_only')"
                assert session.scalar(sa.text(asked)) == "off"
                with pytest.raises(ReadOnlyViolation):
                    session.execute(sa.delete(Account))
            assert db.engine.pool.checkedin() == 1  # type: ignore[attr-defined]


@pytest.mark.server
def test_statements_are_recorded(make_app: MakeApp, postgresql_url: sa.URL) -> None:
    """What observes an engine observes its reading engine; errors name models there too."""
    app = make_app(
        SQLALCHEMY_DATABASE_URI=postgresql_url,
        SQLALCHEMY_RECORD_QUERIES=True,
        RETORT_GUARDS="off",
    )
    with make_ledger(app) as ledger:
        with ledger.app.app_context():
            for _ in range(2):
                with ledger.db.read_only() as session:
                    session.get_one(Account, 1)
            recorded = [info.statement.split()[0] for info in get_recorded_queries()]
        assert recorded == ["SELECT", "SELECT"]


@pytest.mark.server
def test_disposing_the_engine_closes_its_reading_connections(
    make_app: MakeApp, postgresql_url: sa.URL
) -> None:
    """``db.engine.dispose()`` is enough, as before the database is dropped."""
    with make_ledger(make_app(SQLALCHEMY_DATABASE_URI=postgresql_url)) as ledger:
        with ledger.db.read_only() as session:
            session.get_one(Account, 1)
            pool: Any = session.get_bind().pool  # type: ignore[union-attr]
        assert pool is not ledger.db.engine.pool
        assert pool.checkedin() == 1
        ledger.db.session.remove()
        ledger.db.engine.dispose()
        assert pool.checkedin() == 0
