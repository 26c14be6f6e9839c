"""What waits for the end of a transaction is called once, after the right end."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from tests.transactions.ledger import Account, Ledger

from flask_retort import transactions
from flask_retort.errors import StaleVersion, UniqueViolation


class OnPurposeError(Exception):
    """Raised by the tests."""


@pytest.fixture
def calls() -> list[str]:
    return []


def test_called_after_the_commit_in_order(ledger: Ledger, calls: list[str]) -> None:
    """With the arguments given, when others see the data; not before, and only once."""
    with ledger.db.transaction():
        ledger.db.on_commit(calls.append, "one")
        ledger.db.on_commit(lambda: calls.extend(ledger.names()))
        ledger.db.on_rollback(calls.append, "no")
        ledger.add("second")
        ledger.db.session.flush()
        assert calls == []
    assert calls == ["one", "first", "second"]
    ledger.db.session.commit()
    assert calls == ["one", "first", "second"]


def test_called_after_a_rollback(ledger: Ledger, calls: list[str]) -> None:
    """The other half: nothing that waited for the commit, all that waited for this."""
    with pytest.raises(OnPurposeError), ledger.db.transaction():
        ledger.db.on_commit(calls.append, "no")
        ledger.db.on_rollback(calls.append, "one")
        raise OnPurposeError
    assert calls == ["one"]


def test_a_savepoint_s_rollback_is_for_what_was_registered_in_it(
    ledger: Ledger, calls: list[str]
) -> None:
    """Also in a savepoint inside it that was released before."""
    with ledger.db.transaction():
        ledger.db.on_commit(calls.append, "outer")
        with pytest.raises(OnPurposeError), ledger.db.transaction():
            ledger.db.on_commit(calls.append, "no")
            ledger.db.on_rollback(calls.append, "savepoint")
            with ledger.db.transaction():
                ledger.db.on_commit(calls.append, "no")
            raise OnPurposeError
        assert calls == ["savepoint"]
        with ledger.db.transaction():
            ledger.db.on_commit(calls.append, "inner")
            ledger.db.on_rollback(calls.append, "no")
        assert calls == ["savepoint"]
    assert calls == ["savepoint", "outer", "inner"]


def test_retries_leave_the_last_run_s(ledger: Ledger, calls: list[str]) -> None:
    """Exactly once, for the run that was committed; each run before it was rolled back."""
    runs = []

    @ledger.db.transaction(retry=transactions.Retry(times=3, base=0.0001))
    def add() -> None:
        runs.append(1)
        ledger.db.on_commit(calls.append, f"commit {len(runs)}")
        ledger.db.on_rollback(calls.append, f"rollback {len(runs)}")
        if len(runs) < 3:
            raise StaleVersion("on purpose")

    add()
    assert calls == ["rollback 1", "rollback 2", "commit 3"]


def test_a_commit_that_fails_is_a_rollback(ledger: Ledger, calls: list[str]) -> None:
    """The flush in it, or COMMIT itself: nothing that waited for it is called."""
    with pytest.raises(UniqueViolation), ledger.db.transaction():
        ledger.db.on_commit(calls.append, "no")
        ledger.db.on_rollback(calls.append, "block")
        ledger.add("first")
    ledger.db.on_commit(calls.append, "no")
    ledger.db.on_rollback(calls.append, "session")
    ledger.add("first")
    with pytest.raises(UniqueViolation):
        ledger.db.session.commit()
    assert calls == ["block", "session"]


def test_without_a_block(ledger: Ledger, calls: list[str]) -> None:
    """The session's own commit, rollback and close are ends as well."""
    ledger.db.on_commit(calls.append, "next")
    ledger.add("second")
    ledger.db.session.commit()
    assert calls == ["next"]
    ledger.add("third")
    ledger.db.on_commit(calls.append, "no")
    ledger.db.on_rollback(calls.append, "rolled back")
    ledger.db.session.rollback()
    ledger.add("third")
    ledger.db.on_commit(calls.append, "no")
    ledger.db.on_rollback(calls.append, "closed")
    ledger.db.session.close()
    assert calls == ["next", "rolled back", "closed"]


def test_a_callback_can_use_the_session(ledger: Ledger, calls: list[str]) -> None:
    """It is free for another transaction, whose own callbacks follow."""

    def deliver() -> None:
        with ledger.db.transaction():
            ledger.add("receipt")
            ledger.db.on_commit(calls.append, "delivered")

    with ledger.db.transaction():
        ledger.db.on_commit(deliver)
    assert calls == ["delivered"]
    ledger.db.on_commit(deliver)
    ledger.db.session.execute(sa.delete(Account).where(Account.name == "receipt"))
    ledger.db.session.commit()
    assert calls == ["delivered"] * 2
    assert ledger.names() == ["first", "receipt"]


def test_all_are_called_whatever_one_raises(ledger: Ledger, calls: list[str]) -> None:
    """The first error comes out at the end, with the others as notes; the data is committed."""

    def fail(text: str) -> None:
        raise OnPurposeError(text)

    with pytest.raises(OnPurposeError, match="one") as raised, ledger.db.transaction():
        ledger.add("second")
        ledger.db.on_commit(fail, "one")
        ledger.db.on_commit(fail, "two")
        ledger.db.on_commit(calls.append, "three")
    assert calls == ["three"]
    assert "two" in raised.value.__notes__[0]
    assert ledger.names() == ["first", "second"]


def test_a_callback_s_transaction_calls_its_own_only(ledger: Ledger, calls: list[str]) -> None:
    """Those that follow it keep their turn, and what they raise is not raised in it."""

    def deliver() -> None:
        calls.append("begin")
        with ledger.db.transaction():
            ledger.db.on_commit(calls.append, "delivered")
            ledger.add("receipt")
        calls.append("end")

    def fail() -> None:
        calls.append("fail")
        raise OnPurposeError

    with pytest.raises(OnPurposeError), ledger.db.transaction():
        ledger.db.on_commit(deliver)
        ledger.db.on_commit(fail)
    assert calls == ["begin", "delivered", "end", "fail"]
    assert ledger.names() == ["first", "receipt"]


def test_the_session_recovers_in_a_callback_too(ledger: Ledger, calls: list[str]) -> None:
    """After the session's own commit it is as usable as anywhere."""

    def deliver() -> None:
        for duplicate in (_insert, _flush):
            with pytest.raises(UniqueViolation):
                duplicate(ledger)
            calls.extend(ledger.db.session.scalars(sa.select(Account.name)))

    ledger.db.on_commit(deliver)
    ledger.db.session.scalars(sa.select(Account)).all()
    ledger.db.session.commit()
    assert calls == ["first", "first"]


def _insert(ledger: Ledger) -> None:
    ledger.db.session.execute(sa.insert(Account).values(name="first", balance=0))


def _flush(ledger: Ledger) -> None:
    ledger.add("first")
    ledger.db.session.flush()


def test_a_rollback_is_whole_whatever_a_callback_raises(ledger: Ledger) -> None:
    """It is called when the transaction is over, not between the savepoint and the rest."""

    def fail() -> None:
        raise OnPurposeError

    ledger.add("second")
    ledger.db.session.begin_nested()
    ledger.db.on_rollback(fail)
    with pytest.raises(OnPurposeError):
        ledger.db.session.rollback()
    assert not ledger.db.session().in_transaction()
    ledger.db.session.commit()
    assert ledger.names() == ["first"]


def test_on_any_session(ledger: Ledger, calls: list[str]) -> None:
    """Without Flask, on a session of SQLAlchemy's own class."""
    with Session(ledger.db.engine) as session, session.begin():
        transactions.on_commit(session, calls.append, "commit")
        transactions.on_rollback(session, calls.append, "no")
        session.add(Account(name="second"))
    assert calls == ["commit"]
