"""After an error the session works, and nothing is lost in silence."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from tests.transactions.ledger import Account, Ledger, Note

from flask_retort.errors import BrokenSession, StaleVersion, UniqueViolation
from flask_retort.session import Session

DUPLICATE = sa.text("INSERT INTO account (name, balance) VALUES ('first', 0)")


def _session(ledger: Ledger) -> Session:
    return ledger.db.session()


def test_the_next_statement_works_after_a_failed_commit(ledger: Ledger) -> None:
    """No rollback has to be written; the error says what was done, and nothing else was lost."""
    ledger.add("first")
    with pytest.raises(UniqueViolation) as raised:
        ledger.db.session.commit()
    assert raised.value.rolled_back == "transaction"
    lost = _session(ledger).lost
    assert lost is not None
    assert not lost.wrote
    ledger.add("second")
    ledger.db.session.commit()
    assert _session(ledger).lost is None
    assert ledger.names() == ["first", "second"]


def test_the_next_statement_works_after_a_failed_flush(ledger: Ledger) -> None:
    """Earlier writes of the transaction go with it, which the session remembers."""
    ledger.add("second")
    ledger.db.session.flush()
    ledger.add("first")
    with pytest.raises(UniqueViolation) as raised:
        ledger.db.session.flush()
    lost = _session(ledger).lost
    assert lost is not None
    assert lost.wrote
    assert lost.error is raised.value
    assert ledger.db.session.scalars(sa.select(Account.name)).all() == ["first"]
    ledger.db.session.rollback()
    assert _session(ledger).lost is None


def test_the_next_statement_works_after_a_failed_statement(ledger: Ledger) -> None:
    """PostgreSQL gives the transaction up, so it is rolled back; the others undo the statement."""
    ledger.add("second")
    ledger.db.session.flush()
    with pytest.raises(UniqueViolation) as raised:
        ledger.db.session.execute(DUPLICATE)
    ledger.add("third")
    ledger.db.session.commit()
    if ledger.db.engine.dialect.name == "postgresql":
        assert raised.value.rolled_back == "transaction"
        assert ledger.names() == ["first", "third"]
    else:
        assert raised.value.rolled_back is None
        assert ledger.names() == ["first", "second", "third"]


def test_the_next_statement_works_after_a_failure_behind_the_session_s_back(
    ledger: Ledger,
) -> None:
    """On the connection itself: PostgreSQL's answer to the next statement ends the transaction."""
    with pytest.raises(UniqueViolation):
        ledger.db.session.connection().execute(DUPLICATE)
    if ledger.db.engine.dialect.name == "postgresql":
        with pytest.raises(BrokenSession):
            ledger.db.session.scalars(sa.select(Account)).all()
    assert ledger.db.session.scalars(sa.select(Account.name)).all() == ["first"]


@pytest.mark.parametrize("method", ["bulk_save_objects", "bulk_insert_mappings"])
def test_the_next_statement_works_after_a_failed_bulk_insert(ledger: Ledger, method: str) -> None:
    """The older methods of the session leave it as usable as the others."""
    session = _session(ledger)
    with pytest.raises(UniqueViolation):
        if method == "bulk_save_objects":
            session.bulk_save_objects([Account(name="second"), Account(name="first")])
        else:
            mapper = sa.inspect(Account)
            session.bulk_insert_mappings(mapper, [{"name": "second"}, {"name": "first"}])
    assert session.scalars(sa.select(Account.name)).all() == ["first"]


def test_an_autoflush_in_a_query_is_a_flush(ledger: Ledger) -> None:
    """The query that flushes is what fails; the next one works."""
    ledger.add("first")
    with pytest.raises(UniqueViolation):
        ledger.db.session.scalars(sa.select(Account)).all()
    assert ledger.db.session.scalars(sa.select(Account.name)).all() == ["first"]


def test_a_savepoint_of_sqlalchemy_s_own(ledger: Ledger) -> None:
    """What ``begin_nested()`` begins ends there, and the transaction goes on."""
    ledger.add("second")
    with pytest.raises(exc.IntegrityError), ledger.db.session.begin_nested():
        ledger.add("first")
    ledger.db.session.commit()
    assert ledger.names() == ["first", "second"]


def test_going_on_in_a_broken_block_is_refused(ledger: Ledger) -> None:
    """The rest would be committed without what came before."""
    with pytest.raises(BrokenSession, match="savepoint"), ledger.db.transaction():
        ledger.add("second")
        ledger.db.session.flush()
        ledger.add("first")
        with pytest.raises(UniqueViolation):
            ledger.db.session.flush()
        ledger.db.session.scalars(sa.select(Account)).all()
    assert ledger.names() == ["first"]
    assert ledger.db.session.scalars(sa.select(Account.name)).all() == ["first"]


def test_what_was_before_a_broken_savepoint_is_kept(ledger: Ledger) -> None:
    """The refusal inside names the error, and does not say that more is lost than is."""
    with ledger.db.transaction():
        ledger.add("second")
        with (
            pytest.raises(BrokenSession, match=r"must be unique\. Put the part") as raised,
            ledger.db.transaction() as session,
        ):
            ledger.add("first")
            with pytest.raises(UniqueViolation) as caught:
                session.flush()
            session.scalars(sa.select(Account)).all()
    assert raised.value.__cause__ is caught.value
    assert raised.value.rolled_back == "savepoint"
    assert str(raised.value).count("[retort:") == 1
    assert ledger.names() == ["first", "second"]


def test_the_advice_after_a_statement_of_text_can_be_followed(ledger: Ledger) -> None:
    """PostgreSQL refuses the next statement; with the savepoint that is proposed it works."""
    insert = sa.text("INSERT INTO account (name, balance) VALUES ('first', 0)")
    if ledger.db.engine.dialect.name == "postgresql":
        with (
            pytest.raises(BrokenSession, match=r"try: with db\.transaction\(\)"),
            ledger.db.transaction() as session,
        ):
            with pytest.raises(UniqueViolation):
                session.execute(insert)
            session.scalars(sa.select(Account)).all()
    with ledger.db.transaction() as session:
        with pytest.raises(UniqueViolation), ledger.db.transaction():
            session.execute(insert)
        ledger.add("second")
    assert ledger.names() == ["first", "second"]


def test_a_stale_version_is_told_as_one(ledger: Ledger) -> None:
    """Changed by another session since it was read: the model is named, the session works."""
    with ledger.db.transaction() as session:
        session.add(Note(id=1, text="old"))
    note = ledger.db.session.get_one(Note, 1)
    ledger.db.session.commit()
    assert note.text == "old"
    ledger.db.session.rollback()
    note = ledger.db.session.get_one(Note, 1)
    ledger.db.session.expunge(note)
    ledger.db.session.rollback()
    with ledger.db.engine.begin() as connection:
        connection.execute(sa.update(Note).values(text="theirs", version=2))
    ledger.db.session.add(note)
    note.text = "mine"
    with pytest.raises(StaleVersion) as raised:
        ledger.db.session.commit()
    assert raised.value.model is Note
    assert raised.value.fields == ("version",)
    assert ledger.db.session.get_one(Note, 1).text == "theirs"
