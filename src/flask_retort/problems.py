"""Errors over HTTP: ``application/problem+json`` (RFC 9457), or a plain page for a browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from flask import Flask, current_app, json, render_template, request
from markupsafe import Markup
from sqlalchemy import exc
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from .errors import (
    CommitOutcomeUnknown,
    DatabaseFailure,
    Deadlock,
    Disconnected,
    ExclusionViolation,
    ForeignKeyViolation,
    InvalidValue,
    LockTimeout,
    NotFound,
    SerializationFailure,
    StatementTimeout,
    UniqueViolation,
)

CONTENT_TYPE = "application/problem+json"
_TEMPLATE = "retort_problem_template"


def init_app(app: Flask, *, template: str | None = None) -> None:
    """Answer HTTP errors, and the database's errors that a client can act upon, as problems.

    All else stays what it is without this: a 500 that Flask logs, or raises where it propagates
    exceptions; its answer is a problem too. Handlers of the application's own for a class or a
    status, or on a blueprint, come first wherever Flask finds them first; one that is there already
    for a class of ours stays.

    :param template: name of a template for browsers, which gets ``problem``, the members of the
        JSON document; without one, a page of our own. It should not need the database.
    """
    app.extensions[_TEMPLATE] = template
    taken = app.error_handler_spec[None][None]
    for kind in (HTTPException, *_HANDLED):
        if kind not in taken:
            app.register_error_handler(kind, response)


def response(error: Exception, **members: Any) -> Response:
    """The answer to an error, for error handlers of your own: ``return problems.response(error)``.

    An error that there is no other answer to is a 500. What is not an ``HTTPException`` and gives
    a 5xx is logged. An ``HTTPException`` that holds a response, or redirects, is that response.

    :param members: replace members of the document, such as ``detail`` and ``status``, or add some.
    """
    if isinstance(error, HTTPException):
        if error.response is not None or error.code is None or error.code < 400:
            return error.get_response(request.environ)
        problem = _problem(error.code, error.description, members)
        return _answer(problem, error.get_headers())  # such as Allow, WWW-Authenticate, Retry-After
    answer = _answer_to(error)
    problem = _problem(answer.status, answer.detail, _about(error, answer) | members)
    if problem["status"] >= 500:
        current_app.logger.error(
            "%s on %r [%s]", problem["status"], request.path, request.method, exc_info=error
        )
    retry = [] if answer.retry_after is None else [("Retry-After", str(answer.retry_after))]
    return _answer(problem, retry)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a class of errors is answered with.

    :param retry_after: seconds after which the same request may succeed; None: it won't, or must
        not be sent again unseen.
    """

    status: int
    detail: str
    retry_after: int | None = None


_ANSWERS: dict[type[Exception], _Answer] = {
    NotFound: _Answer(404, "What was asked for does not exist."),
    UniqueViolation: _Answer(409, "A value that may occur once is in use already."),
    ExclusionViolation: _Answer(409, "It overlaps with something that is there already."),
    StaleDataError: _Answer(409, "It was changed by someone else since it was read."),
    ForeignKeyViolation: _Answer(422, "It refers to something that does not exist."),
    exc.IntegrityError: _Answer(422, "A value is missing or not allowed."),
    exc.DataError: _Answer(422, "A value is too long, out of range, or of another type."),
    InvalidValue: _Answer(422, "A value is not allowed."),
    Deadlock: _Answer(503, "Another request was in the way. Try again.", 1),
    SerializationFailure: _Answer(503, "Another request was in the way. Try again.", 1),
    LockTimeout: _Answer(503, "Another request was in the way. Try again.", 1),
    StatementTimeout: _Answer(503, "It took too long. Try again later.", 5),
    exc.TimeoutError: _Answer(503, "The service is busy. Try again later.", 5),
    Disconnected: _Answer(503, "The service can't reach its database. Try again later.", 5),
    CommitOutcomeUnknown: _Answer(
        503, "It is not known whether the request took effect. Find out before you send it again."
    ),
}
_REFERENCED = _Answer(409, "Something else still refers to it.")
_CONFLICT = _Answer(409, "It conflicts with what is there already.")
_STALE_PRECONDITION = _Answer(412, _ANSWERS[StaleDataError].detail)
_DEFECT = _Answer(500, "The server has met an error of its own.")

# As far up as all subclasses are answered, so that an application's handler for any of those, or
# for SQLAlchemy's own class, is the nearer one.
_HANDLED = (
    exc.IntegrityError,
    exc.DataError,
    exc.TimeoutError,
    StaleDataError,
    NotFound,
    InvalidValue,
    Deadlock,
    SerializationFailure,
    LockTimeout,
    StatementTimeout,
    Disconnected,
)
# What a client has sent wrong, or too late.
_OF_FIELDS = (exc.IntegrityError, exc.DataError, InvalidValue)


def _answer_to(error: Exception) -> _Answer:
    if isinstance(error, StaleDataError) and _has_precondition():
        return _STALE_PRECONDITION
    if isinstance(error, ForeignKeyViolation) and error.direction == "referenced":
        return _REFERENCED
    if isinstance(error, exc.IntegrityError) and not isinstance(error, DatabaseFailure):
        return _CONFLICT  # of an engine that is not ours: which kind it is, is not known
    return next((_ANSWERS[kind] for kind in type(error).__mro__ if kind in _ANSWERS), _DEFECT)


def _has_precondition() -> bool:
    return "If-Match" in request.headers or "If-Unmodified-Since" in request.headers


def _problem(status: int, detail: str | None, members: dict[str, Any]) -> dict[str, Any]:
    status = members.get("status", status)
    # RFC 9457, 4.2.1: with about:blank the title is the status's own.
    title = HTTP_STATUS_CODES.get(status, "Unknown Error")
    problem = {"type": "about:blank", "title": title, "status": status}
    return problem | ({} if detail is None else {"detail": str(detail)}) | members


def _about(error: Exception, answer: _Answer) -> dict[str, Any]:
    """The error's code, and its fields with the reason, as far as the client can act on them."""
    if answer is _DEFECT or not isinstance(error, DatabaseFailure):
        return {}
    about, code = error.about, error.code
    if not about.reason or answer is _REFERENCED or not isinstance(error, _OF_FIELDS):
        return {"code": code}
    # Without a model they are names of columns, which are nobody's outside.
    fields = about.fields if about.model is not None else ()
    pointers = [_pointer(field) for field in fields] or ["#"]
    errors = [{"pointer": pointer, "detail": about.reason, "code": code} for pointer in pointers]
    return {"code": code, "errors": errors}


def _pointer(field: str) -> str:
    """A JSON pointer in a URI fragment: RFC 6901, section 6."""
    return "#/" + quote(field.replace("~", "~0").replace("/", "~1"), safe="~")


def _answer(problem: dict[str, Any], headers: list[tuple[str, str]]) -> Response:
    if _prefers_html():
        template = current_app.extensions.get(_TEMPLATE)
        body = render_template(template, problem=problem) if template else _page(problem)
        content_type = "text/html; charset=utf-8"
    else:
        body, content_type = json.dumps(problem), CONTENT_TYPE
    made = current_app.response_class(body, problem["status"], headers, content_type=content_type)
    made.vary.add("Accept")
    return made


def _prefers_html() -> bool:
    accept = request.accept_mimetypes
    return accept["text/html"] > max(accept["application/json"], accept[CONTENT_TYPE])


def _page(problem: dict[str, Any]) -> str:
    fields = Markup("").join(
        Markup("<li>{}</li>\n").format(_in_words(error)) for error in problem.get("errors", ())
    )
    return _PAGE.format(
        status=problem["status"],
        title=problem["title"],
        detail=problem.get("detail", ""),
        fields=Markup("<ul>\n{}</ul>\n").format(fields) if fields else "",
    )


def _in_words(error: dict[str, Any]) -> str:
    field = unquote(error.get("pointer", "")).removeprefix("#").removeprefix("/")
    detail = error.get("detail", "")
    return f"{field}: {detail}" if field else detail


_PAGE = Markup(
    "<!doctype html>\n"
    '<html lang="en">\n'
    '<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width">\n'
    "<title>{status} {title}</title>\n"
    "<h1>{title}</h1>\n"
    "<p>{detail}</p>\n"
    "{fields}"
)
