"""One transaction a request, with ``RETORT_REQUEST_TRANSACTION``: committed before it is answered.

Only a success is committed, and only when all ``after_request`` functions have run; an exception,
or a status from 400 on, rolls back. GET, HEAD and OPTIONS get a session that only reads.
"""

from __future__ import annotations

import contextvars
import functools
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask, Request, current_app, request
from flask.ctx import AppContext
from flask.globals import app_ctx
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response
from werkzeug.wsgi import ClosingIterator

from .errors import BrokenSession
from .guards.places import is_answer
from .transactions import reading
from .transactions.blocks import set_boundary

if TYPE_CHECKING:
    from .extension import SQLAlchemy
    from .session import Session

View = TypeVar("View", bound=Callable[..., Any])

READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_EXEMPT = "_retort_commits_itself"
_END = object()


def exempt(view: View) -> View:
    """Leave requests to this view as they are without the option: the view commits for itself.

    The decorator stands below ``@app.route``, or above a method of a class-based view or the whole
    class. Decorators between them have to use ``functools.wraps``.
    """
    setattr(view, _EXEMPT, True)
    return view


def init_app(db: SQLAlchemy[Any], app: Flask) -> None:
    """Give every request of the application its transaction.

    Stands round three methods of the application: no hook that Flask offers runs after the last
    ``after_request`` function and may still change the answer, or after the last teardown.
    """
    methods: Any = app  # Flask 3.2 passes the context to each of them first, 3.1 does not
    dispatch, handle = methods.full_dispatch_request, methods.handle_user_exception
    teardown = methods.do_teardown_request

    @functools.wraps(dispatch)
    def full_dispatch_request(*context: Any) -> Any:
        if _is_exempt():
            return dispatch(*context)
        if request.method in READING_METHODS:
            with _reading(db):
                return _keep_for_body(db, dispatch(*context))
        with _writing(db):
            response = dispatch(*context)
            try:
                _end(db, response)
            except Exception as error:  # noqa: BLE001 - answered as one of the view
                answer = methods.handle_user_exception(*context, error)
                response = methods.finalize_request(*context, answer)
                _end(db, response)
            return _keep_for_body(db, response)

    @functools.wraps(handle)
    def handle_user_exception(*context_and_error: Any) -> Any:
        if not _is_exempt() and not is_answer(context_and_error[-1]):
            _roll_back(db)  # now, so that what an error handler writes is not part of it
        return handle(*context_and_error)

    @functools.wraps(teardown)
    def do_teardown_request(*context_and_error: Any) -> None:
        try:
            teardown(*context_and_error)
        finally:
            _close_read(db)

    methods.do_teardown_request = do_teardown_request
    methods.full_dispatch_request = full_dispatch_request
    methods.handle_user_exception = handle_user_exception


class _Sessions:
    """Makes the sessions of a registry: while a request is under way, those that it needs.

    :param db: the extension.
    :param make: makes any other session.
    """

    def __init__(self, db: SQLAlchemy[Any], make: Callable[[], Session]) -> None:
        self.db = db
        self.make = make
        self.reading: weakref.WeakSet[AppContext] = weakref.WeakSet()
        self.writing: weakref.WeakSet[AppContext] = weakref.WeakSet()
        self.read: weakref.WeakKeyDictionary[Request, Session] = weakref.WeakKeyDictionary()

    def __call__(self) -> Session:
        context = _context()
        if context in self.reading:
            return reading.make_session(self.db, None)
        session = self.make()
        if context in self.writing:
            set_boundary(session, True)
        return session


def _sessions(db: SQLAlchemy[Any]) -> _Sessions:
    registry: Any = db.session.registry
    if not isinstance(registry.createfunc, _Sessions):
        registry.createfunc = _Sessions(db, registry.createfunc)
    return registry.createfunc


@contextmanager
def _under_way(contexts: weakref.WeakSet[AppContext]) -> Generator[None]:
    context = _context()
    contexts.add(context)
    try:
        yield
    finally:
        contexts.discard(context)


@contextmanager
def _writing(db: SQLAlchemy[Any]) -> Generator[None]:
    """What ``db.transaction()`` begins inside is a savepoint; an exception rolls back."""
    before = _session(db)
    if before is not None:
        set_boundary(before, True)
    try:
        with _under_way(_sessions(db).writing):
            yield
    except BaseException:
        _roll_back(db)
        raise
    finally:
        session = _session(db)
        if session is not None:
            set_boundary(session, False)


@contextmanager
def _reading(db: SQLAlchemy[Any]) -> Generator[None]:
    """Inside, ``db.session`` is a session that only reads; :func:`_close_read` closes it.

    A session from before, as of a test that holds the context open, is put back.
    """
    before, sessions = _session(db), _sessions(db)
    db.session.registry.clear()
    try:
        with _under_way(sessions.reading):
            yield
    finally:
        session = _session(db)
        if session is not None:
            sessions.read[request._get_current_object()] = session  # type: ignore[attr-defined]
        db.session.registry.clear()
        if before is not None:
            db.session.registry.set(before)


def _close_read(db: SQLAlchemy[Any]) -> None:
    """Close the session that only reads, whose objects ``teardown_request`` functions may use."""
    session = _sessions(db).read.pop(request._get_current_object(), None)  # type: ignore[attr-defined]
    if session is not None:
        try:
            with _current(db, session):
                db.guards.context_ends(session, None)
        finally:
            session.close()


@contextmanager
def _current(db: SQLAlchemy[Any], session: Session) -> Generator[None]:
    """Inside, ``db.session`` is this session; afterwards what it was before, if anything."""
    before = _session(db)
    db.session.registry.set(session)
    try:
        yield
    finally:
        if before is not None:
            db.session.registry.set(before)
        elif _session(db) is session:
            db.session.registry.clear()


def _end(db: SQLAlchemy[Any], response: Response) -> None:
    session = _session(db)
    if response.status_code >= 400:
        _roll_back(db)
    elif session is not None:
        if session.lost is not None and session.lost.wrote:
            raise BrokenSession(_NOT_WHOLE) from session.lost.error
        # What runs on the commit is no part of the request's transaction.
        set_boundary(session, False)
        try:
            session.commit()
        except BaseException:
            set_boundary(session, True)
            raise


def _roll_back(db: SQLAlchemy[Any]) -> None:
    session = _session(db)
    if session is None:
        return
    try:
        session.rollback()
    except SQLAlchemyError:
        # The connection is lost, and with it all that was to be rolled back. What led here must
        # not be hidden by that.
        current_app.logger.warning("A request could not be rolled back.", exc_info=True)
        session.invalidate()


def _keep_for_body(db: SQLAlchemy[Any], response: Response) -> Response:
    """Let the session live until the body is sent, if it is a generator: that runs later."""
    if _is_made_later(response):
        session = db.session()
        set_boundary(session, False)
        # The context, and with it its session, ends before the first item is made.
        db.session.registry.clear()
        response.response = _in_this_context(_body(db, session, response.response))
        response.call_on_close(session.close)
    return response


def _is_made_later(response: Response) -> bool:
    if response.direct_passthrough:  # a file
        return False
    # The last is what Flask makes of an HTTPException: the body of an application that has run.
    return response.is_streamed and not isinstance(response.response, ClosingIterator)


def _body(db: SQLAlchemy[Any], session: Session, items: Iterable[Any]) -> Generator[Any]:
    try:
        with _current(db, session):
            yield from items
            db.guards.context_ends(session, None)
    finally:
        session.close()


def _in_this_context(items: Generator[Any]) -> Iterator[Any]:
    """The items, each made in a copy of the present context, where ``request`` and ``db`` work.

    Other than with ``stream_with_context`` the context is not pushed again: it would be torn down
    twice, and stay pushed for whoever does not read to the end.
    """
    context = contextvars.copy_context()

    def made() -> Iterator[Any]:
        try:
            yield from iter(lambda: context.run(next, items, _END), _END)
        finally:
            context.run(items.close)

    return made()


def _session(db: SQLAlchemy[Any]) -> Session | None:
    """The session, if there is one: making it only to end it would be a waste."""
    return db.session() if db.session.registry.has() else None


def _context() -> AppContext:
    proxy: Any = app_ctx
    context: AppContext = proxy._get_current_object()
    return context


def _is_exempt() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    of_class = getattr(view, "view_class", None)
    name = request.method.lower()
    method = getattr(of_class, name, None) or (name == "head" and getattr(of_class, "get", None))
    return any(getattr(part, _EXEMPT, False) for part in (view, of_class, method))


_NOT_WHOLE = (
    "A statement of this request failed, its error was caught, and what the request had written"
    " before was rolled back with it; so the rest is not committed either. Put the part that may"
    " fail into a savepoint, and catch its error outside of that: try: with db.transaction(): ..."
    " except UniqueViolation: ..."
)
