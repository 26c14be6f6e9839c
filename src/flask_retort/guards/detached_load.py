"""``detached-load``: an attribute read when the session that could load it has ended."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from flask import Flask, has_app_context
from flask.globals import app_ctx
from sqlalchemy import Engine, event
from sqlalchemy.orm import InstanceState, Mapper, RelationshipProperty
from sqlalchemy.orm.exc import DetachedInstanceError

from flask_retort._sa_compat import watch_loads
from flask_retort.errors import DetachedLoad, GuardError

from .hooks import Guard
from .reporting import Text


class DetachedLoadGuard(Guard):
    """Answers a load that is too late with the loader option to add to the query.

    Costs nothing where objects are loaded or detached: it looks at SQLAlchemy's own error.
    """

    code: ClassVar[str] = "detached-load"
    text: ClassVar[Text] = Text(
        what="{subject} was read at {where}, but {state}, and the session of the object has ended.",
        why="Without a session nothing can be loaded: SQLAlchemy raises a DetachedInstanceError.",
        write="{write}",
    )

    base: type[Any]
    """Of the application's models."""

    def attach(self, app: Flask, engines: Mapping[str | None, Engine]) -> None:
        """Watch the models of the application, those too that are defined later."""
        _guards[app] = self
        base = self.base = app.extensions["sqlalchemy"].Model
        if base not in _watched_bases:
            _watched_bases.add(base)
            event.listen(base, "mapper_configured", _watch, propagate=True)
            _watch_all(base.registry.mappers)

    def report(self, state: InstanceState[Any], key: str) -> None:
        """Report a load that SQLAlchemy has refused.

        :raises DetachedLoad: the mode is "raise".
        """
        subject = f"{state.class_.__name__}.{key}"
        names = _words(state, key)
        try:
            self.find(subject, **names)
        except GuardError as found:
            raise DetachedLoad(found.message) from None


def _words(state: InstanceState[Any], key: str) -> dict[str, str]:
    model = state.class_.__name__
    attribute = f"{model}.{key}"
    if key in state.expired_attributes or state.expired:
        return {
            "state": "it had expired, as all does at a commit or rollback, and what the database"
            " computes at a flush",
            "write": "Read it between the commit and the end of the context, keep its value from"
            " before, or let objects keep theirs:"
            " SQLAlchemy(session_options={'expire_on_commit': False}).",
        }
    prop = state.mapper.attrs[key]
    option = f"undefer({attribute})"
    if isinstance(prop, RelationshipProperty):
        option = f"{'selectinload' if prop.uselist else 'joinedload'}({attribute})"
    return {
        "state": "it had not been loaded",
        "write": f"Load it with its object, select({model}).options({option}), or read it before"
        " the context ends.",
    }


def _watch_all(mappers: Iterable[Mapper[Any]]) -> None:
    for mapper in mappers:
        if mapper.configured:
            _watch(mapper, mapper.class_)


def _watch(mapper: Mapper[Any], class_: type[Any]) -> None:
    for prop in mapper.attrs:
        watch_loads(getattr(class_, prop.key), _refused)


def _refused(state: InstanceState[Any], key: str, error: DetachedInstanceError) -> None:
    guard = _guard_of(state.class_)
    if guard is not None and not isinstance(error, DetachedLoad):
        guard.report(state, key)


def _guard_of(model: type[Any]) -> DetachedLoadGuard | None:
    """The current application's if that has the model; else that of the newest that has."""
    if has_app_context():
        db = app_ctx.app.extensions.get("sqlalchemy")
        if db is not None and issubclass(model, db.Model):
            return _guards.get(app_ctx.app)
    guards = [guard for guard in _guards.values() if issubclass(model, guard.base)]
    return next(reversed(guards), None)


_guards: weakref.WeakKeyDictionary[Flask, DetachedLoadGuard] = weakref.WeakKeyDictionary()
_watched_bases: weakref.WeakSet[type[Any]] = weakref.WeakSet()
