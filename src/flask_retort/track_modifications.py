"""Signals that say which models a transaction has changed.

:data:`models_committed` and :data:`before_models_committed` are sent with the application as
sender and ``changes``, a list of ``(object, "insert" | "update" | "delete")`` in the order of each
object's first change. For the ORM statements ``insert()``, ``update()`` and ``delete()``, which do
not say what objects they touch, the model class stands in place of the object. Nothing is sent when
nothing has changed. Statements on tables instead of models, and the legacy bulk methods of the
session, are not seen.

Several changes of one object in one transaction are reported as their sum: an inserted object stays
an insert when it is updated, and is left out when it is deleted again; a deleted one that is added
again is an update.
"""

from __future__ import annotations

import weakref
from typing import Any, cast

from blinker import Namespace
from flask import Flask, has_app_context
from flask.globals import app_ctx
from sqlalchemy import event
from sqlalchemy.orm import (
    ORMExecuteState,
    Session,
    SessionTransaction,
    UOWTransaction,
    scoped_session,
    sessionmaker,
)

_signals = Namespace()

models_committed = _signals.signal("models-committed")
"""Sent after the real commit, not at the release of a savepoint. Attributes can be read; the
session can execute nothing. What a receiver raises comes out of ``commit()``, with the data
committed and the session ready for the next transaction."""

before_models_committed = _signals.signal("before-models-committed")
"""Sent before the commit, and before the flush of what is still pending. What a receiver changes is
part of the commit; what it raises stops it, and the transaction can be rolled back."""

Change = tuple[Any, str]
Changes = dict[object, Change]
Sessions = type[Session] | sessionmaker[Any] | scoped_session[Any]


def listen(sessions: Sessions) -> None:
    """Send the signals for these sessions, wherever the current application asks for it.

    Costs each ORM statement of the sessions an extra event, and keeps every changed object alive
    until its transaction ends. Calling it again changes nothing.

    :param sessions: a session class, a ``sessionmaker`` or a ``scoped_session``.
    """
    if isinstance(sessions, scoped_session):
        sessions = sessions.session_factory
    # A sessionmaker makes sessions of a class of its own.
    session_class = sessions.class_ if isinstance(sessions, sessionmaker) else sessions
    if session_class in _listening:
        return
    _listening.add(session_class)
    for name, listener in _LISTENERS.items():
        event.listen(session_class, name, listener)


def _record_flush(session: Session, flush_context: UOWTransaction) -> None:
    if _tracking_app() is not None:
        _add_pending(_changes_of(session), session)


def _record_statement(state: ORMExecuteState) -> Any:
    operation = _operation(state)
    if operation is None or state.bind_mapper is None or _tracking_app() is None:
        return None
    result = state.invoke_statement()
    model = state.bind_mapper.class_
    _changes_of(state.session).setdefault((model, operation), (model, operation))
    return result


def _send_before_commit(session: Session) -> None:
    app = _tracking_app()
    if app is None or session.in_nested_transaction():
        return
    changes = dict(_changes_of(session))
    _add_pending(changes, session)
    if changes:
        before_models_committed.send(app, changes=list(changes.values()))


def _send_after_commit(session: Session) -> None:
    transaction = session.get_nested_transaction()
    if transaction is not None:
        _at_savepoint.pop(transaction, None)
        return
    app = _tracking_app()
    changes = list(_changes_of(session).values())
    transaction = session.get_transaction()
    if app is None or not changes or transaction is None:
        return
    try:
        models_committed.send(app, changes=changes)
    except BaseException as error:  # noqa: BLE001 - raised again when the transaction has ended
        # Raised here, it would leave the session in a transaction that is neither open nor ended.
        _raised_by_receiver[transaction] = error


def _enter_savepoint(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        _at_savepoint[transaction] = dict(_changes_of(session))


def _leave_transaction(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        before = _at_savepoint.pop(transaction, None)
        if before is not None:  # not released, so rolled back
            session.__dict__["_model_changes"] = before
    elif transaction.parent is None:
        session.__dict__["_model_changes"] = {}
        error = _raised_by_receiver.pop(transaction, None)
        if error is not None:
            raise error


_LISTENERS: dict[str, Any] = {
    "after_flush": _record_flush,
    "do_orm_execute": _record_statement,
    "before_commit": _send_before_commit,
    "after_commit": _send_after_commit,
    "after_transaction_create": _enter_savepoint,
    "after_transaction_end": _leave_transaction,
}
# Not by event.contains(), which takes a new class for one that was collected at the same address.
_listening: weakref.WeakSet[type[Session]] = weakref.WeakSet()
_at_savepoint: weakref.WeakKeyDictionary[SessionTransaction, Changes] = weakref.WeakKeyDictionary()
_raised_by_receiver: weakref.WeakKeyDictionary[SessionTransaction, BaseException] = (
    weakref.WeakKeyDictionary()
)
_SUM = {
    ("insert", "update"): "insert",
    ("insert", "delete"): None,
    ("update", "update"): "update",
    ("update", "delete"): "delete",
    ("delete", "insert"): "update",
}


def _tracking_app() -> Flask | None:
    if not has_app_context():
        return None
    config = cast("dict[str, Any]", app_ctx.app.config)
    return app_ctx.app if config.get("SQLALCHEMY_TRACK_MODIFICATIONS") else None


def _changes_of(session: Session) -> Changes:
    # Our own session class has the attribute, a plain one gets it at its first change.
    changes: Changes = session.__dict__.setdefault("_model_changes", {})
    return changes


def _add_pending(changes: Changes, session: Session) -> None:
    for changed in session.new:
        _add(changes, changed, "insert")
    for changed in session.dirty:
        if session.is_modified(changed):
            _add(changes, changed, "update")
    for changed in session.deleted:
        _add(changes, changed, "delete")


def _add(changes: Changes, changed: object, operation: str) -> None:
    # By id, since models may define __eq__; the entry keeps the object, and so its id, alive.
    earlier = changes.get(id(changed))
    total = operation if earlier is None else _SUM.get((earlier[1], operation), operation)
    if total is None:
        del changes[id(changed)]
    else:
        changes[id(changed)] = (changed, total)


def _operation(state: ORMExecuteState) -> str | None:
    if state.is_update:
        return "update"
    if state.is_delete:
        return "delete"
    return "insert" if state.is_insert else None
