"""A unit of work is there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.conftest import MakeApp
from tests.transactions.ledger import Account, Entry, Ledger, make_ledger

from flask_retort import transactions
from flask_retort.errors import (
    BrokenSession,
    LockTimeout,
    TransactionOpen,
    UniqueViolation,
)
from flask_retort.transactions import Retry

QUICK = Retry(times=3, base=0.0001)


class OnPurposeError(Exception):
    """Raised by the tests."""


def test_a_block_commits_at_its_end(ledger: Ledger) -> None:
    """What was added is there afterwards; the block gives the context's session."""
    with ledger.db.transaction() as session:
        assert session is ledger.db.session()
        ledger.add("second")
        assert ledger.names() == ["first"]
    assert ledger.names() == ["first", "second"]


@pytest.mark.parametrize("error", [OnPurposeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_block_rolls_back_on_any_exception(ledger: Ledger, error: type[BaseException]) -> None:
    """Nothing of it is there, the exception goes on, and the session is free."""
    with pytest.raises(error), ledger.db.transaction() as session:
        ledger.add("second")
        session.flush()
        raise error
    assert ledger.names() == ["first"]
    assert not ledger.db.session().in_transaction()


def test_a_block_inside_is_a_savepoint(ledger: Ledger) -> None:
    """What fails inside is undone alone, and its error says so; the outer block goes on."""
    with ledger.db.transaction():
        ledger.add("second")
        with pytest.raises(UniqueViolation) as raised, ledger.db.transaction():
            ledger.add("first")
        assert raised.value.rolled_back == "savepoint"
        with ledger.db.transaction():
            ledger.add("third")
    assert ledger.names() == ["first", "second", "third"]


def test_the_outer_block_decides(ledger: Ledger) -> None:
    """What an inner block has ended goes when the outer one is rolled back."""
    with pytest.raises(OnPurposeError), ledger.db.transaction():
        with ledger.db.transaction():
            ledger.add("second")
        raise OnPurposeError
    assert ledger.names() == ["first"]


def test_what_was_pending_before_belongs_to_the_block(ledger: Ledger) -> None:
    """A session that has begun by itself is taken over with its changes."""
    ledger.add("second")
    with ledger.db.transaction():
        ledger.add("third")
    assert ledger.names() == ["first", "second", "third"]


def test_a_block_that_catches_an_error_inside_is_not_committed(ledger: Ledger) -> None:
    """Half of what belongs together is never kept, and the message names the savepoint."""
    with (
        pytest.raises(BrokenSession, match=r"with db\.transaction\(\)|of its own") as raised,
        ledger.db.transaction() as session,
    ):
        ledger.add("second")
        session.flush()
        ledger.add("first")
        with pytest.raises(UniqueViolation):
            session.flush()
        ledger.add("third")
    assert raised.value.rolled_back == "transaction"
    assert ledger.names() == ["first"]


def test_a_statement_s_error_caught_inside_does_not_commit_nothing_in_silence(
    ledger: Ledger,
) -> None:
    """PostgreSQL answers COMMIT with a rollback and no error; the block says it."""
    insert = sa.text("INSERT INTO account (name, balance) VALUES ('first', 0)")
    block = ledger.db.transaction()
    session = block.__enter__()
    ledger.add("second")
    with pytest.raises(UniqueViolation):
        session.execute(insert)
    if ledger.db.engine.dialect.name == "postgresql":
        with pytest.raises(BrokenSession):
            block.__exit__(None, None, None)
        assert ledger.names() == ["first"]
    else:  # only the statement was undone
        block.__exit__(None, None, None)
        assert ledger.names() == ["first", "second"]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_block_is_ended_by_its_end_alone(ledger: Ledger, end: str) -> None:
    """commit() and rollback() of the session are refused inside, with what to write instead."""
    with (
        pytest.raises(TransactionOpen, match=rf"{end}\(\) was called inside"),
        ledger.db.transaction(),
    ):
        ledger.add("second")
        getattr(ledger.db.session, end)()
    assert ledger.names() == ["first"]


def test_a_session_closed_inside_is_noticed(ledger: Ledger) -> None:
    """What follows a close() would be a transaction of its own."""
    with pytest.raises(BrokenSession, match="ended inside"), ledger.db.transaction() as session:
        session.close()
        ledger.add("second")
        session.flush()
    ledger.db.session.commit()
    assert ledger.names() == ["first"]


def test_a_session_removed_inside_is_noticed(ledger: Ledger) -> None:
    """The next one is not in the block."""
    with pytest.raises(BrokenSession, match="ended inside"), ledger.db.transaction():
        ledger.add("second")
        ledger.db.session.remove()
    with pytest.raises(OnPurposeError), ledger.db.transaction():
        ledger.db.session.remove()
        raise OnPurposeError
    assert ledger.names() == ["first"]


def test_blocks_end_in_their_order(ledger: Ledger) -> None:
    """One that a generator keeps open ends as itself, not as the one that is innermost."""

    def suspended() -> Generator[None]:
        with ledger.db.transaction():
            ledger.add("second")
            yield

    generator = suspended()
    next(generator)
    with pytest.raises(BrokenSession, match="block around it"), ledger.db.transaction():
        ledger.add("third")
        generator.close()
        ledger.add("fourth")
    with pytest.raises(BrokenSession, match="still open"), ledger.db.transaction():
        generator = suspended()
        next(generator)
    with pytest.raises(BrokenSession):
        list(generator)
    assert ledger.names() == ["first"]


def test_one_object_can_be_used_again(ledger: Ledger) -> None:
    """After its end, and inside itself."""
    block = ledger.db.transaction()
    with block:
        ledger.add("second")
        with pytest.raises(OnPurposeError), block:
            ledger.add("no")
            raise OnPurposeError
        with block:
            ledger.add("third")
    with block:
        ledger.add("fourth")
    assert ledger.names() == ["first", "fourth", "second", "third"]


def test_a_savepoint_begun_by_hand_ends_with_the_block(ledger: Ledger) -> None:
    """Committed or rolled back with it; one that took the block's own savepoint away is noticed."""
    with ledger.db.transaction() as session:
        session.begin_nested()
        ledger.add("second")
    with pytest.raises(OnPurposeError), ledger.db.transaction() as session:
        session.begin_nested()
        ledger.add("third")
        session.flush()
        raise OnPurposeError
    assert ledger.names() == ["first", "second"]


def test_what_a_broken_block_has_changed_is_dropped(ledger: Ledger) -> None:
    """Without SQLAlchemy's warning, and with what is related to it still where it was."""
    with ledger.db.transaction() as session:
        session.add(Account(name="second", entries=[Entry(), Entry()]))
    first = ledger.db.session.get_one(Account, 1)
    second = ledger.db.session.scalars(sa.select(Account).where(Account.name == "second")).one()
    kept, deleted = second.entries
    with pytest.raises(BrokenSession), ledger.db.transaction() as session:
        ledger.add("first")
        with pytest.raises(UniqueViolation):
            session.flush()
        session.add(Account(name="third", entries=[Entry(), kept]))
        session.delete(deleted)
        first.balance = 7
    assert kept in session
    assert deleted in session
    assert first.balance == 200
    assert len(second.entries) == 2
    assert not session.new
    session.commit()
    assert ledger.names() == ["first", "second"]


def test_inside_begin_it_is_a_savepoint(ledger: Ledger) -> None:
    """``session.begin()`` is the outermost block then, and commits."""
    with ledger.db.session.begin():
        with ledger.db.transaction():
            ledger.add("second")
        assert ledger.names() == ["first"]
    assert ledger.names() == ["first", "second"]


def test_it_works_on_any_session(ledger: Ledger) -> None:
    """Without Flask: a plain session of SQLAlchemy, whose engine is ours."""
    from sqlalchemy.orm import Session

    with Session(ledger.db.engine) as session:
        with transactions.transaction(session):
            session.add(Account(name="second"))
        with pytest.raises(OnPurposeError), transactions.transaction(session):
            session.add(Account(name="third"))
            raise OnPurposeError
    assert ledger.names() == ["first", "second"]


def test_a_block_that_can_t_begin_leaves_nothing_open(make_app: MakeApp, tmp_path: Path) -> None:
    """On SQLite: the session has read, another one writes, and the block can't write."""
    url = f"sqlite:///{tmp_path}/busy.db?timeout=0.05"
    app = make_app(SQLALCHEMY_DATABASE_URI=url, RETORT_GUARDS="off")
    with make_ledger(app) as ledger, ledger.db.engine.connect() as writer:
        writer.execute(sa.update(Account).values(balance=1))
        with ledger.app.app_context():
            ledger.db.session.scalars(sa.select(Account)).all()
            with pytest.raises(LockTimeout), ledger.db.transaction():
                pass
            writer.rollback()
            with ledger.db.transaction():
                ledger.add("second")
        assert ledger.names() == ["first", "second"]
