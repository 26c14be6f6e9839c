"""A unit of work is run again when others were in the way."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from tests.transactions.ledger import Account, Ledger

from flask_retort.errors import (
    Deadlock,
    RetryInTransaction,
    StaleVersion,
    UniqueViolation,
)
from flask_retort.transactions import Retry

QUICK = Retry(times=3, base=0.0001)


class OnPurposeError(Exception):
    """Raised by the tests."""


def test_a_function_is_run_again(ledger: Ledger) -> None:
    """Each run begins with nothing of the one before; the result is the last run's."""
    runs: list[list[str]] = []

    @ledger.db.transaction(retry=QUICK)
    def add() -> int:
        runs.append(sorted(ledger.db.session.scalars(sa.select(Account.name))))
        ledger.add("second")
        ledger.db.session.flush()
        if len(runs) < 3:
            raise StaleVersion("on purpose")
        return len(runs)

    assert add() == 3
    assert runs == [["first"]] * 3
    assert ledger.names() == ["first", "second"]


def test_the_last_error_says_how_often(ledger: Ledger) -> None:
    """When no run has succeeded the error is the last one's, with a note."""
    runs = []

    @ledger.db.transaction(retry=Retry(times=2, base=0.0001))
    def fail() -> None:
        runs.append(1)
        raise StaleVersion("on purpose")

    with pytest.raises(StaleVersion) as raised:
        fail()
    assert len(runs) == 3
    assert raised.value.__notes__ == ["The transaction was run 3 times."]
    assert raised.value.rolled_back == "transaction"


@pytest.mark.parametrize("error", [OnPurposeError("no"), UniqueViolation])
def test_other_errors_are_not_retried(ledger: Ledger, error: Any) -> None:
    """What would fail again fails at once."""
    runs = []

    @ledger.db.transaction(retry=QUICK)
    def fail() -> None:
        runs.append(1)
        if isinstance(error, Exception):
            raise error
        ledger.add("first")

    with pytest.raises(OnPurposeError if isinstance(error, Exception) else error):
        fail()
    assert len(runs) == 1


def test_a_commit_that_fails_is_run_again(ledger: Ledger) -> None:
    """The flush in it and COMMIT itself belong to the work; its result is of the run that held."""
    runs = []

    @ledger.db.transaction(retry=QUICK)
    def add() -> int:
        runs.append(1)
        ledger.add("second")
        return len(runs)

    def fail_once(session: Any) -> None:
        if len(runs) == 1:
            raise StaleVersion("on purpose")

    sa.event.listen(ledger.db.session(), "before_commit", fail_once)
    assert add() == 2
    assert ledger.names() == ["first", "second"]


def test_a_with_block_can_t_be_run_again(ledger: Ledger) -> None:
    """It is told at once, with the form that can."""
    with (
        pytest.raises(TypeError, match=r"@db\.transaction\(retry=3\)"),
        ledger.db.transaction(retry=3),
    ):
        pass


def test_retry_does_not_nest(ledger: Ledger) -> None:
    """In an open transaction, or with changes waiting, a repetition would lose the rest."""

    @ledger.db.transaction(retry=QUICK)
    def again() -> None:
        ledger.add("second")

    with pytest.raises(RetryInTransaction, match="outermost"), ledger.db.transaction():
        again()
    ledger.add("third")
    with pytest.raises(RetryInTransaction, match="not committed"):
        again()
    ledger.db.session.rollback()
    ledger.db.session.scalars(sa.select(Account)).all()
    again()
    assert ledger.names() == ["first", "second"]


def test_no_time_is_spent_inside_the_transaction(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause before a repetition finds nothing open and nothing checked out."""
    open_connections: list[int] = []

    def sleep(seconds: float) -> None:
        open_connections.append(ledger.db.engine.pool.checkedout())  # type: ignore[attr-defined]

    monkeypatch.setattr(time, "sleep", sleep)

    @ledger.db.transaction(retry=2)
    def fail() -> None:
        ledger.add("second")
        ledger.db.session.flush()
        raise StaleVersion("on purpose")

    with pytest.raises(StaleVersion):
        fail()
    assert open_connections == [0, 0]


def test_a_callback_s_error_is_not_the_transaction_s(ledger: Ledger) -> None:
    """What waited for the commit has failed; the work was done once and is not repeated."""
    runs = []

    def fail() -> None:
        raise StaleVersion("in another transaction")

    @ledger.db.transaction(retry=QUICK)
    def add() -> None:
        runs.append(1)
        ledger.add("second")
        ledger.db.on_commit(fail)

    with pytest.raises(StaleVersion):
        add()
    assert len(runs) == 1
    assert ledger.names() == ["first", "second"]


@pytest.mark.parametrize("retry", [-1, True])
def test_a_number_of_retries_is_checked(ledger: Ledger, retry: Any) -> None:
    """What can't be a number of repetitions is refused where it is written."""
    with pytest.raises(ValueError, match="retry is"):
        ledger.db.transaction(retry=retry)


def test_errors_are_caught_by_sqlalchemy_s_names(ledger: Ledger) -> None:
    """Code written for SQLAlchemy's classes goes on working."""
    with pytest.raises(exc.IntegrityError), ledger.db.transaction():
        ledger.add("first")
    assert issubclass(Deadlock, exc.OperationalError)


def test_a_lock_alone_is_no_change(ledger: Ledger) -> None:
    """A function that may be run again is not refused after it: nothing would be lost."""
    ledger.db.lock(Account, [1])
    assert ledger.db.transaction(retry=1)(ledger.balance)() == 200
