"""What the guard against late loads says, and that it leaves SQLAlchemy's error where it is off."""

from __future__ import annotations

import gc
import pickle
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, configure_mappers, mapped_column, relationship
from sqlalchemy.orm.exc import DetachedInstanceError
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy
from flask_retort.errors import DetachedLoad, GuardError

from .collection import Shop, new_shop
from .models import Order, Post, User


def late(shop: Shop, model: type[Any], *options: Any) -> Any:
    """An object whose context is over."""
    with shop.push():
        return shop.db.session.scalars(sa.select(model).options(*options)).first()


def test_it_is_an_error_of_both(shop: Shop) -> None:
    """Code that catches SQLAlchemy's error, or any guard's, catches it."""
    user = late(shop, User)
    with pytest.raises(DetachedLoad) as raised:
        _ = user.posts
    assert isinstance(raised.value, GuardError)
    assert isinstance(raised.value, DetachedInstanceError)
    assert raised.value.code == "detached-load"


def test_message(shop: Shop) -> None:
    """It names the attribute and the place, and writes the query."""
    user = late(shop, User)
    with pytest.raises(DetachedLoad) as raised:
        _ = user.posts
    message = str(raised.value)
    assert message.startswith("User.posts was read at ")
    assert "test_detached_load.py:" in message
    assert "select(User).options(selectinload(User.posts))" in message
    assert "db.allow('detached-load', 'User.posts', reason=...)" in message
    assert message.endswith("[retort:detached-load]")


def test_one_object_is_joined(shop: Shop) -> None:
    """A relationship to one object is loaded by a join."""
    with pytest.raises(DetachedLoad, match=r"options\(joinedload\(Order.user\)\)"):
        _ = late(shop, Order).user


def test_column_left_out(shop: Shop) -> None:
    """A column that the query has left out is loaded again by undefer()."""
    post = late(shop, Post, sa.orm.defer(Post.title))
    with pytest.raises(DetachedLoad, match=r"options\(undefer\(Post.title\)\)"):
        _ = post.title


@pytest.mark.parametrize("name", ["name", "posts"])
def test_expired_by_a_commit(shop: Shop, name: str) -> None:
    """A loader option would not help: the commit expires what it has loaded."""
    with shop.push():
        user = shop.db.session.get_one(User, 1)
        _ = user.posts
        shop.db.session.commit()
    with pytest.raises(DetachedLoad, match="expired") as raised:
        getattr(user, name)
    assert "expire_on_commit" in str(raised.value)
    assert "options(" not in str(raised.value)


@pytest.mark.parametrize("mode", ["count", "off"])
def test_sqlalchemys_error_stays(mode: str) -> None:
    """Where the guard does not raise, SQLAlchemy does, with its own class and text."""
    gc.collect()  # outside of a context, any application that is alive may answer
    with new_shop(RETORT_GUARDS=mode) as shop:
        user = late(shop, User)
        with pytest.raises(DetachedInstanceError, match="lazy load operation") as raised:
            _ = user.posts
        assert type(raised.value) is DetachedInstanceError
        assert shop.found == ({("detached-load", "User.posts"): 1} if mode == "count" else {})


def test_allowed(shop: Shop) -> None:
    """What is allowed fails as it does without the guard."""
    user = late(shop, User)
    with (
        shop.db.allow("detached-load", "User.posts", reason="tests the error page"),
        pytest.raises(DetachedInstanceError) as raised,
    ):
        _ = user.posts
    assert not isinstance(raised.value, GuardError)


def test_two_applications(shop: Shop) -> None:
    """In a context its application's guard decides, elsewhere that of the newest application."""
    user = late(shop, User)
    with new_shop(RETORT_GUARDS="off") as other, other.push():
        with pytest.raises(DetachedInstanceError) as raised:
            _ = user.posts
        assert not isinstance(raised.value, GuardError)
    with new_shop(RETORT_GUARDS="count") as newest:
        with pytest.raises(DetachedInstanceError):
            _ = user.posts
        assert newest.found == {("detached-load", "User.posts"): 1}
        with shop.push(), pytest.raises(DetachedLoad):
            _ = user.posts


def test_pickled_object(shop: Shop) -> None:
    """An object that comes from a pickle refuses as the one that went in."""
    user = pickle.loads(pickle.dumps(late(shop, User, sa.orm.defer(User.email))))
    with pytest.raises(DetachedLoad, match="email"):
        _ = user.email


def test_models_before_and_after_the_application(make_app: MakeApp) -> None:
    """Models are watched whether they are configured before the application is, or later."""
    db = SQLAlchemy()

    class Author(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        bio: Mapped[str] = mapped_column(default="me", deferred=True)

    configure_mappers()
    app = make_app(RETORT_GUARDS="raise", SQLALCHEMY_DATABASE_URI="sqlite://")
    db.init_app(app)

    class Book(db.Model):
        id: Mapped[int] = mapped_column(primary_key=True)
        author_id: Mapped[int] = mapped_column(sa.ForeignKey("author.id"))
        author: Mapped[Author] = relationship()

    class Novel(Book):
        pages: Mapped[int] = mapped_column(default=100, nullable=True, deferred=True)

    with app.app_context():
        db.create_all()
        db.session.add(Novel(author=Author()))
        db.session.commit()
        author = db.session.scalars(sa.select(Author)).one()
        novel = db.session.scalars(sa.select(Novel)).one()
        db.session.expunge_all()
    for read, subject in (
        (lambda: author.bio, "Author.bio"),
        (lambda: novel.author, "Novel.author"),
        (lambda: novel.pages, "Novel.pages"),
    ):
        with pytest.raises(DetachedLoad, match=f"^{subject} was read"):
            read()


def test_loads_of_living_sessions_are_as_before(shop: Shop) -> None:
    """The guard changes nothing of a load that succeeds."""
    with shop.push():
        user = shop.db.session.get_one(User, 1)
        assert [post.author for post in user.posts] == [user, user]


def test_the_application_that_has_the_model_is_asked(make_app: MakeApp) -> None:
    """Not the one whose context is there, nor the newest one, with models of their own."""
    with new_shop() as shop:
        user = late(shop, User)
        other = make_app("other", RETORT_GUARDS="count")
        SQLAlchemy(other)
        with pytest.raises(DetachedLoad):
            _ = user.posts
        with other.app_context(), pytest.raises(DetachedLoad):
            _ = user.posts
