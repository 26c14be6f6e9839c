"""What the guard against forgotten commits says, and how the request ends."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import flask
import flask.views
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy
from flask_retort.errors import GuardError, RetortWarning
from flask_retort.transactions import writes

from .collection import Shop, new_shop
from .models import Post, Tag, User, db


def add_a_user(shop: Shop) -> None:
    @shop.app.post("/users")
    def create_user() -> str:
        db.session.add(User(name="eve", email="eve@example.com", posts=[Post(title="hello")]))
        return "created"


def test_message(shop: Shop) -> None:
    """It names the route, the view and the objects, and both lines that would be right."""
    add_a_user(shop)
    view = shop.app.view_functions["create_user"]
    line = inspect.getsourcelines(view)[1]
    with pytest.raises(GuardError) as raised:
        shop.client.post("/users")
    assert str(raised.value) == (
        f"POST /users ended without a commit at guards/{Path(__file__).name}:{line}"
        " (add_a_user.create_user), and what it had added, changed or deleted was thrown away:"
        " Post, User. Nothing commits by itself: the work is lost, and nobody is told. Write"
        " db.session.commit() where the work is done, or do it inside `with db.transaction():`; if"
        " it is not to be kept, say so with db.session.rollback(). Allow it on purpose with"
        " db.allow('lost-write', 'POST /users', reason=...). [retort:lost-write]"
    )


def test_the_session_is_closed_though_it_raises(shop: Shop) -> None:
    """No connection stays out, and the next request works."""
    add_a_user(shop)
    for _ in range(2):
        with pytest.raises(GuardError):
            shop.client.post("/users")
    with shop.push():
        pool = db.engine.pool
        assert isinstance(pool, sa.QueuePool)
        assert pool.checkedout() == 0


def test_a_warning_does_not_keep_the_response() -> None:
    """In debug mode it stands at the view."""
    with new_shop(RETORT_GUARDS="warn") as shop, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        add_a_user(shop)
        assert shop.client.post("/users").text == "created"
    assert [(one.category, one.filename) for one in caught] == [(RetortWarning, __file__)]


def test_a_test_may_throw_its_own_work_away(shop: Shop) -> None:
    """That is how tests leave no trace; a view or a job that they call is another matter."""
    with shop.push():
        db.session.add(Tag(name="blue"))
        db.session.flush()


def test_testing_may_be_set_on_a_complete_application() -> None:
    """As in Flask's own tutorial: the factory first, then TESTING."""
    with new_shop(TESTING=False) as shop:
        add_a_user(shop)
        assert shop.client.post("/users").status_code == 200
        shop.app.config["TESTING"] = True
        with pytest.raises(GuardError):
            shop.client.post("/users")


def test_a_view_that_is_allowed_to(shop: Shop) -> None:
    """Its context ends after the view: the decorator holds until then."""

    @shop.app.post("/preview")
    @db.allow("lost-write", "POST /preview", reason="shows what would be made")
    def preview() -> str:
        db.session.add(Tag(name="blue"))
        return "blue"

    assert shop.client.post("/preview").text == "blue"


def test_a_view_class_has_a_place(shop: Shop) -> None:
    """The function that Flask makes of it stands in Flask."""

    class Users(flask.views.MethodView):
        def post(self) -> str:
            db.session.add(Tag(name="blue"))
            return "created"

    shop.app.add_url_rule("/users", view_func=Users.as_view("users"))
    with pytest.raises(GuardError, match=r"at guards/test_lost_write\.py:\d+ \(.*Users\.post\)"):
        shop.client.post("/users")


def test_what_nobody_knows_is_not_said_to_be_lost(shop: Shop) -> None:
    """A procedure may only read; what waits beside it is still named, and that alone."""

    @shop.app.post("/report")
    def report() -> str:
        session = db.session()
        session.get_one(User, 1)
        writes.note_statement(session, sa.text("CALL report()"), None)
        if "tag" in flask.request.args:
            session.add(Tag(name=flask.request.args["tag"]))
        return "report"

    assert shop.client.post("/report").text == "report"
    with pytest.raises(GuardError, match=r"thrown away: Tag\."):
        shop.client.post("/report?tag=blue")


def test_a_select_that_writes_in_a_cte(make_app: MakeApp, postgresql_url: sa.URL) -> None:
    """PostgreSQL's own way of writing and reading at once."""

    class Base(DeclarativeBase):
        pass

    app = make_app(SQLALCHEMY_DATABASE_URI=postgresql_url)
    database = SQLAlchemy(app, model_class=Base)
    tags = sa.Table("tag", database.metadata, sa.Column("name", sa.Text))

    @app.post("/tags")
    def add() -> str:
        new = sa.insert(tags).values(name="blue").returning(tags.c.name).cte()
        return str(database.session.scalar(sa.select(new.c.name)))

    with app.app_context():
        database.create_all()
    with pytest.raises(GuardError, match="POST /tags ended without a commit"):
        app.test_client().post("/tags")


# --- contexts that go on after their requests ---------------------------------


def test_a_request_is_not_blamed_for_what_a_test_does_around_it(shop: Shop) -> None:
    """A test that holds a context has its own rows in it, before a request and after it."""

    @shop.app.get("/tags")
    def tags() -> str:
        return str(db.session.scalar(sa.select(sa.func.count(Tag.id))))

    with shop.push():
        shop.client.get("/nothing")
        db.session.add(Tag(name="before"))
        db.session.flush()
        assert shop.client.get("/tags").text == "3"
    with shop.push():
        shop.client.get("/tags")
        db.session.add(Tag(name="after"))
        db.session.flush()


def test_what_a_request_leaves_in_the_context_of_a_test_is_found(shop: Shop) -> None:
    """Such a test would pass though the view has forgotten to commit."""
    add_a_user(shop)
    context = shop.push()
    context.push()
    db.session.add(Tag(name="before"))
    db.session.flush()
    shop.client.post("/users")
    with pytest.raises(GuardError, match="POST /users ended without"):
        context.pop()


def test_a_request_is_found_once(shop: Shop) -> None:
    """Where another guard has raised, and the application answers it, nothing more is said."""

    @shop.app.errorhandler(Exception)
    def answer(error: Exception) -> str:
        return type(error).__name__

    @shop.app.get("/")
    def home() -> str:
        db.session.add(Tag(name="visited"))
        db.session.commit()
        return "hello"

    assert shop.client.get("/").text == "GuardError"
    assert [code for code, _ in shop.found] == ["write-in-get"]


def test_a_session_that_is_not_scoped_disturbs_no_request(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests put sessions of their own in the place of ``db.session``."""
    shop.app.get("/")(lambda: str(db.session.get_one(User, 1).name))
    with shop.push(), db.session() as session, monkeypatch.context() as patch:
        patch.setattr(db, "session", session)
        assert shop.client.get("/").text == "ada"
