"""One transaction a request: committed for a success, before it is answered; reads only read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, Response, abort, redirect
from sqlalchemy import exc, orm
from tests.notes import Notes
from werkzeug.exceptions import HTTPException

from flask_retort import SQLAlchemy
from flask_retort.errors import GuardError


@pytest.fixture
def notes(make_app: Any, database_url: sa.URL) -> Notes:
    """The application on each back end."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI=database_url))


@pytest.fixture
def small(make_app: Any) -> Notes:
    """The application on SQLite, for what the database has no part in."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI="sqlite:///notes.db"))


# --- success ------------------------------------------------------------------


def test_a_success_is_committed_before_it_is_answered(notes: Notes) -> None:
    """When the server gets the status, all is there, also what ``after_request`` has written."""
    seen: list[list[str]] = []

    @notes.app.before_request
    def before() -> None:
        notes.add("before")

    @notes.app.post("/")
    def view() -> tuple[str, int]:
        notes.add("view")
        return "", 201

    @notes.app.after_request
    def after(response: Response) -> Response:
        assert notes.kept() == []
        notes.add("after")
        return response

    answer = notes.app.wsgi_app

    def watched(environ: Any, start_response: Any) -> Iterable[bytes]:
        def start(*args: Any) -> Any:
            seen.append(notes.kept())
            return start_response(*args)

        return answer(environ, start)

    notes.app.wsgi_app = watched  # type: ignore[method-assign]
    assert notes.ask().status_code == 201
    assert seen == [["before", "view", "after"]]


def test_a_redirect_is_a_success_also_when_it_is_raised(small: Notes) -> None:
    """``abort(redirect(...))`` is an answer and no failure, so nothing is lost behind it."""

    @small.app.post("/returned")
    def returned() -> Any:
        small.add("returned")
        return redirect("/")

    @small.app.post("/raised")
    def raised() -> Any:
        small.add("raised")
        abort(redirect("/"))

    assert [small.ask(path=path).status_code for path in ("/returned", "/raised")] == [302, 302]
    assert small.kept() == ["returned", "raised"]


def test_a_view_may_commit_by_itself(notes: Notes) -> None:
    """What a view commits stays, whatever comes after; the rest goes by the answer."""

    @notes.app.post("/<int:status>")
    def view(status: int) -> tuple[str, int]:
        notes.add(f"first {status}")
        notes.db.session.commit()
        notes.add(f"second {status}")
        return "", status

    notes.ask(path="/200")
    notes.ask(path="/400")
    assert notes.kept() == ["first 200", "second 200", "first 400"]


def test_transactions_in_a_view_are_savepoints(notes: Notes) -> None:
    """A block is undone alone when it fails, and with the request when that fails later."""

    @notes.app.post("/<int:status>")
    def view(status: int) -> tuple[str, int]:
        notes.add(f"before {status}")
        with notes.db.transaction():
            notes.add(f"inside {status}")
        try:
            with notes.db.transaction():
                notes.add(f"inside {status}")
        except exc.IntegrityError:
            notes.add(f"taken {status}")
        return "", status

    notes.ask(path="/200")
    notes.ask(path="/400")
    assert notes.kept() == ["before 200", "inside 200", "taken 200"]


# --- reading ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_methods_only_read(notes: Notes, method: str) -> None:
    """The database refuses a write, even one that the view commits; what is there can be read."""
    with notes.app.app_context():
        notes.add("there")
        notes.db.session.commit()
    refused: list[Exception] = []

    @notes.app.errorhandler(exc.DBAPIError)
    def refuse(error: Exception) -> tuple[str, int]:
        refused.append(error)
        return "", 409

    @notes.app.get("/write")
    def write() -> str:
        notes.add("written")
        notes.db.session.commit()
        return ""

    @notes.app.get("/read")
    def read() -> str:
        return " ".join(notes.db.session.scalars(sa.select(notes.Note.text)))

    with notes.db.allow("write-in-get", reason="what the database says is what the test asks"):
        assert notes.ask(method, "/write").status_code == 409
    assert len(refused) == 1
    answer = notes.ask(method, "/read")
    assert answer.text == ("there" if method == "GET" else "")
    assert answer.content_length == len("there")
    assert notes.kept() == ["there"]


def test_a_read_that_fails_gives_its_connection_back(small: Notes) -> None:
    """Also where somebody still holds its session."""
    held: list[orm.Session] = []

    @small.app.get("/")
    def read() -> str:
        held.append(small.db.session())
        held[0].scalars(sa.select(small.Note)).all()
        return ""

    @small.app.after_request
    def fail(response: Response) -> Response:
        raise ValueError

    with pytest.raises(ValueError):
        small.ask("GET")


def test_what_a_reading_request_adds_is_not_lost_unseen(small: Notes) -> None:
    """It can't be kept, so the guard tells of it as where nothing commits."""

    @small.app.get("/<kind>")
    def view(kind: str) -> Any:
        small.add("lost")
        return "" if kind == "plain" else Response(item for item in "a")

    for path in ("/plain", "/streamed"):
        with pytest.raises(GuardError, match="lost-write"):
            small.ask("GET", path)


def test_the_session_of_an_outer_context_is_left_alone_by_reads(small: Notes) -> None:
    """A test that holds a context finds its own session after a GET, with what it has loaded."""

    @small.app.get("/")
    def read() -> str:
        return str(small.db.session.scalar(sa.select(sa.func.count(small.Note.id))))

    with small.app.app_context():
        small.add("mine")
        small.db.session.commit()
        mine = small.db.session()
        note = small.db.session.scalars(sa.select(small.Note)).one()
        small.db.session.commit()
        assert small.app.test_client().get("/").text == "1"
        assert small.db.session() is mine
        assert note.text == "mine"


def test_an_outer_context_has_a_session_that_writes_after_a_read(small: Notes) -> None:
    """The session of the read does not stay in a context that goes on."""

    @small.app.get("/")
    def read() -> str:
        small.db.session.scalars(sa.select(small.Note)).all()
        return ""

    with small.app.app_context():
        small.app.test_client().get("/")
        small.add("written")
        small.db.session.commit()
    assert small.kept() == ["written"]


def test_automatic_options_and_unknown_addresses_are_answered(small: Notes) -> None:
    """Requests without a view have no session to end."""
    small.app.post("/")(lambda: "")
    assert small.ask("OPTIONS").status_code == 200
    assert small.ask(path="/nowhere").status_code == 404
    assert small.ask("DELETE").status_code == 405


# --- what is not a request ----------------------------------------------------


def test_only_requests_have_a_boundary(small: Notes) -> None:
    """A command, a plain context, and a context inside a request commit for themselves."""

    @small.app.cli.command("write")
    def command() -> None:
        small.add("command")

    @small.app.post("/")
    def view() -> str:
        with small.app.app_context():
            small.add("inner context")
        with small.app.app_context(), small.db.transaction():
            small.add("inner transaction")
        return ""

    with small.db.allow("lost-write", reason="it is what the test is about"):
        small.app.test_cli_runner().invoke(args=["write"], catch_exceptions=False)
        with small.app.app_context():
            small.add("context")
        with small.app.test_request_context(method="POST"):
            small.add("request context")
        small.ask()
    assert small.kept() == ["inner transaction"]


def test_applications_of_one_database_object_have_their_own(make_app: Any) -> None:
    """The option of one application is nothing to another one with the same ``db``."""
    db: SQLAlchemy[Any] = SQLAlchemy()
    on = make_app("on", RETORT_REQUEST_TRANSACTION=True)
    off = make_app("off", RETORT_GUARDS="off")  # one of which stands round a method as well
    for app in (on, off):
        db.init_app(app)
    assert "full_dispatch_request" in vars(on)
    assert "full_dispatch_request" not in vars(off)
    assert "handle_user_exception" not in vars(off)


class Passing(Flask):
    """Gives each method the context as its first argument, as Flask 3.2 does."""

    def full_dispatch_request(self, context: object) -> Response:  # type: ignore[override] # as in 3.2
        try:
            answer: Any = self.dispatch_request()
        except ValueError as error:
            answer = self.handle_user_exception(context, error)
        return self.finalize_request(context, answer)

    def handle_user_exception(self, context: object, e: Exception) -> Any:  # type: ignore[override] # as in 3.2
        assert context == "context"
        return super().handle_user_exception(e)

    def finalize_request(self, context: object, rv: Any) -> Response:  # type: ignore[override] # as in 3.2
        assert context == "context"
        return super().finalize_request(rv)


def test_methods_that_get_the_context_are_called_with_it(small: Notes) -> None:
    """The boundary passes on what Flask passes, to the handler of a failed commit too."""
    app = Passing("passing", instance_path=small.app.instance_path)
    app.config.from_mapping(small.app.config)
    small.db.init_app(app)
    app.register_error_handler(exc.IntegrityError, lambda error: ("commit", 409))
    app.register_error_handler(ValueError, lambda error: ("view", 400))

    @app.post("/<int:answers>")
    def view(answers: int) -> str:
        small.add("kept", answers=answers or None)
        if answers == 1:
            raise ValueError
        return "done"

    def ask(path: str) -> str:
        with app.test_request_context(path, method="POST"):
            return app.full_dispatch_request("context").get_data(as_text=True)

    assert [ask("/1"), ask("/2"), ask("/0")] == ["view", "commit", "done"]
    with app.app_context():
        small.db.engine.dispose()
    assert small.kept() == ["kept"]


def test_an_error_handler_for_http_errors_is_asked_once(small: Notes) -> None:
    """The boundary changes nothing in how Flask finds the handlers."""
    seen: list[int | None] = []

    @small.app.errorhandler(HTTPException)
    def answer(error: HTTPException) -> HTTPException:
        seen.append(error.code)
        return error

    assert small.ask(path="/nowhere").status_code == 404
    assert seen == [404]


def test_the_session_class_of_the_application_is_used(small: Notes) -> None:
    """Reads and writes of requests go through the class that the application has chosen."""
    sessions: list[orm.Session] = []

    @small.app.route("/", methods=["GET", "POST"])
    def view() -> str:
        sessions.append(small.db.session())
        return ""

    small.ask("GET")
    small.ask("POST")
    assert {type(session) for session in sessions} == {small.db.session.session_factory.class_}
