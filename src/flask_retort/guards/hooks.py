"""What guards listen to: SQLAlchemy's session events, one listener for all guards of an event."""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from flask import Flask, Response
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session, SessionTransaction

from flask_retort._sa_compat import is_plain_read
from flask_retort.context_sessions import current_session
from flask_retort.errors import GuardError, RetortWarning

from . import places
from .execution import Execution
from .reporting import Report, Reports, Text, as_in, entered
from .row_locks import locks_inside

Listener = Callable[..., Any]

_GUARDS = "_retort_guards"


class Guard:
    """Looks for one kind of mistake in one application.

    Subclasses set :attr:`code` and :attr:`text`, and override what they need of the rest. A guard
    whose mode is "off" is not made.

    :param reports: takes what is found.
    """

    code: ClassVar[str]
    text: ClassVar[Text]

    def __init__(self, reports: Reports) -> None:
        self.reports = reports

    def listeners(self) -> Mapping[str, Listener]:
        """Methods by the name of the session event that they listen to, such as "before_commit".

        They get SQLAlchemy's arguments, the first of which is a session that was first used in a
        context of the application; the thread that calls need not have that context.

        Of "after_transaction_create" they get savepoints only. Four events are this package's own.
        "uses": a statement is about to be executed; the method gets the session. "executes": so is
        one that is no plain read of models; it gets the :class:`.Execution`, and may return a
        result, which then stands for executing it. A read with a sub-select that locks rows is not
        plain. "request_begins": a request is about to be answered in a context that has a session
        already, as a test's can; the method gets the session. "request_ends": it was answered, and
        the context has a session, or the answer is still being made; the method gets both.
        """
        return {}

    def attach(self, app: Flask, engines: Mapping[str | None, Engine]) -> None:
        """Once, when the application is set up: for what has no session event."""

    def context_ends(self, session: Session, error: BaseException | None) -> None:
        """The context is over, and its session about to be closed, with all it holds.

        :param error: the exception that is under way, if there is one.
        """

    def find(self, subject: str, **names: object) -> None:
        """Report a mistake.

        :param subject: see :meth:`.Reports.report`, as for the names.
        """
        self.reports.report(self.code, self.text, subject, **names)  # type: ignore[arg-type]


class Guards:
    """The guards of one application that are on, by the event they listen to."""

    def __init__(self, reports: Reports, guards: Iterable[Guard]) -> None:
        self.reports = reports
        self.guards = {guard.code: guard for guard in guards}
        self._at_end = [
            guard
            for guard in self.guards.values()
            if type(guard).context_ends is not Guard.context_ends
        ]
        self.by_event: dict[str, list[Listener]] = {}
        for guard in self.guards.values():
            for name, listener in guard.listeners().items():
                listeners = self.by_event.setdefault(name, [])
                if listener not in listeners:  # what two guards share is called once
                    listeners.append(listener)

    def report(self) -> Report:
        """What was found since the process began, and the allowances that have matched nothing."""
        return self.reports.report_so_far()

    def context_ends(self, session: Session, error: BaseException | None) -> None:
        """Tell all of them, in the context that ends.

        An exception that is under way, the context's own or one of its teardown's, is handed on:
        a guard that raises would hide it.

        :raises GuardError: one has found something; the others have been told nevertheless.
        """
        error = error or sys.exc_info()[1]
        allowances = entered()
        if allowances:
            with as_in(allowances):
                self._tell_end(session, error)
        else:
            self._tell_end(session, error)

    def _tell_end(self, session: Session, error: BaseException | None) -> None:
        raised: Exception | None = None
        for guard in self._at_end:
            try:
                guard.context_ends(session, error or raised)
            except (GuardError, RetortWarning) as found:
                raised = found
        if raised is not None:
            raise raised


def listen(session_class: type[Session], app: Flask, guards: Guards) -> None:
    """Call the guards' listeners for sessions of the class, in contexts of the application.

    An event that no guard of any application listens to has no listener.
    """
    _guards_of[app] = guards
    heard = _heard.setdefault(session_class, set())
    for name in guards.by_event.keys() - heard:
        heard.add(name)
        if name in _OF_STATEMENTS:
            session_class.watch = staticmethod(_watch)  # type: ignore[attr-defined]
        elif name not in _OF_REQUESTS:
            event.listen(session_class, name, _dispatcher(name))
    if not guards.by_event.keys().isdisjoint(_OF_REQUESTS):
        _watch_requests(app, *(guards.by_event.get(name, ()) for name in _OF_REQUESTS))


_OF_STATEMENTS = ("uses", "executes")
_OF_REQUESTS = ("request_begins", "request_ends")


def _watch_requests(app: Flask, begin: Iterable[Listener], end: Iterable[Listener]) -> None:
    """Around Flask's own method: a signal would cost each request some microseconds."""
    db, dispatch = app.extensions["sqlalchemy"], app.full_dispatch_request

    @functools.wraps(dispatch)
    def full_dispatch_request(*args: Any) -> Response:
        session = current_session(db.session)
        if session is not None:
            for listener in begin:
                listener(session)
        response = dispatch(*args)
        session = current_session(db.session)
        if session is not None or not response.is_sequence:
            for listener in end:
                listener(session, response)
        return response

    app.full_dispatch_request = full_dispatch_request  # type: ignore[method-assign]


def _watch(session: Session, statement: Any, params: Any, kwargs: Mapping[str, Any]) -> Any:
    """Tell the guards of a statement; what they give in place of executing it."""
    guards = getattr(session, _GUARDS, None) or _introduce(session)
    if guards is None:
        return None
    for listener in guards.by_event.get("uses", ()):
        listener(session)
    if is_plain_read(statement, kwargs.get("execution_options")) and not locks_inside(statement):
        return None
    execution, answer = Execution(session, statement, params, kwargs), None
    for listener in guards.by_event.get("executes", ()):
        answer = listener(execution) or answer
    return answer


def _dispatcher(name: str) -> Listener:
    def dispatch(session: Session, *args: Any) -> None:
        guards = getattr(session, _GUARDS, None) or _introduce(session)
        if guards is not None:
            for listener in guards.by_event.get(name, ()):
                listener(session, *args)

    def dispatch_savepoint(session: Session, transaction: SessionTransaction) -> None:
        if transaction.nested:
            dispatch(session, transaction)

    return dispatch_savepoint if name == "after_transaction_create" else dispatch


def _introduce(session: Session) -> Guards | None:
    """The guards of the current application, which the session keeps.

    It may be used later by a thread without a context.
    """
    context = places.context()
    guards = None if context is None else _guards_of.get(context.app)
    if guards is not None:
        setattr(session, _GUARDS, guards)
    return guards


_guards_of: weakref.WeakKeyDictionary[Flask, Guards] = weakref.WeakKeyDictionary()
_heard: weakref.WeakKeyDictionary[type[Session], set[str]] = weakref.WeakKeyDictionary()
