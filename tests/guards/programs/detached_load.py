"""Programs that read an attribute too late, and such that read it in time."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import flask
from sqlalchemy import select
from sqlalchemy.orm import defer, joinedload, load_only, raiseload, selectinload
from sqlalchemy.orm.exc import DetachedInstanceError
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Order, Post, Profile, User

# The guard only counts here, so that SQLAlchemy's own error follows.
fails = suppress(DetachedInstanceError)


def show(value: object) -> str:
    return str(value)


@must_fire("detached-load", "User.posts")
def a_test_reads_a_collection_after_its_context(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get_one(User, 1)
    with fails:
        show(len(user.posts))


@must_fire("detached-load", "Post.author")
def a_script_reads_an_object_of_a_list_after_its_context(shop: Shop) -> None:
    with shop.push():
        posts = shop.db.session.scalars(select(Post)).all()
    with fails:
        show([post.author.name for post in posts])


@must_fire("detached-load", "User.name")
def a_job_reads_a_new_object_after_commit_and_context(shop: Shop) -> None:
    def create_user(name: str) -> User:
        with shop.push():
            user = User(name=name, email=f"{name}@example.com")
            shop.db.session.add(user)
            shop.db.session.commit()
            return user

    user = create_user("eve")
    with fails:
        show(f"created {user.name}")


@must_fire("detached-load", "Profile.settings")
def a_script_reads_a_column_that_the_query_left_out(shop: Shop) -> None:
    with shop.push():
        profile = shop.db.session.scalars(select(Profile).options(defer(Profile.settings))).first()
    assert profile is not None
    with fails:
        show(profile.settings)


@must_fire("detached-load", "User.email")
def a_view_closes_the_session_and_renders_more_than_it_loaded(shop: Shop) -> None:
    @shop.app.get("/users")
    def users() -> str:
        found = shop.db.session.scalars(select(User).options(load_only(User.name))).all()
        shop.db.session.close()
        template = "{% for user in users %}{{ user.email }}{% endfor %}"
        return flask.render_template_string(template, users=found)

    with fails:
        shop.client.get("/users")


@must_fire("detached-load", "Order.user")
def a_thread_mails_a_receipt_for_an_order_of_the_view(shop: Shop) -> None:
    def mail_receipt(order: Order) -> None:
        with fails:
            show(f"To: {order.user.email}")

    with shop.push():
        order = shop.db.session.get(Order, 1)
        assert order is not None
    mailer = threading.Thread(target=mail_receipt, args=(order,))
    mailer.start()
    mailer.join()


@must_fire("detached-load", "User.posts")
def a_stream_reads_after_the_response_was_made(shop: Shop) -> None:
    @shop.app.get("/feed")
    def feed() -> flask.Response:
        user = shop.db.session.get(User, 1)
        assert user is not None

        def lines() -> Iterator[str]:
            with fails:
                for post in user.posts:
                    yield f"{post.title}\n"

        return flask.Response(lines())

    shop.client.get("/feed")


@must_fire("detached-load", "User.profile")
def a_cache_keeps_an_object_for_later_requests(shop: Shop) -> None:
    cache: dict[int, User] = {}

    @shop.app.get("/bio")
    def bio() -> str:
        if 1 not in cache:
            cache[1] = shop.db.session.get_one(User, 1)
            return "filled"
        with fails:
            return cache[1].profile.bio if cache[1].profile else ""
        return ""

    shop.client.get("/bio")
    shop.client.get("/bio")


@must_fire("detached-load", "User.orders")
def a_view_asks_for_the_current_user_after_expunge(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get_one(User, 1)
        shop.db.session.expunge(user)
        with fails:
            show(user.orders)


@must_fire("detached-load", "User.name")
def an_error_handler_reads_what_a_rollback_expired(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get_one(User, 1)
        shop.db.session.rollback()
        shop.db.session.close()
        with fails:
            show(f"could not greet {user.name}")


@must_fire("detached-load", "Post.tags")
def a_script_reads_a_second_step_after_eager_loading_the_first(shop: Shop) -> None:
    with shop.push():
        query = select(User).options(selectinload(User.posts))
        user = shop.db.session.scalars(query).first()
    assert user is not None
    with fails:
        show([post.tags for post in user.posts])


@must_fire("detached-load", "User.posts")
def a_program_asks_whether_an_object_has_posts(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get(User, 1)
    with fails:
        getattr(user, "posts", None)


@must_not_fire("detached-load")
def a_test_reads_loaded_columns_after_its_context(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get_one(User, 1)
    assert user.name == "ada"


@must_not_fire("detached-load")
def a_script_reads_what_it_eagerly_loaded(shop: Shop) -> None:
    with shop.push():
        query = select(User).options(selectinload(User.posts), joinedload(User.profile))
        user = shop.db.session.scalars(query).first()
    assert user is not None
    assert user.profile is not None
    assert len(user.posts) == 2


@must_not_fire("detached-load")
def a_view_reads_lazily_in_its_template(shop: Shop) -> None:
    @shop.app.get("/user")
    def user() -> str:
        user = shop.db.session.get(User, 1)
        return flask.render_template_string("{{ user.posts|length }}", user=user)

    assert shop.client.get("/user").text == "2"


@must_not_fire("detached-load")
def a_script_reads_in_its_context_and_keeps_the_value(shop: Shop) -> None:
    with shop.push():
        titles = [post.title for post in shop.db.session.get_one(User, 1).posts]
    assert len(titles) == 2


@must_not_fire("detached-load")
def a_stream_keeps_its_context(shop: Shop) -> None:
    @shop.app.get("/feed")
    def feed() -> flask.Response:
        def lines() -> Iterator[str]:
            for post in shop.db.session.get_one(User, 1).posts:
                yield f"{post.title}\n"

        return flask.Response(flask.stream_with_context(lines()))

    assert shop.client.get("/feed").text.count("\n") == 2


@must_not_fire("detached-load")
def a_job_merges_the_object_into_its_own_session(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get_one(User, 1)
    with shop.push():
        user = shop.db.session.merge(user)
        assert len(user.posts) == 2


@must_not_fire("detached-load")
def a_job_adds_the_object_to_its_own_session(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get_one(User, 1)
        shop.db.session.expunge(user)
        shop.db.session.add(user)
        assert len(user.posts) == 2


@must_not_fire("detached-load")
def a_cache_keeps_a_pickled_object(shop: Shop) -> None:
    with shop.push():
        stored = pickle.dumps(shop.db.session.get_one(User, 1))
    user: User = pickle.loads(stored)
    assert user.name == "ada"
    with shop.push():
        shop.db.session.add(user)
        assert len(user.posts) == 2


@must_not_fire("detached-load")
def a_unit_test_uses_objects_that_were_never_saved(shop: Shop) -> None:
    user = User(name="eve", email="eve@example.com")
    assert user.posts == []
    assert user.profile is None
    assert user.logins is None


@must_not_fire("detached-load")
def a_query_forbids_lazy_loads_itself(shop: Shop) -> None:
    def read(user: Any) -> None:
        with suppress(Exception):
            show(user.posts)

    with shop.push():
        user = shop.db.session.scalars(select(User).options(raiseload(User.posts))).first()
        read(user)


@must_not_fire("detached-load")
def a_session_keeps_values_after_commit(shop: Shop) -> None:
    with shop.push(), shop.db.session(expire_on_commit=False) as session:
        user = session.get_one(User, 1)
        session.commit()
    assert user.name == "ada"


@must_not_fire("detached-load")
def a_view_refreshes_after_commit(shop: Shop) -> None:
    with shop.push():
        user = User(name="eve", email="eve@example.com")
        shop.db.session.add(user)
        shop.db.session.commit()
        shop.db.session.refresh(user)
    assert user.name == "eve"


@must_not_fire("detached-load")
def a_script_sets_an_attribute_that_was_not_loaded(shop: Shop) -> None:
    with shop.push():
        profile = shop.db.session.scalars(select(Profile).options(defer(Profile.bio))).first()
    assert profile is not None
    profile.bio = "I am new."
    assert profile.bio == "I am new."


@must_not_fire("detached-load")
def a_header_is_read_from_the_user_of_the_request(shop: Shop) -> None:
    @shop.app.before_request
    def load() -> None:
        flask.g.user = shop.db.session.get_one(User, 1)

    @shop.app.after_request
    def name_user(response: flask.Response) -> flask.Response:
        response.headers["X-User"] = flask.g.user.profile.bio
        return response

    @shop.app.post("/")
    def home() -> str:
        shop.db.session.commit()
        return ""

    assert shop.client.post("/").headers["X-User"] == "I am ada."


@must_not_fire("detached-load")
def every_template_knows_the_user(shop: Shop) -> None:
    @shop.app.context_processor
    def known() -> dict[str, Any]:
        return {"me": shop.db.session.get_one(User, 1)}

    @shop.app.get("/")
    def home() -> str:
        return flask.render_template_string(
            "{% for o in me.orders %}{{ o.items|length }}{% endfor %}"
        )

    assert shop.client.get("/").text == "3"
