"""Sessions by application context: made at the first use, given up when the context has ended."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask
from flask.globals import app_ctx
from sqlalchemy import orm
from sqlalchemy.util import ScopedRegistry

from .errors import NoAppContext

S = TypeVar("S", bound=orm.Session)


def make_scoped_session(
    factory: orm.sessionmaker[S], scopefunc: Callable[[], Any] | None
) -> orm.scoped_session[S]:
    """A registry of sessions, one for each application context unless a scope function is given.

    Contexts are held weakly and by identity, so that no session can outlive its context or be
    handed to another one.
    """
    if scopefunc is not None:
        return orm.scoped_session(factory, scopefunc)
    scoped = orm.scoped_session(factory, _current_context)
    scoped.registry = ContextRegistry(factory)
    return scoped


class ContextRegistry(ScopedRegistry[S]):
    """Sessions by application context."""

    def __init__(self, factory: Callable[[], S]) -> None:
        super().__init__(factory, _current_context)
        self.registry = weakref.WeakKeyDictionary()


def current_session(scoped: orm.scoped_session[S]) -> S | None:
    """The session of the current scope, which is not made; None where there is no such registry."""
    registry: Any = getattr(scoped, "registry", None)
    session: Any = None
    if isinstance(registry, ContextRegistry):
        sessions: Any = registry.registry
        if sessions:  # costs less than to look the context up, for requests without a database
            session = sessions.get(_current_context())
    elif isinstance(registry, ScopedRegistry) and registry.has():
        session = cast(Any, registry)()
    return cast("S | None", session)


def _current_context() -> Any:
    try:
        return app_ctx._get_current_object()  # type: ignore[attr-defined]
    except RuntimeError:
        raise NoAppContext() from None


def call_after_teardown(app: Flask, function: Callable[[BaseException | None], None]) -> None:
    """Call the function when all teardown handlers of a context have run, or one has raised.

    ``app.teardown_appcontext`` would not do: a handler that raises keeps the others from running.
    """
    teardown = app.do_teardown_appcontext

    @functools.wraps(teardown)
    def do_teardown_appcontext(*args: Any, **kwargs: Any) -> None:
        try:
            teardown(*args, **kwargs)
        finally:
            error = args[-1] if args else None  # Flask 3.2 passes the context before it
            function(error if isinstance(error, BaseException) else None)

    app.do_teardown_appcontext = do_teardown_appcontext  # type: ignore[method-assign]
