"""A server that ends the whole transaction inside a savepoint: no half of it is committed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from tests.conftest import MakeApp
from tests.engines.conftest import need_driver
from tests.transactions.ledger import Account, Ledger, make_ledger

from flask_retort.errors import BrokenSession, Deadlock, Disconnected
from flask_retort.transactions import Retry

FIRST = sa.select(Account).where(Account.name == "first").with_for_update()
OTHER = sa.select(Account).where(Account.name == "other").with_for_update()

pytestmark = pytest.mark.server


@pytest.fixture(params=["mysql+pymysql", "mysql+mysqldb"])
def on_mysql(
    request: pytest.FixtureRequest, make_app: MakeApp, mysql_url: sa.URL
) -> Generator[Ledger]:
    """A ledger with the accounts "first" and "other"."""
    need_driver(request.param.rpartition("+")[2])
    url = mysql_url.set(drivername=request.param)
    app = make_app(SQLALCHEMY_DATABASE_URI=url, RETORT_GUARDS="off")
    with make_ledger(app) as ledger:
        ledger.add("other")
        ledger.db.session.commit()
        yield ledger
    with app.app_context():
        assert ledger.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        ledger.db.engine.dispose()


@contextmanager
def in_the_way(ledger: Ledger) -> Generator[Callable[[], None]]:
    """Gives what waits for another transaction in a circle, which the server ends by ending ours.

    The other one has written more, so that it is not the victim.
    """
    engine = ledger.db.engine
    has_other, waits = threading.Event(), threading.Event()

    def work() -> None:
        with engine.connect() as connection:
            rows = [{"name": f"heavy {number}", "balance": 0} for number in range(20)]
            connection.execute(sa.insert(Account), rows)
            connection.execute(OTHER)
            has_other.set()
            waits.wait(10)
            connection.execute(FIRST)
            connection.rollback()

    def collide() -> None:
        ledger.db.session.execute(FIRST)
        waits.set()
        ledger.db.session.execute(OTHER)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert has_other.wait(10)
        yield collide
    finally:
        waits.set()
        thread.join()


def test_a_deadlock_in_a_savepoint_is_told_as_one(on_mysql: Ledger) -> None:
    """Not as a savepoint that does not exist; and the outer block is not committed without it."""
    with (
        in_the_way(on_mysql) as collide,
        pytest.raises(BrokenSession, match="outermost block") as raised,
        on_mysql.db.transaction(),
    ):
        on_mysql.add("before")
        with pytest.raises(Deadlock) as inside, on_mysql.db.transaction():
            collide()
    assert inside.value.rolled_back == "transaction"
    assert raised.value.__cause__ is inside.value
    assert on_mysql.names() == ["first", "other"]


def test_a_statement_after_it_is_told_the_same(on_mysql: Ledger) -> None:
    """Not to put into a savepoint what was in one."""
    with (
        in_the_way(on_mysql) as collide,
        pytest.raises(BrokenSession) as raised,
        on_mysql.db.transaction() as session,
    ):
        on_mysql.add("before")
        with pytest.raises(Deadlock), on_mysql.db.transaction():
            collide()
        session.scalars(sa.select(Account)).all()
    message = str(raised.value)
    assert "Let it leave the outermost block" in message
    assert message.count("[retort:") == 1


def test_what_follows_it_is_refused(on_mysql: Ledger) -> None:
    """The next statement as well, whoever made the savepoint and the transaction."""
    session = on_mysql.db.session
    with in_the_way(on_mysql) as collide, pytest.raises(BrokenSession), session.begin():
        on_mysql.add("before")
        with pytest.raises(Deadlock), session.begin_nested():
            collide()
        on_mysql.add("after")
    assert on_mysql.names() == ["first", "other"]


def test_nothing_follows_it_in_begin(on_mysql: Ledger) -> None:
    """Without a savepoint too: the end of ``session.begin()`` rolls back, and says it."""
    with in_the_way(on_mysql) as collide, pytest.raises(BrokenSession), on_mysql.db.session.begin():
        on_mysql.add("before")
        on_mysql.db.session.flush()
        with pytest.raises(Deadlock):
            collide()
        on_mysql.add("after")
    assert on_mysql.names() == ["first", "other"]


def test_a_deadlock_in_a_savepoint_is_run_again(on_mysql: Ledger) -> None:
    """By the function around it, with all that came before."""
    runs = []

    with in_the_way(on_mysql) as collide:

        @on_mysql.db.transaction(retry=Retry(times=1, base=0.001))
        def work() -> None:
            runs.append(1)
            on_mysql.add("before")
            with on_mysql.db.transaction():
                collide()

        work()
    assert len(runs) == 2
    assert on_mysql.names() == ["before", "first", "other"]


@pytest.mark.parametrize("url", ["postgresql_url", "mysql_url"])
def test_a_connection_lost_in_a_savepoint_loses_all(
    url: str, request: pytest.FixtureRequest, make_app: MakeApp
) -> None:
    """Caught outside of it, with nothing after it: the outer block still says what became of it."""
    app = make_app(SQLALCHEMY_DATABASE_URI=request.getfixturevalue(url), RETORT_GUARDS="off")
    with make_ledger(app) as ledger:
        with pytest.raises(BrokenSession, match="outermost block"), ledger.db.transaction():
            ledger.add("before")
            with pytest.raises(Disconnected) as raised, ledger.db.transaction() as session:
                _cut(ledger, session.connection())
                session.execute(sa.select(1))
        assert raised.value.rolled_back == "transaction"
        assert ledger.names() == ["first"]


def _cut(ledger: Ledger, connection: sa.Connection) -> None:
    is_postgresql = connection.dialect.name == "postgresql"
    number = connection.exec_driver_sql(
        "SELECT pg_backend_pid()" if is_postgresql else "SELECT connection_id()"
    ).scalar_one()
    end = "SELECT pg_terminate_backend({})" if is_postgresql else "KILL {}"
    with ledger.db.engine.connect() as other:
        other.exec_driver_sql(end.format(number))
