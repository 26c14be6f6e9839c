"""A session knows whether its transaction has written."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.transactions.ledger import Account, Ledger

from flask_retort.transactions import writes


class OnPurposeError(Exception):
    """Raised by the tests."""


def test_only_writes_count(ledger: Ledger) -> None:
    """Reading, adding and setting the same value write nothing; a flush and a statement do."""
    session = ledger.db.session()
    first = session.scalars(sa.select(Account)).one()
    first.balance = first.balance + 0
    session.flush()
    assert not session.written
    ledger.add("second")
    assert not session.written
    assert writes.has_changes(session)
    session.flush()
    assert session.written
    session.commit()
    assert not session.written
    assert not writes.has_changes(session)


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(Account).values(balance=1),
        sa.insert(Account).values(name="second"),
        sa.delete(Account),
        Account.__table__.update().values(balance=1),  # type: ignore[attr-defined]
        sa.text("update account set balance = 1"),
        sa.text(" /* a */ -- b\n DELETE FROM account"),
    ],
)
def test_each_kind_of_statement(ledger: Ledger, statement: sa.Executable) -> None:
    """Of models, of tables, and as text; a rollback forgets them."""
    session = ledger.db.session()
    session.execute(statement)
    assert session.written
    session.rollback()
    assert not session.written
    for reading in ("SELECT 'update' FROM account", "WITH a AS (SELECT 1) SELECT * FROM a"):
        session.execute(sa.text(reading))
        assert not session.written


@pytest.mark.parametrize(
    ("text", "is_write"),
    [
        ("WITH a AS (SELECT 1) UPDATE account SET balance = 1", True),
        ("WITH a AS (DELETE FROM account RETURNING id) SELECT * FROM a", True),
        ("with a as (select 1) insert into account select * from a", True),
        ("WITH a AS (SELECT 1) SELECT * FROM account FOR UPDATE", False),
        ("WITH a AS (SELECT 1) SELECT * FROM account FOR NO KEY UPDATE", False),
        ("WITH updates AS (SELECT 1) SELECT * FROM updates", False),
    ],
)
def test_a_text_that_begins_with_a_query(ledger: Ledger, text: str, is_write: bool) -> None:
    """What follows decides. Not executed: no database knows all of them."""
    session = ledger.db.session()
    session.begin()
    writes.note_statement(session, sa.text(text), None)
    assert session.written is is_write


def test_a_statement_that_meets_no_row_writes_nothing(ledger: Ledger) -> None:
    """The answer to a conditional update, "sold out", leaves nothing to commit."""
    session = ledger.db.session()
    session.execute(sa.update(Account).where(Account.balance >= 1000).values(balance=0))
    session.execute(sa.text("DELETE FROM account WHERE id = 77"))
    assert not session.written


def test_a_savepoint_that_was_rolled_back_wrote_nothing(ledger: Ledger) -> None:
    """One that was released did, until the transaction itself, or one around it, goes."""
    session = ledger.db.session()
    with pytest.raises(OnPurposeError), session.begin_nested():
        ledger.add("second")
        session.flush()
        assert session.written
        raise OnPurposeError
    assert not session.written
    with pytest.raises(OnPurposeError), session.begin_nested():
        with session.begin_nested():
            ledger.add("second")
        assert session.written
        raise OnPurposeError
    assert not session.written
    with session.begin_nested():
        ledger.add("second")
    assert session.written
    session.rollback()
    assert not session.written
