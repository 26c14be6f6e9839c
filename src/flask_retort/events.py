"""What happens on an engine, as plain data given to whoever listens."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, ExceptionContext, event


@dataclass(frozen=True, slots=True)
class StatementExecuted:
    """One statement that the database has executed without error.

    :param bind_key: which of the application's databases; None is the default one.
    :param statement: the SQL text as the driver got it, with placeholders.
    :param parameters: what the driver got: one set of parameters, or a list of sets when
        ``executemany`` is true.
    :param start_time: seconds by ``time.perf_counter``, just before the driver was called.
    :param end_time: seconds by ``time.perf_counter``, when the driver returned. Rows may still have
        to be fetched.
    :param rows: the driver's row count (PEP 249): rows changed, or found where the driver knows it;
        None where it does not.
    """

    bind_key: str | None
    statement: str
    parameters: Any
    executemany: bool
    start_time: float
    end_time: float
    rows: int | None

    @property
    def duration(self) -> float:
        """Seconds spent in the driver."""
        return self.end_time - self.start_time


class Listener(Protocol):
    """Called after each statement, in the thread that executed it, before its rows are read."""

    def __call__(self, event: StatementExecuted, /) -> None:
        """Take note of the statement."""


def observe(engine: Engine, listener: Listener, *, bind_key: str | None = None) -> None:
    """Call the listener after every statement of the engine, as long as the engine lives.

    An engine has one clock however many listeners it has, and none while it has none. A statement
    that fails is not reported. What a listener raises reaches the code that executed the statement.

    :param bind_key: the engine's key, given to the listeners. The first call for an engine sets it.
    """
    clock = _clocks.get(engine)
    if clock is None:
        clock = _clocks[engine] = _Clock(bind_key)
        event.listen(engine, "before_cursor_execute", clock.start)
        event.listen(engine, "after_cursor_execute", clock.stop)
        event.listen(engine, "handle_error", clock.forget)
    clock.listeners.append(listener)


class _Clock:
    def __init__(self, bind_key: str | None) -> None:
        self.bind_key = bind_key
        self.listeners: list[Listener] = []
        self.started: dict[int, float] = {}
        """Start times by the id of the execution context, or of the connection where SQLAlchemy
        gives None: both live until the statement has ended."""

    def start(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        self.started[id(context or connection)] = perf_counter()

    def stop(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        end = perf_counter()
        start = self.started.pop(id(context or connection), end)
        rows = cursor.rowcount
        executed = StatementExecuted(
            self.bind_key,
            statement,
            parameters,
            executemany,
            start,
            end,
            rows if rows >= 0 else None,
        )
        for listener in self.listeners:
            listener(executed)

    def forget(self, failure: ExceptionContext) -> None:
        self.started.pop(id(failure.execution_context or failure.connection), None)


_clocks: weakref.WeakKeyDictionary[Engine, _Clock] = weakref.WeakKeyDictionary()
