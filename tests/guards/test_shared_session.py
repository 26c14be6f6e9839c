"""What the guard against sessions of two threads says."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from flask_retort.errors import GuardError

from .collection import Shop
from .models import User, db


def posts_of(user: User) -> int:
    return len(user.posts)


def test_message(shop: Shop) -> None:
    """It names both threads and the line that reads, before anything reaches the database."""
    with shop.push(), ThreadPoolExecutor(1, thread_name_prefix="mail") as pool:
        user = db.session.get_one(User, 1)
        with pytest.raises(GuardError) as raised:
            pool.submit(posts_of, user).result()
    message = str(raised.value)
    name = threading.current_thread().name
    assert message.startswith(
        f"Thread mail_0 used the session of thread {name}, in the middle of a transaction of that"
        " one, at guards/test_shared_session.py:"
    )
    assert "`with app.app_context(): order = db.session.get(Order, order_id)`" in message
    assert "db.allow('shared-session', 'tests.guards.test_shared_session.posts_of'," in message


def test_the_thread_that_began_may_have_ended(shop: Shop) -> None:
    """Its transaction is open still."""
    with shop.push():
        session = db.session()

        def begin() -> None:
            with shop.push():
                session.scalar(sa.select(User.id).limit(1))

        with ThreadPoolExecutor(1) as pool:
            pool.submit(begin).result()
        with pytest.raises(GuardError, match="of thread that has ended"):
            session.scalar(sa.select(sa.literal(1)))
        session.rollback()
        assert session.scalar(sa.select(sa.literal(1))) == 1


def test_a_flush_of_another_thread_is_found(shop: Shop) -> None:
    """Not only a statement."""
    with shop.push(), ThreadPoolExecutor(1) as pool:
        user = db.session.get_one(User, 1)
        user.name = "eve"
        session = db.session()
        with pytest.raises(GuardError):
            pool.submit(session.flush).result()
        db.session.rollback()
