"""What the guard against deep pages says, and that it changes no result."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import joinedload

from flask_retort.errors import GuardError
from flask_retort.guards import deep_offset

from .collection import Shop, new_shop
from .models import Post, User, post_tags


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows are deep: the posts of the shop are four."""
    monkeypatch.setattr(deep_offset, "DEEP", 2)


@pytest.mark.usefixtures("shallow")
def test_message(shop: Shop) -> None:
    """It names the model and the place, and writes the condition with the page's own numbers."""
    with shop.push(), pytest.raises(GuardError) as raised:
        shop.db.paginate(sa.select(Post).order_by(Post.id), page=2, per_page=3)
    message = str(raised.value)
    assert message.startswith("A page of Post at ")
    assert "test_deep_offset.py:" in message
    assert "skips 3 rows." in message
    assert ".where(Post.id > last).order_by(Post.id).limit(3)" in message
    assert "db.allow('deep-offset', 'Post', reason=...)" in message
    assert message.endswith("[retort:deep-offset]")


@pytest.mark.usefixtures("shallow")
def test_the_key_of_two_columns(shop: Shop) -> None:
    """A composite key is compared as a whole."""
    with shop.push():
        rows = [{"post_id": number, "tag_id": 1} for number in (1, 2, 3)]
        shop.db.session.execute(sa.insert(post_tags), rows)
        page = sa.select(post_tags).limit(1).offset(2)
        keys = "post_tags.c.post_id, post_tags.c.tag_id"
        with pytest.raises(GuardError, match=r"tuple_\(post_tags.c.post_id") as raised:
            shop.db.session.execute(page)
        assert f".where(tuple_({keys}) > last).order_by({keys})" in str(raised.value)
        shop.db.session.rollback()


@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize(
    ("order", "write"),
    [
        ([], ".where(Post.id > last).order_by(Post.id).limit(1)"),
        ([Post.id.desc()], ".where(Post.id < last).order_by(Post.id.desc()).limit(1)"),
        (
            [Post.title.desc()],
            ".where(tuple_(Post.title, Post.id) < last)"
            ".order_by(Post.title.desc(), Post.id.desc()).limit(1)",
        ),
        (
            [Post.title.asc(), Post.id],
            ".where(tuple_(Post.title, Post.id) > last).order_by(Post.title, Post.id).limit(1)",
        ),
        ([Post.title, Post.id.desc()], "by > where it ascends and by < where it descends"),
        ([sa.func.lower(Post.title)], "end the order with the primary key"),
        ([sa.text("title")], "end the order with the primary key"),
    ],
)
def test_the_order_of_the_page_is_kept(shop: Shop, order: list[Any], write: str) -> None:
    """What is to be written gives the rows that the next page has."""
    with shop.push(), pytest.raises(GuardError) as raised:
        shop.db.session.scalars(sa.select(Post).order_by(*order).limit(1).offset(2))
    assert write in str(raised.value)


@pytest.mark.usefixtures("shallow")
def test_depth_must_be_a_number() -> None:
    """An offset that is an expression, or without a limit, is not a page whose depth is known."""
    with new_shop(RETORT_GUARDS="raise") as shop, shop.push():
        scalars = shop.db.session.scalars
        assert len(scalars(sa.select(Post.id).offset(2)).all()) == 2
        assert len(scalars(sa.select(Post.id).limit(9).offset(sa.literal(1) + 2)).all()) == 1


@pytest.mark.usefixtures("shallow")
def test_results_are_those_without_the_guard() -> None:
    """Entities, collections loaded by a join, rows, scalars and legacy queries come out equal."""

    def pages(shop: Shop) -> list[Any]:
        execute, query = shop.db.session.execute, shop.db.session.query
        joined = sa.select(User).options(joinedload(User.posts)).order_by(User.id)
        posts = sa.select(Post).order_by(Post.id).limit(2).offset(2)
        titles = sa.select(Post.id, Post.title).order_by(Post.id).limit(2).offset(2)
        union = sa.union(sa.select(Post.id), sa.select(User.id + 9)).order_by("id")
        return [
            [post.title for post in execute(posts).scalars()],
            [tuple(row) for row in execute(titles)],
            [dict(row) for row in execute(titles).mappings()],
            shop.db.session.scalar(posts.with_only_columns(Post.title)),
            execute(union.limit(3).offset(2)).scalars().all(),
            [len(user.posts) for user in execute(joined.limit(1).offset(1)).unique().scalars()],
            [post.title for post in query(Post).order_by(Post.id)[2:4]],
            [tuple(row) for row in query(Post.id).order_by(Post.id).limit(2).offset(3)],
        ]

    with new_shop(RETORT_GUARDS="off") as shop, shop.push():
        expected = pages(shop)
    with new_shop(RETORT_GUARDS="count") as shop, shop.push():
        assert pages(shop) == expected
        assert shop.found["deep-offset", "Post"] >= 5


@pytest.mark.usefixtures("shallow")
def test_a_deep_page_is_executed_once() -> None:
    """The guard looks at the result that the caller gets."""
    statements: list[str] = []
    with new_shop(RETORT_GUARDS="count") as shop, shop.push():

        @event.listens_for(shop.db.engine, "before_cursor_execute")
        def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        shop.db.session.scalars(sa.select(Post).limit(2).offset(2)).all()
    assert len(statements) == 1
