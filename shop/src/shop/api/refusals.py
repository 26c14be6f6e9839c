"""Refusals that point at the parts of a request that are at fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from flask_retort import problems


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to put right.

    :param pointer: where it stands in the request's body, a JSON pointer.
    :param available: pieces that are left, where too many were asked for.
    """

    pointer: str
    detail: str
    available: int | None = None


class Refusal(Exception):  # noqa: N818 - names the answer
    """Becomes the answer to the request: a problem with its ``errors`` (RFC 9457)."""

    def __init__(self, error: HTTPException, faults: Sequence[Fault] = ()) -> None:
        super().__init__(error, faults)
        self.error = error
        self.faults = faults


def init_app(app: Flask) -> None:
    """Answer refusals."""
    app.register_error_handler(Refusal, _answer)


def _answer(refusal: Refusal) -> Response:
    if not refusal.faults:
        return problems.response(refusal.error)
    errors = [
        {name: value for name, value in asdict(fault).items() if value is not None}
        for fault in refusal.faults
    ]
    return problems.response(refusal.error, errors=errors)
