"""One transaction a request: committed for a success, before it is answered; reads only read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, Response, abort, redirect
from sqlalchemy import exc, orm
from tests.notes import Notes
from werkzeug.exceptions import HTTPException

from flask_retort import SQLAlchemy
from flask_retort.errors import ReadOnlyViolation


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


def test_what_runs_on_the_commit_has_transactions_of_its_own(notes: Notes) -> None:
    """They are committed, and may be run again: the request's transaction has ended."""

    @notes.app.post("/<int:retries>")
    def view(retries: int) -> str:
        notes.add(f"order {retries}")
        mail = notes.db.transaction(retry=retries)(lambda: notes.add(f"mail {retries}"))
        notes.db.on_commit(mail)
        return ""

    for retries in (0, 1):
        assert notes.ask(path=f"/{retries}").status_code == 200
    assert notes.kept() == ["order 0", "mail 0", "order 1", "mail 1"]


def test_an_error_after_the_commit_keeps_what_is_committed(small: Notes) -> None:
    """It is answered as an error; what its handler writes is rolled back with its answer."""

    def fail() -> None:
        raise KeyError("mail")

    @small.app.post("/")
    def view() -> str:
        small.add("order")
        small.db.on_commit(fail)
        return ""

    @small.app.errorhandler(KeyError)
    def handler(error: KeyError) -> tuple[str, int]:
        with small.db.transaction():
            small.add("handler")
        return "", 500

    assert small.ask().status_code == 500
    assert small.kept() == ["order"]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_session_made_anew_is_the_request_s_too(small: Notes, method: str) -> None:
    """After ``remove()``, which ends no transaction of the request but begins the next one."""

    @small.app.route("/", methods=["POST", "GET"])
    def view() -> str:
        small.db.session.remove()
        with small.db.transaction():
            small.add("refused")
        abort(422)

    with pytest.raises(ReadOnlyViolation) if method == "GET" else nullcontext():
        assert small.ask(method).status_code == 422
    assert small.kept() == []


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
