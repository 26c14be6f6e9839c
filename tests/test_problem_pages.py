"""Pages for browsers, and an application's own error handlers beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, abort
from sqlalchemy import exc
from tests.problem_requests import BROWSER, User, ask, document, failure
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.test import Client

from flask_retort import errors, problems
from flask_retort.errors import About


@pytest.fixture
def app(make_app: Any) -> Flask:
    """An application that answers problems, and 500s instead of raising."""
    app: Flask = make_app(PROPAGATE_EXCEPTIONS=False)
    problems.init_app(app)
    return app


# --- JSON or HTML -------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "is_html"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        (BROWSER, True),
        ("text/html", True),
        ("text/*", True),
        ("application/json", False),
        ("application/problem+json", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html, application/json;q=0.5", True),
        ("text/html, application/json", False),
        ("text/html;q=0", False),
        ("image/png", False),
        ("; nonsense /,q=x", False),
    ],
)
def test_a_page_is_for_those_who_would_rather_have_one(
    app: Flask, accept: str | None, is_html: bool
) -> None:
    """HTML only where the client prefers it to JSON; caches are told that it depends."""
    headers = {} if accept is None else {"Accept": accept}
    response = ask(app, failure(errors.UniqueViolation), **headers)
    assert response.mimetype == ("text/html" if is_html else "application/problem+json")
    assert "Accept" in response.vary


def test_a_page_shows_text_and_never_runs_it(app: Flask) -> None:
    """Descriptions and reasons may hold what a user has sent."""
    evil = "<script>alert('ü')</script>"
    page = ask(app, lambda: abort(400, evil), Accept="text/html").text
    assert "&lt;script&gt;alert(&#39;ü&#39;)" in page
    assert "<script" not in page
    about = About(User, ("<b>", "größe"), reason=evil)
    page = ask(app, errors.InvalidValue(evil, about), Accept="text/html").text
    assert "<script" not in page
    assert "<b>" not in page
    assert "größe: &lt;script&gt;" in page


def test_the_debugger_gets_what_is_a_defect(app: Flask) -> None:
    """Under Werkzeug's debugger a 404 is a problem, and a defect its traceback."""
    app.config["PROPAGATE_EXCEPTIONS"] = None
    app.debug = True
    ask(app, lambda: abort(404))
    client = Client(DebuggedApplication(app))
    assert client.get("/fail").headers["Content-Type"] == problems.CONTENT_TYPE
    app.view_functions["fail"] = lambda: str(1 / 0)
    answer = client.get("/fail")
    assert answer.status_code == 500
    assert "Traceback" in answer.text


def test_a_page_is_the_applications_own_if_it_has_a_template(make_app: Any, tmp_path: Path) -> None:
    """The template gets the members of the document."""
    (tmp_path / "problem.html").write_text("{{ problem.status }} {{ problem.title }}: ours")
    app = make_app()
    app.template_folder = str(tmp_path)
    problems.init_app(app, template="problem.html")
    response = ask(app, lambda: abort(404), Accept=BROWSER)
    assert response.text == "404 Not Found: ours"
    assert response.content_type == "text/html; charset=utf-8"
    assert document(ask(app, lambda: abort(404)))["status"] == 404


# --- handlers of the application's own ----------------------------------------


def test_a_page_shows_errors_that_are_about_no_field(make_app: Any) -> None:
    """A handler may add errors of its own; RFC 9457 asks for no member of theirs."""
    app = make_app()
    added = [{"detail": "too many <b>"}, {"pointer": "#/mail", "detail": "taken"}]
    app.register_error_handler(KeyError, lambda error: problems.response(error, errors=added))
    problems.init_app(app)
    page = ask(app, KeyError(), Accept=BROWSER)
    assert "<li>too many &lt;b&gt;</li>\n<li>mail: taken</li>" in page.text
    assert document(ask(app, KeyError()))["errors"] == added


@pytest.mark.parametrize(
    "kind", [errors.UniqueViolation, errors.StatementFailure, exc.IntegrityError]
)
def test_an_own_handler_of_a_class_comes_first(app: Flask, kind: type[Exception]) -> None:
    """Registered later, for the class itself, for ours above it, or for SQLAlchemy's."""
    app.register_error_handler(kind, lambda error: ("own", 418))
    assert ask(app, failure(errors.UniqueViolation)).text == "own"
    assert ask(app, failure(errors.Deadlock)).status_code == 503


@pytest.mark.parametrize("kind", [HTTPException, exc.IntegrityError, errors.NotFound])
def test_an_own_handler_that_was_there_before_stays(make_app: Any, kind: type[Exception]) -> None:
    """Modules register theirs when they are imported, often before the factory calls us."""
    app = make_app(PROPAGATE_EXCEPTIONS=False)
    app.register_error_handler(kind, lambda error: ("own", 418))
    problems.init_app(app)
    for error in (NotFound(), failure(errors.UniqueViolation), errors.NotFound("no")):
        assert (ask(app, error).text == "own") == isinstance(error, kind)


def test_an_own_handler_of_a_status_or_of_everything_keeps_its_place(app: Flask) -> None:
    """A handler of 404 is the nearer one; one of Exception is for what nobody else answers."""
    app.register_error_handler(404, lambda error: ("own 404", 404))
    app.register_error_handler(Exception, lambda error: ("own 500", 500))
    assert ask(app, lambda: abort(404)).text == "own 404"
    assert document(ask(app, errors.NotFound("no")))["code"] == "not-found"
    assert ask(app, ValueError()).text == "own 500"
    assert ask(app, failure(errors.ReadOnlyViolation)).text == "own 500"


def test_a_blueprint_may_answer_for_itself(make_app: Any) -> None:
    """Its handler is for its views; all others get ours, and can add to it."""
    app = make_app()
    blueprint = Blueprint("admin", __name__, url_prefix="/admin")

    @blueprint.errorhandler(errors.UniqueViolation)
    def taken(error: errors.UniqueViolation) -> Any:
        return problems.response(error, detail="Choose another name.", status=400, hint=1)

    @blueprint.get("/")
    def view() -> Any:
        raise failure(errors.UniqueViolation)

    app.register_blueprint(blueprint)
    problems.init_app(app)
    assert document(app.test_client().get("/admin/")) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Choose another name.",
        "code": "unique",
        "hint": 1,
    }
