"""The statements of the current application context, recorded for debugging."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, g, has_app_context, has_request_context, request
from flask.globals import app_ctx
from sqlalchemy import Engine

from .engines import attach_to_all
from .events import Listener, StatementExecuted, observe

_UNKNOWN = "<unknown>"


def get_recorded_queries() -> list[_QueryInfo]:
    """The statements executed so far in the current application context, oldest first.

    The list lives in ``flask.g`` and ends with the context; it grows by one entry a statement, with
    its parameters. It is empty outside a context, or when ``SQLALCHEMY_RECORD_QUERIES`` is off.
    """
    if not has_app_context():
        return []
    queries: list[_QueryInfo] = g.get("_sqlalchemy_queries", [])
    return queries


def record(app: Flask, engines: Mapping[str | None, Engine]) -> None:
    """Record the statements of the engines whenever a context of this application is current.

    :param engines: the application's engines by bind key.
    """
    # Weakly: an engine's listeners must not keep alive the application that owns the engine.
    listener = _recorder(weakref.ref(app), app.import_name)
    for bind_key, engine in engines.items():
        attach_to_all(engine, functools.partial(observe, listener=listener, bind_key=bind_key))


@dataclass(slots=True)
class _QueryInfo:
    """One recorded statement.

    :param statement: the SQL text with placeholders.
    :param parameters: a list with the set, or sets, of parameters.
    :param start_time: seconds by ``time.perf_counter``.
    :param end_time: seconds by ``time.perf_counter``.
    :param location: ``file:line (function)`` of the innermost call from the application's import
        package; ``<unknown>`` if none of its code is on the stack.
    :param rows: rows changed or found, None where the driver does not know.
    :param endpoint: the endpoint of the request, None outside one.
    :param bind_key: which database; None is the default one.
    """

    statement: str
    parameters: Any
    start_time: float
    end_time: float
    location: str
    rows: int | None
    endpoint: str | None
    bind_key: str | None

    @property
    def duration(self) -> float:
        """Seconds spent in the driver."""
        return self.end_time - self.start_time


def _recorder(app_ref: weakref.ref[Flask], import_name: str) -> Listener:
    package = import_name.partition(".")[0]

    def record_query(event: StatementExecuted, /) -> None:
        if not has_app_context():
            return
        context = _current_context()
        if context.app is not app_ref():
            return
        info = _QueryInfo(
            event.statement,
            event.parameters if event.executemany else [event.parameters],
            event.start_time,
            event.end_time,
            _location(package),
            event.rows,
            request.endpoint if has_request_context() else None,
            event.bind_key,
        )
        context.g.setdefault("_sqlalchemy_queries", []).append(info)

    return record_query


def _current_context() -> Any:
    return app_ctx._get_current_object()  # type: ignore[attr-defined]


def _location(package: str) -> str:
    """Where the application called the database: a walk over the frames, without source lines."""
    inside = package + "."
    frame = inspect.currentframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name == package or name.startswith(inside):
            code = frame.f_code
            return f"{code.co_filename}:{frame.f_lineno} ({code.co_name})"
        frame = frame.f_back
    return _UNKNOWN
