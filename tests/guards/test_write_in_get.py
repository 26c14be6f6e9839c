"""What the guard against writing in a GET says, and what it keeps from happening."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from flask_retort.errors import GuardError

from .collection import Shop
from .models import Post, Tag, User, db


def count_visits(shop: Shop) -> None:
    @shop.app.get("/posts/<int:post_id>")
    def show(post_id: int) -> str:
        db.session.add(Tag(name="visited"))
        post = db.get_or_404(Post, post_id)
        post.title += "!"
        db.session.commit()
        return post.title


def test_message(shop: Shop) -> None:
    """It names the route, the line of the commit and what changed."""
    count_visits(shop)
    with pytest.raises(GuardError) as raised:
        shop.client.get("/posts/1")
    message = str(raised.value)
    assert message.startswith(
        "GET /posts/<int:post_id> committed a change of Post, Tag at guards/test_write_in_get.py:"
    )
    assert "@app.post(...)" in message
    assert message.endswith(
        "Allow it on purpose with db.allow('write-in-get', 'GET /posts/<int:post_id>',"
        " reason=...). [retort:write-in-get]"
    )


def test_nothing_is_committed_where_it_raises(shop: Shop) -> None:
    """It speaks before the commit; after a rollback the session is as good as new."""

    @shop.app.get("/")
    def home() -> str:
        db.session.add(Tag(name="blue"))
        with pytest.raises(GuardError):
            db.session.commit()
        db.session.rollback()
        return db.session.get_one(User, 1).name

    assert shop.client.get("/").text == "ada"
    with shop.push():
        assert db.session.scalar(sa.select(Tag).filter_by(name="blue")) is None


def test_a_model_that_is_allowed_does_not_hide_another(shop: Shop) -> None:
    """What is left is named."""

    @shop.app.get("/")
    @db.allow("write-in-get", "User", reason="who was seen when is kept at every request")
    def home() -> str:
        db.session.get_one(User, 1).name = "seen"
        db.session.add(Tag(name="blue"))
        db.session.commit()
        return "hello"

    with pytest.raises(GuardError, match="GET / committed a change of Tag at"):
        shop.client.get("/")


def test_a_request_answers_for_its_own_changes(shop: Shop) -> None:
    """Not for those that the test has in its context, which its commit makes too."""

    @shop.app.get("/<name>")
    def add(name: str) -> str:
        db.session.commit()
        db.session.add(Tag(name=name))
        db.session.commit()
        return name

    with shop.push():
        db.session.add(Post(author_id=1, title="before"))
        db.session.flush()
        db.session.add(User(name="eve", email="eve@example.com"))
        with pytest.raises(GuardError, match=r"GET /<name> committed a change of Tag at"):
            shop.client.get("/red")
        db.session.rollback()
        db.session.add(Tag(name="before"))
        db.session.flush()
        with shop.db.allow("write-in-get", "Tag", reason="it is the next one that is looked at"):
            shop.client.get("/green")
        with pytest.raises(GuardError, match=r"GET /<name> committed a change of Tag at"):
            shop.client.get("/blue")
        db.session.rollback()
