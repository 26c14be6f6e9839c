"""What the guard against half a transaction says, and how often."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from flask_retort.errors import BrokenSession, GuardError
from flask_retort.guards.broken_session import BrokenSessionGuard

from .collection import Shop
from .models import Product, Tag, db


def swallow() -> None:
    """Write, then fail and say nothing."""
    db.session.add(Product(sku="P7", name="bowl"))
    db.session.flush()
    db.session.add(Tag(name="news"))
    with pytest.raises(sa.exc.IntegrityError):
        db.session.flush()


def test_message(shop: Shop) -> None:
    """It names the error and the line that goes on, and both things to write instead."""
    with shop.push():
        swallow()
        with pytest.raises(GuardError) as raised:
            db.session.commit()
    message = str(raised.value)
    assert message.startswith(
        "An error was caught, and the session used on at guards/test_broken_session.py:"
    )
    assert "UniqueViolation: " in message or "IntegrityError: " in message
    assert "with db.transaction()" in message
    assert "db.session.rollback()" in message


def test_it_is_said_once_an_error(shop: Shop) -> None:
    """And again for the next one."""
    with shop.push():
        for _ in range(2):
            swallow()
            with pytest.raises(GuardError):
                db.session.scalar(sa.select(sa.literal(1)))
            assert db.session.scalar(sa.select(sa.literal(1))) == 1
            db.session.rollback()


def test_inside_a_block_the_session_says_it(shop: Shop) -> None:
    """Under the same code, since it is the same mistake."""

    @db.transaction()
    def work() -> None:
        swallow()
        db.session.scalar(sa.select(sa.literal(1)))

    with shop.push(), pytest.raises(BrokenSession) as raised:
        work()
    assert raised.value.code == BrokenSessionGuard.code
