"""Programs that write while they answer a GET, or only seem to."""

from __future__ import annotations

import threading
from typing import Any

import flask
import flask.typing
import sqlalchemy as sa
from flask.sessions import SessionInterface, SessionMixin
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Account, Order, OrderStatus, Post, Product, Profile, Tag, User, db
from werkzeug.datastructures import CallbackDict


@must_fire("write-in-get", "GET /posts/<int:post_id>")
def a_page_counts_its_visits(shop: Shop) -> None:
    @shop.app.get("/posts/<int:post_id>")
    def show(post_id: int) -> str:
        db.session.execute(sa.update(Post).where(Post.id == post_id).values(views=Post.views + 1))
        db.session.commit()
        return db.get_or_404(Post, post_id).title

    shop.client.get("/posts/1")


@must_fire("write-in-get", "GET /posts/<int:post_id>/delete")
def a_link_deletes(shop: Shop) -> None:
    @shop.app.route("/posts/<int:post_id>/delete")
    def delete(post_id: int) -> flask.typing.ResponseReturnValue:
        db.session.delete(db.get_or_404(Post, post_id))
        db.session.commit()
        return flask.redirect("/posts")

    shop.client.get("/posts/1/delete")


@must_fire("write-in-get", "GET /orders/<int:order_id>/cancel")
def a_link_cancels_in_a_block(shop: Shop) -> None:
    @shop.app.get("/orders/<int:order_id>/cancel")
    def cancel(order_id: int) -> str:
        with db.transaction():
            db.get_or_404(Order, order_id).status = OrderStatus.CANCELLED
        return "cancelled"

    shop.client.get("/orders/1/cancel")


@must_fire("write-in-get", "GET /profile")
def a_missing_row_is_made_as_it_is_shown(shop: Shop) -> None:
    @shop.app.get("/profile")
    def show() -> str:
        user = User(name="guest", email="guest@example.com")
        db.session.add(user)
        db.session.flush()
        db.session.add(Profile(user_id=user.id, bio="new here"))
        db.session.commit()
        return "new here"

    shop.client.get("/profile")


@must_fire("write-in-get", "GET /products/<int:product_id>")
def a_monitor_asks_by_head(shop: Shop) -> None:
    @shop.app.get("/products/<int:product_id>")
    def show(product_id: int) -> str:
        product = db.get_or_404(Product, product_id)
        product.name = product.name.upper()
        db.session.commit()
        return product.name

    shop.client.head("/products/1")


@must_fire("write-in-get", "GET /users/<int:user_id>")
def every_request_notes_when_one_was_seen(shop: Shop) -> None:
    @shop.app.before_request
    def note_visit() -> None:
        db.session.execute(sa.update(User).where(User.id == 1).values(logins=User.logins + 1))
        db.session.commit()

    @shop.app.get("/users/<int:user_id>")
    def show(user_id: int) -> str:
        return db.get_or_404(User, user_id).name

    shop.client.get("/users/1")


@must_fire("write-in-get", "GET /tags")
def one_view_for_both_methods_adds_anyway(shop: Shop) -> None:
    @shop.app.route("/tags", methods=["GET", "POST"])
    def tags() -> list[str]:
        db.session.add(Tag(name=flask.request.values.get("name", "unnamed")))
        db.session.commit()
        return list(db.session.scalars(sa.select(Tag.name)))

    shop.client.get("/tags?name=blue")


@must_fire("write-in-get", "GET /close")
def sql_is_committed(shop: Shop) -> None:
    @shop.app.get("/close")
    def close() -> str:
        db.session.execute(sa.text("UPDATE account SET balance = 0 WHERE id = 1"))
        db.session.commit()
        return "closed"

    shop.client.get("/close")


@must_not_fire("write-in-get")
def a_post_writes(shop: Shop) -> None:
    @shop.app.post("/tags")
    def add() -> str:
        db.session.add(Tag(name="blue"))
        db.session.commit()
        return "added"

    shop.client.post("/tags")


@must_not_fire("write-in-get")
def a_get_commits_out_of_habit(shop: Shop) -> None:
    @shop.app.get("/users")
    def users() -> list[str]:
        names = list(db.session.scalars(sa.select(User.name)))
        db.session.commit()
        return names

    shop.client.get("/users")


@must_not_fire("write-in-get")
def a_block_around_reads(shop: Shop) -> None:
    @shop.app.get("/balance")
    def balance() -> dict[str, str]:
        with db.transaction():
            accounts = db.session.scalars(sa.select(Account)).all()
        return {"total": str(sum(account.balance for account in accounts))}

    shop.client.get("/balance")


@must_not_fire("write-in-get")
def the_form_is_shown_by_get_and_saved_by_post(shop: Shop) -> None:
    @shop.app.route("/users/<int:user_id>", methods=["GET", "POST"])
    def edit(user_id: int) -> flask.typing.ResponseReturnValue:
        user = db.get_or_404(User, user_id)
        if flask.request.method == "POST":
            user.name = flask.request.form["name"]
            db.session.commit()
            return flask.redirect(flask.url_for("edit", user_id=user_id))
        return f'<form method="post"><input name="name" value="{user.name}"></form>'

    shop.client.post("/users/1", data={"name": "eve"}, follow_redirects=True)


@must_not_fire("write-in-get")
def a_row_is_set_to_what_it_is(shop: Shop) -> None:
    @shop.app.get("/users/<int:user_id>")
    def show(user_id: int) -> str:
        user = db.get_or_404(User, user_id)
        user.name = user.name.strip()
        db.session.commit()
        return user.name

    shop.client.get("/users/1")


@must_not_fire("write-in-get")
def a_preview_writes_and_rolls_back(shop: Shop) -> None:
    @shop.app.get("/sale/preview")
    def preview() -> list[str]:
        db.session.execute(sa.update(Product).values(price=Product.price / 2))
        prices = [str(price) for price in db.session.scalars(sa.select(Product.price))]
        db.session.rollback()
        return prices

    shop.client.get("/sale/preview")


@must_not_fire("write-in-get")
def a_savepoint_is_released_and_all_is_rolled_back(shop: Shop) -> None:
    @shop.app.get("/check")
    def check() -> str:
        with db.session.begin_nested():
            db.session.add(Tag(name="blue"))
        db.session.rollback()
        return "would work"

    shop.client.get("/check")


@must_not_fire("write-in-get")
def a_command_writes(shop: Shop) -> None:
    @shop.app.cli.command("seed")
    def seed() -> None:
        db.session.add(Tag(name="blue"))
        db.session.commit()

    shop.flask("seed")


@must_not_fire("write-in-get")
def a_script_pushes_a_request_for_its_addresses(shop: Shop) -> None:
    shop.app.add_url_rule("/users", "users", list)
    with shop.app.test_request_context(base_url="https://shop.example.com"):
        db.session.add(Post(author_id=1, title="news", body=flask.url_for("users")))
        db.session.commit()


@must_not_fire("write-in-get")
def a_test_sets_up_its_rows_before_it_asks(shop: Shop) -> None:
    @shop.app.get("/tags")
    def tags() -> list[str]:
        return list(db.session.scalars(sa.select(Tag.name)))

    with shop.push():
        db.session.add(Tag(name="blue"))
        db.session.commit()
        shop.client.get("/tags")


@must_not_fire("write-in-get")
def a_confirmation_link_is_allowed(shop: Shop) -> None:
    @shop.app.get("/confirm/<token>")
    @db.allow("write-in-get", "GET /confirm/<token>", reason="a link in a mail can only be a GET")
    def confirm(token: str) -> str:
        user = db.session.get_one(User, 1)
        user.email = f"{token}@example.com"
        db.session.commit()
        return "confirmed"

    shop.client.get("/confirm/ada")


_LOGINS: Any = [("write-in-get", "User", "who was seen when is kept at every request")]


@must_not_fire("write-in-get", RETORT_ALLOW=_LOGINS)
def a_model_is_allowed_on_all_pages(shop: Shop) -> None:
    @shop.app.before_request
    def note_visit() -> None:
        db.session.get_one(User, 1).name = "seen"
        db.session.commit()

    @shop.app.get("/")
    def home() -> str:
        return "hello"

    shop.client.get("/")


@must_fire("write-in-get", "GET /confirm/<token>")
def a_mailed_link_confirms(shop: Shop) -> None:
    @shop.app.get("/confirm/<token>")
    def confirm(token: str) -> flask.typing.ResponseReturnValue:
        db.session.get_one(User, 1).name = f"confirmed by {token}"
        db.session.commit()
        return flask.redirect("/")

    shop.client.get("/confirm/t0ken")


class StoredSession(CallbackDict[str, Any], SessionMixin):
    """A session whose cookie holds a key only."""

    key = "session-1"


class SessionStore(SessionInterface):
    """Keeps sessions as rows, as the packages for sessions on the server do."""

    def open_session(self, app: flask.Flask, request: flask.Request) -> StoredSession:
        known = db.session.scalar(sa.select(Tag).filter_by(name=StoredSession.key))
        return StoredSession({} if known is None else {"known": True})

    def save_session(
        self, app: flask.Flask, session: SessionMixin, response: flask.Response
    ) -> None:
        if "known" not in session:
            db.session.add(Tag(name=StoredSession.key))
            db.session.commit()


@must_not_fire("write-in-get")
def sessions_are_kept_in_the_database(shop: Shop) -> None:
    shop.app.session_interface = SessionStore()

    @shop.app.get("/")
    def home() -> str:
        flask.session["language"] = "en"
        return "hello"

    shop.client.get("/")
    shop.client.get("/")


@must_not_fire("write-in-get")
def a_browser_asks_before_it_posts(shop: Shop) -> None:
    @shop.app.route("/tags", methods=["OPTIONS", "POST"])
    def tags() -> str:
        if flask.request.method == "POST":
            db.session.add(Tag(name="blue"))
            db.session.commit()
        return ""

    shop.client.options("/tags")
    shop.client.post("/tags")


@must_not_fire("write-in-get")
def a_row_is_locked_while_it_is_shown(shop: Shop) -> None:
    @shop.app.get("/products/<int:product_id>")
    def show(product_id: int) -> str:
        stock = db.session.get_one(Product, product_id, with_for_update=True).stock
        db.session.commit()
        return str(stock)

    shop.client.get("/products/1")


@must_not_fire("write-in-get")
def a_page_starts_a_job(shop: Shop) -> None:
    def job() -> None:
        with shop.app.app_context():
            db.session.add(Tag(name="job"))
            db.session.commit()

    @shop.app.get("/report")
    def report() -> str:
        thread = threading.Thread(target=job)
        thread.start()
        thread.join()
        return "started"

    shop.client.get("/report")


def note_visit(shop: Shop) -> None:
    @shop.app.before_request
    def note() -> None:
        db.session.get_one(User, 1).name = "seen"
        db.session.commit()

    @shop.app.get("/")
    def home() -> str:
        return "hello"


@must_not_fire("write-in-get", RETORT_ALLOW=_LOGINS)
def a_test_has_rows_that_it_does_not_commit(shop: Shop) -> None:
    note_visit(shop)
    with shop.push():
        db.session.add(Post(author_id=1, title="news"))
        db.session.flush()
        db.session.add(Tag(name="blue"))
        shop.client.get("/")


@must_fire("write-in-get", "GET /")
def a_view_writes_beside_the_rows_of_a_test(shop: Shop) -> None:
    note_visit(shop)
    with shop.push():
        db.session.add(Post(author_id=1, title="news"))
        db.session.flush()
        shop.client.get("/")
