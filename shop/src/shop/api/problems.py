"""Errors as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from flask import Flask, json
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response


def init_app(app: Flask) -> None:
    """Answer every HTTP error as a problem; Flask makes any other exception a 500 and logs it."""
    app.register_error_handler(HTTPException, problem)


def problem(error: HTTPException) -> Response:
    """The error's own status, headers and description; nothing of the exception behind it."""
    response = error.get_response()
    response.data = json.dumps(
        {
            "type": "about:blank",
            "title": error.name,
            "status": error.code,
            "detail": error.description,
        }
    )
    response.content_type = "application/problem+json"
    return response
