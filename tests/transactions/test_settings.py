"""What a transaction is begun with holds for it, and for nothing after it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa
from tests.transactions.ledger import Account, Ledger

from flask_retort.errors import (
    ConfigurationError,
    LockTimeout,
    ReadOnlyViolation,
    StatementTimeout,
    TransactionOpen,
)
from flask_retort.transactions import settings

# MariaDB has no variable for a transaction's own level: what it sees of another one tells it.
SEEN = {
    "read uncommitted": ("uncommitted", "committed"),
    "read committed": ("before", "committed"),
    "repeatable read": ("before", "before"),
    "serializable": ("locked", "locked"),
}
TIMEOUTS = {
    "sqlite": "PRAGMA busy_timeout",
    "postgresql": "SELECT current_setting('lock_timeout') || current_setting('statement_timeout')",
    "mysql": "SELECT CONCAT(@@innodb_lock_wait_timeout, '/', @@max_statement_time)",
}


def _asked(ledger: Ledger, questions: dict[str, str]) -> Any:
    question = sa.text(questions[ledger.db.engine.dialect.name])
    return ledger.db.session.execute(question).scalar()


def _level(ledger: Ledger) -> str:
    """The level of the open transaction, which has read the first account."""
    if ledger.db.engine.dialect.name == "postgresql":
        asked = sa.text("SELECT current_setting('transaction_isolation')")
        return str(ledger.db.session.execute(asked).scalar())
    with ledger.db.engine.connect() as other:
        other.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = 0")
        try:
            other.execute(sa.update(Account).values(balance=1))
        except LockTimeout:
            seen = ("locked", "locked")
        else:
            first = "uncommitted" if _balance(ledger) == 1 else "before"
            other.commit()
            seen = (first, "committed" if _balance(ledger) == 1 else "before")
        other.invalidate()
    return next(level for level, sight in SEEN.items() if sight == seen)


def _balance(ledger: Ledger) -> int | None:
    return ledger.db.session.scalar(sa.select(Account.balance))


@pytest.mark.server
@pytest.mark.parametrize("level", settings.ISOLATION_LEVELS)
def test_isolation_is_the_transaction_s(ledger: Ledger, level: Any) -> None:
    """The database says so; the next transaction has the default again."""
    if ledger.db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one level, and any of them asks for no more than it")
    default = {"postgresql": "read committed", "mysql": "repeatable read"}
    for expected, block in [
        (level, ledger.db.transaction(isolation=level)),
        (default[ledger.db.engine.dialect.name], ledger.db.transaction()),
    ]:
        with ledger.db.engine.begin() as connection:
            connection.execute(sa.update(Account).values(balance=200))
        with block:
            assert _balance(ledger) == 200
            assert _level(ledger) == expected


def test_any_spelling_of_a_level(ledger: Ledger) -> None:
    """As SQLAlchemy spells them, or SQL; an unknown one is told with those there are."""
    for level in ("SERIALIZABLE", "REPEATABLE_READ", "read committed"):
        with ledger.db.transaction(isolation=level):  # type: ignore[arg-type]
            assert ledger.db.session.scalars(sa.select(Account.name)).all() == ["first"]
    with pytest.raises(ValueError, match="isolation is 'snapshot'; it can be read uncommitted"):
        ledger.db.transaction(isolation="snapshot")  # type: ignore[arg-type]


def test_a_read_only_transaction_is_one(ledger: Ledger) -> None:
    """The database refuses the write; the connection writes again afterwards."""
    with (
        pytest.raises(ReadOnlyViolation) as raised,
        ledger.db.transaction(read_only=True) as session,
    ):
        assert session.scalars(sa.select(Account.name)).all() == ["first"]
        ledger.add("second")
        session.flush()
    assert raised.value.rolled_back == "transaction"
    with ledger.db.transaction():
        ledger.add("third")
    assert ledger.names() == ["first", "third"]


def test_timeouts_end_with_the_transaction(ledger: Ledger) -> None:
    """Committed, rolled back or failed: the next user of the connection has its own."""
    name = ledger.db.engine.dialect.name
    limits: dict[str, Any] = {"lock_timeout": 1.5}
    if name != "sqlite":
        limits["statement_timeout"] = 2.5
    before = _asked(ledger, TIMEOUTS)
    ledger.db.session.rollback()
    with ledger.db.transaction(**limits):
        assert _asked(ledger, TIMEOUTS) == {
            "sqlite": 1500,
            "postgresql": "1500ms2500ms",
            "mysql": "2/2.500000",
        }.get(name)
    assert _asked(ledger, TIMEOUTS) == before
    ledger.db.session.rollback()
    with pytest.raises(ZeroDivisionError), ledger.db.transaction(**limits) as session:
        session.scalars(sa.select(Account)).all()
        raise ZeroDivisionError
    assert _asked(ledger, TIMEOUTS) == before


def test_a_lock_is_waited_for_no_longer(ledger: Ledger) -> None:
    """LockTimeout, after about the time given; not the 50 s and 20 s of the defaults."""
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ledger.app.app_context(), ledger.db.transaction() as session:
            session.execute(sa.update(Account).values(balance=1))
            locked.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    start = time.monotonic()
    try:
        with pytest.raises(LockTimeout), ledger.db.transaction(lock_timeout=0.2) as session:
            session.execute(sa.update(Account).values(balance=2))
        assert time.monotonic() - start < 10
    finally:
        done.set()
        holder.join()
    assert ledger.balance() == 1


@pytest.mark.server
def test_a_statement_may_take_no_longer(ledger: Ledger) -> None:
    """StatementTimeout; SQLite has no such limit and says it, before anything is done."""
    name = ledger.db.engine.dialect.name
    if name == "sqlite":
        with (
            pytest.raises(ConfigurationError, match="SQLite has no limit"),
            ledger.db.transaction(statement_timeout=1) as session,
        ):
            session.scalars(sa.select(Account)).all()
        return
    sleep = {"postgresql": "SELECT pg_sleep(30)", "mysql": "SELECT SLEEP(30), id FROM account"}
    with pytest.raises(StatementTimeout), ledger.db.transaction(statement_timeout=0.1) as session:
        session.execute(sa.text(sleep[name])).all()


@pytest.mark.parametrize("value", [0, -1, 1e9])
def test_a_timeout_is_a_time(ledger: Ledger, value: float) -> None:
    """What is none is refused where it is written."""
    with pytest.raises(ValueError, match="lock_timeout is"):
        ledger.db.transaction(lock_timeout=value)


def test_they_hold_though_the_first_block_was_inside_begin(ledger: Ledger) -> None:
    """That one is a savepoint; the next one of the session has settings of its own."""
    with ledger.db.session.begin(), ledger.db.transaction():
        ledger.add("second")
    with pytest.raises(ReadOnlyViolation), ledger.db.transaction(read_only=True):
        ledger.add("third")
    assert ledger.names() == ["first", "second"]


def test_settings_need_a_transaction_of_their_own(ledger: Ledger) -> None:
    """One that has only read is ended for them; one with changes is not, and neither is a block."""
    ledger.db.session.scalars(sa.select(Account)).all()
    with ledger.db.transaction(isolation="serializable"):
        ledger.add("second")
    ledger.add("third")
    with (
        pytest.raises(TransactionOpen, match="not committed"),
        ledger.db.transaction(lock_timeout=1),
    ):
        pass
    ledger.db.session.commit()
    with (
        pytest.raises(TransactionOpen, match="outermost"),
        ledger.db.transaction(),
        ledger.db.transaction(read_only=True),
    ):
        pass
    assert ledger.names() == ["first", "second", "third"]


@pytest.mark.parametrize("level", [None, "serializable"])
def test_they_do_not_stop_a_test_whose_transaction_is_around_all(
    ledger: Ledger, level: Any
) -> None:
    """A server takes no level any more then, and MariaDB refuses no writes; the work is done."""
    db = ledger.db
    with db.engine.connect() as connection, connection.begin() as around:
        connection.execute(sa.update(Account).values(balance=300))
        db.session.remove()
        db.session.configure(bind=connection, binds={}, join_transaction_mode="create_savepoint")
        with db.transaction(isolation=level, lock_timeout=1):
            ledger.add("second")
        with db.transaction(isolation=level, read_only=True) as session:
            assert session.scalar(sa.select(sa.func.count(Account.id))) == 2
        with db.transaction(isolation=level):
            ledger.add("third")
        db.session.remove()
        around.rollback()
    assert ledger.names() == ["first"]


def test_a_test_s_transaction_refuses_writes_in_between(ledger: Ledger) -> None:
    """Where it can be said of a savepoint."""
    db = ledger.db
    if db.engine.dialect.name == "mysql":
        pytest.skip("MariaDB says it of a whole transaction, before it begins")
    with db.engine.connect() as connection, connection.begin():
        db.session.remove()
        db.session.configure(bind=connection, binds={}, join_transaction_mode="create_savepoint")
        with pytest.raises(ReadOnlyViolation), db.transaction(read_only=True):
            ledger.add("second")
        db.session.remove()
