"""What happens on an engine, as plain data given to whoever listens."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Dialect, Engine, event


class StatementExecuted(NamedTuple):
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
        clock = _clocks[engine] = _Clock(bind_key, engine.dialect)
        if engine.dialect.server_version_info is None:
            # What SQLAlchemy asks on the very first connection is not the application's.
            event.listen(engine, "connect", clock.start)
        else:
            clock.start()
    clock.listeners.append(listener)


class _Clock:
    """Stands around the calls by which the engine's own dialect object hands statements over.

    SQLAlchemy's events before and after a cursor's execution would do the same at several times the
    cost: one listener sends every connection and statement down the path with events.
    """

    def __init__(self, bind_key: str | None, dialect: Dialect) -> None:
        self.bind_key = bind_key
        self.listeners: list[Listener] = []
        self._dialect = dialect
        self._counts_late = dialect.name == "sqlite"
        self._is_running = False

    def start(self, *_: Any) -> None:
        """Start, once: the arguments are those of a pool's connect event."""
        if self._is_running:
            return
        self._is_running = True
        dialect: Any = self._dialect
        dialect.do_execute = self._timed(dialect.do_execute, executemany=False)
        dialect.do_executemany = self._timed(dialect.do_executemany, executemany=True)
        dialect.do_execute_no_params = self._timed_without_parameters(dialect.do_execute_no_params)

    def _timed(self, execute: Callable[..., None], *, executemany: bool) -> Callable[..., None]:
        def timed(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
            start = perf_counter()
            execute(cursor, statement, parameters, context)
            self._report(cursor, statement, parameters, executemany, start, perf_counter())

        return timed

    def _timed_without_parameters(self, execute: Callable[..., None]) -> Callable[..., None]:
        def timed(cursor: Any, statement: str, context: Any = None) -> None:
            start = perf_counter()
            execute(cursor, statement, context)
            self._report(cursor, statement, (), False, start, perf_counter())

        return timed

    def _report(
        self,
        cursor: Any,
        statement: str,
        parameters: Any,
        executemany: bool,
        start: float,
        end: float,
    ) -> None:
        # sqlite3 counts the rows of RETURNING only as they are read.
        rows = -1 if self._counts_late and cursor.description else cursor.rowcount
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


_clocks: weakref.WeakKeyDictionary[Engine, _Clock] = weakref.WeakKeyDictionary()
