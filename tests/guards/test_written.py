"""What the open transaction has written, by name."""

from __future__ import annotations

import sqlalchemy as sa

from flask_retort.guards import written

from .collection import Shop
from .models import Post, Product, Tag, User, db, post_tags


def test_flushed_and_waiting_objects_are_counted_by_model(shop: Shop) -> None:
    """Added, changed or deleted alike; what is set to its old value is not changed."""
    with shop.push():
        user = db.session.get_one(User, 1)
        user.name = str(user.name)
        db.session.add_all([Tag(name="a"), Tag(name="b")])
        db.session.flush()
        db.session.delete(db.session.get_one(Post, 1))
        db.session.get_one(Post, 2).title = "other"
        found = written.names(db.session())
        db.session.rollback()
        assert found == {"Tag": 2, "Post": 2}
        assert written.in_words(found) == "2 x Post, 2 x Tag"


def test_statements_are_named_by_model_or_table(shop: Shop) -> None:
    """One each; of text nothing is known but that it writes."""
    with shop.push():
        db.session.execute(sa.update(Product).values(stock=1))
        db.session.execute(sa.delete(post_tags))
        assert written.names(db.session()) == {"Product": 1, "post_tags": 1}
        db.session.rollback()
        db.session.execute(sa.text("UPDATE tag SET name = name"))
        assert written.names(db.session()) == {"rows": 1}
        db.session.rollback()


def test_what_is_committed_or_rolled_back_is_forgotten(shop: Shop) -> None:
    """A savepoint's rollback takes what was written in it."""
    with shop.push():
        db.session.add(Tag(name="a"))
        db.session.commit()
        assert not written.names(db.session())
        savepoint = db.session.begin_nested()
        db.session.execute(sa.update(Product).values(stock=1))
        savepoint.rollback()
        assert not written.names(db.session())
        db.session.execute(sa.update(User).values(logins=1))
        assert "User" in written.names(db.session())
        db.session.rollback()
        assert not written.names(db.session())


def test_changes_that_no_flush_has_seen(shop: Shop) -> None:
    """Of loaded objects only: a new one is there to be saved."""
    with shop.push():
        db.session.get_one(User, 1).name = "eve"
        assert written.only_modified(db.session())
        db.session.flush()
        assert not written.only_modified(db.session())
        db.session.rollback()
        db.session.add(Tag(name="a"))
        assert not written.only_modified(db.session())
        db.session.rollback()
