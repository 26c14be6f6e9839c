"""What is kept of a transaction, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session

from flask_retort.guards.per_transaction import PerTransaction


@pytest.fixture
def session() -> Iterator[Session]:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with Session(engine) as session:
        yield session
    engine.dispose()


@pytest.fixture
def notes(session: Session) -> PerTransaction[list[str]]:
    notes = PerTransaction[list[str]](list)
    for name, listener in notes.listeners().items():
        event.listen(session, name, listener)
    return notes


def test_it_ends_with_the_transaction(session: Session, notes: PerTransaction[list[str]]) -> None:
    """A commit, a rollback and a close all end it."""
    for end in (session.commit, session.rollback, session.close):
        session.begin()
        assert notes.get(session) is None
        notes.of(session).append("a")
        assert notes.get(session) == ["a"]
        end()
        assert notes.get(session) is None


def test_a_savepoint_that_is_rolled_back_takes_its_part_with_it(
    session: Session, notes: PerTransaction[list[str]]
) -> None:
    """What was noted before it stays, and so does what a released one noted."""
    with session.begin():
        notes.of(session).append("before")
        with session.begin_nested():
            notes.of(session).append("kept")
        savepoint = session.begin_nested()
        notes.of(session).append("lost")
        savepoint.rollback()
        assert notes.of(session) == ["before", "kept"]


def test_a_savepoint_before_the_first_note(
    session: Session, notes: PerTransaction[list[str]]
) -> None:
    """Nothing is left of it."""
    with session.begin():
        savepoint = session.begin_nested()
        notes.of(session).append("lost")
        savepoint.rollback()
        assert notes.of(session) == []
