"""Requests that end in an error, and what is read of their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from sqlalchemy import exc
from werkzeug.test import TestResponse

from flask_retort import errors
from flask_retort.errors import About

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
SECRETS = ("s3cret", "INSERT", "uq_users_email", "users", "10.0.0.1")


class User:
    """Stands for a mapped class."""


def failure(kind: type[errors.StatementFailure], **about: Any) -> errors.StatementFailure:
    """An error with all that must stay inside: SQL, parameters, names, the server, the value."""
    statement, parameters = "INSERT INTO users (email) VALUES (?)", {"email": "s3cret"}
    driver = Exception("server 10.0.0.1: duplicate s3cret in uq_users_email")
    cause = exc.DBAPIError(statement, parameters, driver)
    names: dict[str, Any] = {"constraint": "uq_users_email", "table": "users", "value": "s3cret"}
    return kind("users.email is 's3cret' already.", cause, About(**names | about))


def plain(kind: type[exc.DBAPIError]) -> exc.DBAPIError:
    return kind("INSERT INTO users", {"email": "s3cret"}, Exception("at 10.0.0.1"))


def foreign_key(direction: Any, **about: Any) -> errors.ForeignKeyViolation:
    error = failure(errors.ForeignKeyViolation, **about)
    assert isinstance(error, errors.ForeignKeyViolation)
    error.direction = direction
    return error


def ask(
    app: Flask, error: Exception | Callable[[], Any], method: str = "GET", **headers: str
) -> TestResponse:
    """The answer of a view that raises the error, or is that function."""

    def fail() -> Any:
        if isinstance(error, Exception):
            raise error
        return error()

    if "fail" not in app.view_functions:
        app.add_url_rule("/fail", "fail", methods=["GET", "POST"])
    app.view_functions["fail"] = fail
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().open("/fail", method=method, headers=sent)


def document(response: TestResponse) -> dict[str, Any]:
    """The problem in an answer, whose status it repeats."""
    assert response.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = response.get_json(force=True)
    assert found["status"] == response.status_code
    return found
