"""What a client is told of an error, as a problem document (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, Response, abort, redirect
from sqlalchemy import exc
from sqlalchemy.orm import validates
from sqlalchemy.orm.exc import StaleDataError
from tests.problem_requests import (
    BROWSER,
    SECRETS,
    User,
    ask,
    document,
    failure,
    foreign_key,
    plain,
)
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)

from flask_retort import SQLAlchemy, errors, problems


@pytest.fixture
def app(make_app: Any) -> Flask:
    """An application that answers problems, and 500s instead of raising."""
    app: Flask = make_app(PROPAGATE_EXCEPTIONS=False)
    problems.init_app(app)
    return app


# --- errors of the database ---------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.NotFound("no s3cret in users"), 404, "not-found"),
        (failure(errors.UniqueViolation), 409, "unique"),
        (failure(errors.ExclusionViolation), 409, "exclusion"),
        (foreign_key("referenced"), 409, "foreign-key"),
        (errors.StaleVersion("users s3cret"), 409, "stale-version"),
        (StaleDataError("UPDATE on users"), 409, None),
        (plain(exc.IntegrityError), 409, None),
        (foreign_key("missing"), 422, "foreign-key"),
        (foreign_key(None), 422, "foreign-key"),
        (failure(errors.NotNullViolation), 422, "not-null"),
        (failure(errors.CheckViolation), 422, "check"),
        (failure(errors.ValueTooLong), 422, "too-long"),
        (failure(errors.OutOfRange), 422, "out-of-range"),
        (errors.InvalidValue("s3cret"), 422, "invalid-value"),
        (errors.FailedAssertion("s3cret"), 422, "failed-assertion"),
        (plain(exc.DataError), 422, None),
        (failure(errors.Deadlock), 503, "deadlock"),
        (failure(errors.SerializationFailure), 503, "serialization"),
        (failure(errors.LockTimeout), 503, "lock-timeout"),
        (failure(errors.StatementTimeout), 503, "statement-timeout"),
        (failure(errors.Disconnected), 503, "disconnected"),
        (failure(errors.CannotConnect), 503, "cannot-connect"),
        (errors.PoolExhausted("10.0.0.1"), 503, "pool-exhausted"),
        (exc.TimeoutError("10.0.0.1"), 503, None),
        (failure(errors.CommitOutcomeUnknown), 503, "commit-outcome-unknown"),
        (failure(errors.ReadOnlyViolation), 500, None),
        (errors.BrokenSession("users"), 500, None),
        (plain(exc.ProgrammingError), 500, None),
        (exc.NoResultFound("users"), 500, None),
        (ValueError("s3cret"), 500, None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_each_error_has_its_status_and_keeps_its_secrets(
    app: Flask, error: Exception, status: int, code: str | None
) -> None:
    """The status says what the client can do; neither body nor headers say what is inside."""
    for accept in ("*/*", BROWSER):
        response = ask(app, error, Accept=accept)
        assert response.status_code == status
        told = response.text + str(response.headers)
        assert not [secret for secret in SECRETS if secret in told]
        retry = response.headers.get("Retry-After", "")
        assert retry.isdigit() == (status == 503 and code != "commit-outcome-unknown")
    problem = document(ask(app, error))
    assert problem.get("code") == code
    assert problem["type"] == "about:blank"
    assert problem["detail"]


def test_every_error_of_the_database_is_thought_of(app: Flask) -> None:
    """A class is answered by an entry of its own, by its parent's, or is a defect: a 500."""
    defects = {"ReadOnlyViolation", "BrokenSession", "DatabaseFailure", "StatementFailure"}
    kinds = [
        kind
        for kind in map(vars(errors).get, errors.__all__)
        if isinstance(kind, type) and issubclass(kind, errors.DatabaseFailure)
    ]
    unanswered = {kind.__name__ for kind in kinds if not issubclass(kind, problems._HANDLED)}
    assert unanswered == defects


def test_an_unknown_outcome_is_said_to_be_unknown(app: Flask) -> None:
    """Nobody may think that it failed, or send it again unseen."""
    problem = document(ask(app, failure(errors.CommitOutcomeUnknown), "POST"))
    assert "not known whether" in problem["detail"]


@pytest.mark.parametrize("header", ["If-Match", "If-Unmodified-Since"])
@pytest.mark.parametrize("error", [errors.StaleVersion("stale"), StaleDataError("stale")])
def test_a_stale_version_fails_the_precondition_of_a_request_that_has_one(
    app: Flask, header: str, error: Exception
) -> None:
    """412 is for conditional requests (RFC 9110, 13.1), 409 for the others."""
    response = ask(app, error, "POST", **{header.replace("-", "_"): '"1"'})
    assert document(response)["title"] == "Precondition Failed"
    assert response.status_code == 412


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        (("email",), ["#/email"]),
        (("shop_id", "number"), ["#/shop_id", "#/number"]),
        (("größe",), ["#/gr%C3%B6%C3%9Fe"]),
        (("a/b~c",), ["#/a~1b~0c"]),
        ((), ["#"]),
    ],
)
def test_each_field_has_its_pointer(
    app: Flask, fields: tuple[str, ...], pointers: list[str]
) -> None:
    """Fields are JSON pointers in URI fragments (RFC 6901, 6); without any, it is the whole."""
    error = failure(errors.UniqueViolation, model=User, fields=fields, reason="is already taken")
    assert document(ask(app, error))["errors"] == [
        {"pointer": pointer, "detail": "is already taken", "code": "unique"} for pointer in pointers
    ]


def test_columns_of_a_table_without_model_are_not_named(app: Flask) -> None:
    """The reason is all that a client can use of them."""
    error = failure(errors.UniqueViolation, fields=("internal",), reason="is already taken")
    response = ask(app, error)
    assert document(response)["errors"][0]["pointer"] == "#"
    assert "internal" not in response.text


def test_what_still_refers_to_a_row_is_no_field_of_the_request(app: Flask) -> None:
    """The fields of the error are those of the other model, of which the client has sent none."""
    about: dict[str, Any] = {"model": User, "fields": ("user_id",), "reason": "is in use"}
    assert "errors" not in document(ask(app, foreign_key("referenced", **about)))
    problem = document(ask(app, foreign_key("missing", **about)))
    assert problem["errors"][0]["pointer"] == "#/user_id"


def test_errors_on_our_side_are_logged(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    """A 503 is in the application's log with its traceback; a refusal of the client's is not."""
    with caplog.at_level(logging.DEBUG, app.logger.name):
        ask(app, failure(errors.UniqueViolation))
        assert not caplog.records
        ask(app, failure(errors.Deadlock))
        ask(app, failure(errors.ReadOnlyViolation))
    deadlock, defect = caplog.records
    assert "/fail" in deadlock.getMessage()
    assert deadlock.exc_info
    assert isinstance(deadlock.exc_info[1], errors.Deadlock)
    assert defect.exc_info


def test_defects_propagate_where_exceptions_do(app: Flask) -> None:
    """What is a 500 in production stays an exception in tests and under the debugger."""
    app.config["PROPAGATE_EXCEPTIONS"] = None  # follows TESTING
    with pytest.raises(errors.ReadOnlyViolation):
        ask(app, failure(errors.ReadOnlyViolation))
    with pytest.raises(exc.ProgrammingError):
        ask(app, plain(exc.ProgrammingError))
    assert ask(app, failure(errors.Deadlock)).status_code == 503


# --- errors of HTTP -----------------------------------------------------------


def test_http_errors_keep_their_headers(app: Flask) -> None:
    """What the status demands beside it is there: RFC 9110 wants Allow with a 405."""
    challenge = WWWAuthenticate("basic", {"realm": "a shop"})
    for error, header, value in [
        (MethodNotAllowed(["GET", "PUT"]), "Allow", "GET, PUT"),
        (Unauthorized(www_authenticate=challenge), "WWW-Authenticate", 'Basic realm="a shop"'),
        (ServiceUnavailable(retry_after=7), "Retry-After", "7"),
        (TooManyRequests("slow down", retry_after=8), "Retry-After", "8"),
    ]:
        response = ask(app, error)
        assert response.headers[header] == value
        assert len(response.headers.get_all("Content-Type")) == 1
        assert document(response)["detail"] == error.description


def test_errors_of_flask_itself_are_problems(app: Flask) -> None:
    """Unknown addresses, wrong methods and defects look like the rest."""
    ask(app, ValueError())
    assert document(app.test_client().get("/nowhere"))["title"] == "Not Found"
    assert app.test_client().delete("/fail").headers["Allow"]
    assert document(app.test_client().delete("/fail"))["status"] == 405


class _NoStatus(HTTPException):
    code = 499
    description = "gone"


class _SeeOther(HTTPException):
    code = 303


def test_what_is_no_error_passes(app: Flask) -> None:
    """A response that is raised, and a redirect, are answers and not problems."""
    made = ask(app, lambda: abort(Response("mine", 418, {"X-Mine": "1"})))
    assert (made.status_code, made.text, made.headers["X-Mine"]) == (418, "mine", "1")
    with_response = ask(app, NotFound(response=Response("mine", 404)))
    assert (with_response.status_code, with_response.text) == (404, "mine")
    with app.test_request_context():
        assert problems.response(HTTPException(response=Response("mine"))).data == b"mine"
    assert ask(app, lambda: abort(redirect("/there"))).headers["Location"] == "/there"
    assert ask(app, _SeeOther()).mimetype == "text/html"
    app.view_functions["slash"] = lambda: ""
    app.url_map.add(app.url_rule_class("/slash/", endpoint="slash"))
    assert app.test_client().get("/slash").status_code == 308


def test_odd_http_errors_are_problems_all_the_same(app: Flask) -> None:
    """A status without a name, and a description that is no text."""
    assert document(ask(app, _NoStatus()))["title"] == "Unknown Error"
    described: Any = ["a", "b"]
    assert document(ask(app, lambda: abort(400, described)))["detail"] == "['a', 'b']"
    silent = HTTPException()
    silent.code = 400
    assert "detail" not in document(ask(app, silent))


def test_head_has_the_headers_alone(app: Flask) -> None:
    """The answer to HEAD is that to GET without its body."""
    error = failure(errors.Deadlock)
    head, get = ask(app, error, "HEAD"), ask(app, error, "GET")
    assert (head.status_code, head.data) == (503, b"")
    assert head.headers == get.headers


# --- for real -----------------------------------------------------------------


def test_what_a_database_and_a_model_refuse_is_answered(make_app: Any, database_url: Any) -> None:
    """From the driver's error to the field pointer, on each back end; the next request works."""
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url)
    db = SQLAlchemy(app)
    problems.init_app(app)

    class Member(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)
        mail = sa.Column("e_mail", sa.String(20), unique=True, nullable=False)

        @validates("mail")
        def check(self, key: str, value: str | None) -> str | None:
            if value == "":
                raise ValueError("is empty")
            return value

    with app.app_context():
        db.create_all()

    def add(mail: str | None) -> Callable[[], str]:
        def view() -> str:
            db.session.add(Member(mail=mail))
            db.session.commit()
            return "added"

        return view

    assert ask(app, add("ann"), "POST").text == "added"
    for mail, status, code in [("ann", 409, "unique"), (None, 422, "not-null")]:
        problem = document(ask(app, add(mail), "POST"))
        assert (problem["status"], problem["code"]) == (status, code)
        assert [error["pointer"] for error in problem["errors"]] == ["#/mail"]
    problem = document(ask(app, add(""), "POST"))
    assert problem["errors"] == [
        {"pointer": "#/mail", "detail": "is empty", "code": "invalid-value"}
    ]
    assert ask(app, add("bob"), "POST").text == "added"


def test_a_database_that_is_not_there_is_a_503(make_app: Any) -> None:
    """The client learns when to ask again, and neither the address nor the password."""
    url = "postgresql+psycopg://shop:s3cret@127.0.0.1:1/shop"
    app = make_app(SQLALCHEMY_DATABASE_URI=url)
    db = SQLAlchemy(app)
    problems.init_app(app)
    response = ask(app, lambda: db.session.execute(sa.select(1)))
    assert document(response)["code"] == "cannot-connect"
    assert "s3cret" not in response.text
    assert "127.0.0.1" not in response.text
