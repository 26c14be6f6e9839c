"""A connection lost during COMMIT: nothing is run again, and the server is asked how it ended."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
import sqlalchemy as sa
from tests.conftest import MakeApp
from tests.engines.conftest import need_driver
from tests.faults.proxy import Proxy, proxied
from tests.transactions.ledger import Account, Ledger, make_ledger

from flask_retort.errors import CannotConnect, CommitOutcomeUnknown, Disconnected
from flask_retort.transactions import outcome

Cut = Literal["before", "after"]


@contextmanager
def cuttable(make_app: MakeApp, url: sa.URL) -> Generator[tuple[Ledger, Proxy]]:
    """A ledger whose connections can be cut, and the proxy that does it."""
    with proxied(url) as proxy:
        app = make_app(SQLALCHEMY_DATABASE_URI=proxy.url, RETORT_GUARDS="off")
        with make_ledger(app) as ledger:
            yield ledger, proxy
            assert ledger.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
            ledger.db.engine.dispose()


@pytest.fixture(params=["psycopg", "psycopg2", "pymysql", "mysqldb"])
def each_driver(
    request: pytest.FixtureRequest, make_app: MakeApp
) -> Iterator[tuple[Ledger, Proxy]]:
    """A ledger over each driver."""
    need_driver(request.param)
    is_postgresql = request.param.startswith("psycopg")
    url = request.getfixturevalue("postgresql_url" if is_postgresql else "mysql_url")
    name = f"{url.get_backend_name()}+{request.param}"
    with cuttable(make_app, url.set(drivername=name)) as made:
        yield made


@pytest.fixture
def on_postgresql(make_app: MakeApp, postgresql_url: sa.URL) -> Iterator[tuple[Ledger, Proxy]]:
    """A ledger on PostgreSQL."""
    with cuttable(make_app, postgresql_url) as made:
        yield made


@pytest.mark.server
@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_commit_cut_off_is_of_unknown_outcome(
    each_driver: tuple[Ledger, Proxy], cut: Cut
) -> None:
    """Before or after the server got it, by whatever commit; nothing is run twice by itself."""
    ledger, proxy = each_driver
    runs: list[str] = []

    @ledger.db.transaction(retry=3)
    def by_transaction() -> None:
        _add(ledger, "transaction", runs)
        proxy.cut = cut

    def by_session() -> None:
        _add(ledger, "session", runs)
        proxy.cut = cut
        ledger.db.session.commit()

    def by_connection() -> None:
        with ledger.db.engine.connect() as connection:
            connection.execute(sa.insert(Account).values(name="connection", balance=0))
            runs.append("connection")
            proxy.cut = cut
            connection.commit()

    answers = []
    for work in (by_transaction, by_session, by_connection):
        with pytest.raises(CommitOutcomeUnknown, match="lost during COMMIT") as raised:
            work()
        answers.append(raised.value.resolve())
    assert runs == ["transaction", "session", "connection"]
    assert proxy.cuts == 3
    is_postgresql = ledger.db.engine.dialect.name == "postgresql"
    assert answers == [(cut == "after") if is_postgresql else None, None, None]
    assert ledger.names() == (sorted(["first", *runs]) if cut == "after" else ["first"])


@pytest.mark.server
def test_a_connection_lost_elsewhere_is_only_lost(each_driver: tuple[Ledger, Proxy]) -> None:
    """In a statement or in ROLLBACK nothing can have taken effect."""
    ledger, proxy = each_driver
    for word in (b"INSERT", b"ROLLBACK"):
        with pytest.raises(Disconnected) as raised, ledger.db.engine.connect() as connection:
            connection.scalars(sa.select(Account.name)).all()
            proxy.word, proxy.cut = word, "after"
            if word == b"INSERT":
                connection.execute(sa.insert(Account).values(name="second", balance=0))
            connection.rollback()
        assert not isinstance(raised.value, CommitOutcomeUnknown)
    assert ledger.names() == ["first"]


@pytest.mark.server
def test_what_is_committed_as_usual_costs_one_round_trip_more(
    on_postgresql: tuple[Ledger, Proxy],
) -> None:
    """The number is asked for once, only where something was written and it is wanted."""
    ledger, proxy = on_postgresql

    def round_trips(*, writes: bool, resolvable: bool) -> int:
        before = proxy.round_trips
        with ledger.db.transaction(resolvable=resolvable) as session:
            account = session.get_one(Account, 1, populate_existing=True)
            account.balance += writes
        return proxy.round_trips - before

    usual = round_trips(writes=True, resolvable=False)
    assert round_trips(writes=True, resolvable=True) == usual + 1
    assert round_trips(writes=False, resolvable=True) == usual - 1  # the UPDATE


@pytest.mark.server
def test_a_transaction_in_progress_is_waited_for(on_postgresql: tuple[Ledger, Proxy]) -> None:
    """The server can still be at it when it is asked; the answer is how it ended."""
    ledger, _ = on_postgresql
    error = _unknown()
    with ledger.db.engine.connect() as busy:
        busy.execute(sa.update(Account).values(balance=7))
        outcome.attach(error, [_number_of(busy)])
        timer = threading.Timer(0.15, busy.commit)
        timer.start()
        assert error.resolve() is True
        timer.join()
    assert ledger.balance() == 7


@pytest.mark.server
def test_what_stays_in_progress_is_not_known(
    on_postgresql: tuple[Ledger, Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may not have noticed that its client is gone, and the COMMIT may still come."""
    monkeypatch.setattr(outcome, "PATIENCE", 0.1)
    ledger, _ = on_postgresql
    error = _unknown()
    with ledger.db.engine.connect() as busy:
        busy.execute(sa.update(Account).values(balance=7))
        outcome.attach(error, [_number_of(busy)])
        assert error.resolve() is None


@pytest.mark.server
def test_another_server_is_not_believed(on_postgresql: tuple[Ledger, Proxy]) -> None:
    """After a failover the same number can be another transaction's."""
    ledger, _ = on_postgresql
    error = _unknown()
    with ledger.db.engine.connect() as connection:
        connection.execute(sa.update(Account).values(balance=7))
        number = _number_of(connection)
        connection.commit()
        started = connection.scalar(sa.text("SELECT pg_postmaster_start_time() - interval '1 s'"))
    outcome.attach(error, [number])
    assert error.resolve() is True
    outcome.attach(error, [outcome.Number(number.engine, number.number, started)])
    assert error.resolve() is None


@pytest.mark.server
def test_databases_that_ended_differently_are_not_one_answer(
    on_postgresql: tuple[Ledger, Proxy],
) -> None:
    """A transaction over two databases can be committed on one of them alone."""
    ledger, _ = on_postgresql
    error = _unknown()
    numbers = []
    for end in ("commit", "rollback"):
        with ledger.db.engine.connect() as connection:
            connection.execute(sa.update(Account).values(balance=7))
            numbers.append(_number_of(connection))
            getattr(connection, end)()
    for asked, answer in ((numbers[:1], True), (numbers[1:], False), (numbers, None)):
        outcome.attach(error, asked)
        assert error.resolve() is answer


@pytest.mark.server
def test_a_server_that_can_t_be_reached_can_t_be_asked(
    make_app: MakeApp, postgresql_url: sa.URL
) -> None:
    """The question can be asked again later."""
    with cuttable(make_app, postgresql_url) as (ledger, proxy):
        with pytest.raises(CommitOutcomeUnknown) as raised, ledger.db.transaction():
            ledger.add("second")
            ledger.db.session.flush()
            proxy.cut = "after"
        proxy.close()
        with pytest.raises(CannotConnect):
            raised.value.resolve()


def test_only_a_transaction_that_has_written_on_postgresql_has_a_number(ledger: Ledger) -> None:
    """Elsewhere, and for reads alone, there is nothing to ask for."""
    is_postgresql = ledger.db.engine.dialect.name == "postgresql"
    session = ledger.db.session()
    assert outcome.number(session) is None
    session.get_one(Account, 1)
    assert outcome.number(session) is None
    ledger.add("second")
    session.flush()
    assert (outcome.number(session) is not None) is is_postgresql
    session.rollback()


def _add(ledger: Ledger, name: str, runs: list[str]) -> None:
    ledger.add(name)
    ledger.db.session.flush()
    runs.append(name)


def _unknown() -> CommitOutcomeUnknown:
    reason = sa.exc.OperationalError("COMMIT", {}, Exception("lost"))
    return CommitOutcomeUnknown("lost", reason)


def _number_of(connection: sa.Connection) -> outcome.Number:
    number = outcome._number(connection)
    assert number is not None
    return number
