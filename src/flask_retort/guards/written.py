"""What the open transaction of a session has written or is about to, by the names of models."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session, UOWTransaction

from flask_retort.transactions import writes

from .execution import Execution

_NAMES = "retort_written"


def names(session: Session) -> Counter[str]:
    """How many objects of each model were written and are not rolled back, or are waiting to be.

    Empty only if there are none. A statement counts as one of its model, or of its table.
    """
    found = _names(_changed(session))
    if writes.surely_has_written(session):
        found += _noted(session)
        found = found or Counter({"rows": 1})
    return found


def is_likely(session: Session) -> bool:
    """Whether there may be any names; costs little, and True where a change has no effect."""
    return (
        session.identity_map.check_modified()
        or writes.surely_has_written(session)
        or bool(session.new)
        or bool(session.deleted)
    )


def only_modified(session: Session) -> bool:
    """Whether all there is are changes of loaded objects that no flush has seen."""
    return not (session.new or session.deleted or writes.surely_has_written(session))


def in_words(written: Mapping[str, int]) -> str:
    """Such as "2 x Post, User"."""
    return ", ".join(name if n == 1 else f"{n} x {name}" for name, n in sorted(written.items()))


def _flushed(session: Session, flush_context: UOWTransaction) -> None:
    _noted(session).update(_names(_changed(session)))


def _executed(state: Execution) -> None:
    statement = state.statement
    if isinstance(statement, sa.UpdateBase):
        mapper = state.bind_mapper
        table = getattr(statement.table, "name", "rows")
        _noted(state.session)[mapper.class_.__name__ if mapper else table] += 1


LISTENERS: dict[str, Any] = {"after_flush": _flushed, "executes": _executed}
"""What has to be listened to for the names."""


def _changed(session: Session) -> Iterable[object]:
    yield from session.new
    yield from session.deleted
    yield from (changed for changed in session.dirty if session.is_modified(changed))


def _names(objects: Iterable[object]) -> Counter[str]:
    return Counter(type(changed).__name__ for changed in objects)


def _noted(session: Session) -> Counter[str]:
    """The names noted in the open transaction; those of an earlier one are forgotten."""
    root = session.get_transaction()
    reference, names = session.info.get(_NAMES, (None, Counter[str]()))
    if reference is not None and reference() is not root:
        names = Counter[str]()
    # Weakly, as it leads back to the session. What is noted before it has begun belongs to it.
    session.info[_NAMES] = (root and weakref.ref(root), names)
    return cast("Counter[str]", names)
