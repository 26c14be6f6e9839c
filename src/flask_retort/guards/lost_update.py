"""``lost-update``: a number read, computed with and written back, with nothing to protect it."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import FrameType
from typing import Any, ClassVar, Self

import sqlalchemy as sa
from flask import Flask, has_app_context
from flask.globals import app_ctx
from sqlalchemy import Engine, event
from sqlalchemy.orm import (
    InstanceState,
    Mapper,
    Session,
    UOWTransaction,
    object_session,
)

from flask_retort._sa_compat import locks_rows

from .arithmetic import is_computed_from_itself
from .execution import Execution
from .hooks import Guard, Listener
from .per_transaction import PerTransaction
from .places import Place
from .reporting import Reports, Text
from .row_locks import RowLocks, Rows, row_of, rows_changed, rows_inserted, rows_named
from .words import key_names, variable

States = weakref.WeakSet[InstanceState[Any]]
Marks = dict[InstanceState[Any], dict[str, Place | None]]
"""The place in the user's code by attribute, for each object."""


@dataclass
class _Known:
    """What is known of one transaction.

    :param locks: the rows it holds.
    :param stale: objects loaded before their rows were locked, which a later lock does not help.
    :param unlocked: objects loaded before the transaction became SQLite's only writer; None while
        it is none, or where it was from its start.
    :param is_isolated: whether the database refuses what another has overtaken; None: not asked.
    :param marks: what the next flush is about to lose; none where a savepoint begins.
    """

    locks: RowLocks = field(default_factory=RowLocks)
    stale: States = field(default_factory=States)
    unlocked: States | None = None
    is_isolated: bool | None = None
    marks: Marks = field(default_factory=Marks)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        unlocked = None if self.unlocked is None else self.unlocked.copy()
        locks = self.locks.__deepcopy__(memo)
        return type(self)(locks, self.stale.copy(), unlocked, self.is_isolated)


class LostUpdateGuard(Guard):
    """Finds ``p.stock -= 1``, and its other spellings, when it is about to be flushed.

    The line that sets the attribute decides: a number that was not computed from the attribute's
    own old value is no mistake, nor is one that a lock, a version or the isolation protects. Where
    the line can't be read, nothing is said. Costs a call for each set of a number, and for each
    statement; where an unprotected one is found, it asks the server for the isolation level.
    """

    code: ClassVar[str] = "lost-update"
    text: ClassVar[Text] = Text(
        what="{subject} was computed from its old value at {where}, without a lock.",
        why="Two requests that read the same value both write theirs, and one of the two changes is"
        " lost.",
        write="Let the database compute: {row}.{name} = {subject} + difference, or"
        " update({model}).where({condition}, {subject} >= quantity)"
        ".values({name}={subject} - quantity), and look at the rowcount. Or lock the row before its"
        " first read, in the same transaction: {row} = db.lock({model}, [{key}])[{key}]. Or give"
        " the model a version_id_col.",
    )

    def __init__(self, reports: Reports) -> None:
        super().__init__(reports)
        self._transactions = PerTransaction(_Known)
        self._has_sqlite = False

    def attach(self, app: Flask, engines: Mapping[str | None, Engine]) -> None:
        """Watch the numbers of the application's models, those too that are defined later."""
        _guards[app] = self
        self._has_sqlite = any(one.dialect.name == "sqlite" for one in engines.values())
        base = app.extensions["sqlalchemy"].Model
        if base not in _watched_bases:
            _watched_bases.add(base)
            event.listen(base, "mapper_configured", _watch, propagate=True)
            for mapper in base.registry.mappers:
                if mapper.configured:
                    _watch(mapper, mapper.class_)

    def listeners(self) -> Mapping[str, Listener]:
        """Statements, flushes, and where transactions begin and end."""
        return {
            **self._transactions.listeners(),
            "executes": self._executes,
            "before_flush": self._flushes,
            "after_flush": self._flushed,
        }

    # --- what is set --------------------------------------------------------------

    def is_set(self, state: InstanceState[Any], name: str, frame: FrameType | None) -> None:
        """Note that a number was changed, if it was computed from the old one.

        :param frame: the first one outside SQLAlchemy.
        """
        session = object_session(state.obj())
        if session is None or state.key is None or frame is None:
            return
        marks = self._transactions.of(session).marks
        if name in state.committed_state and name not in marks.get(state, ()):
            return  # overwritten before: what it is computed from is not the database's
        if not is_computed_from_itself(frame.f_code, frame.f_lasti, name):
            marks.get(state, {}).pop(name, None)
        elif not self.is_locked(session, state):
            where = self.reports.places.call_site()
            if where is None or not self.reports.places.is_test(
                where
            ):  # a test prepares its rows alone
                marks.setdefault(state, {})[name] = where

    def is_locked(self, session: Session, state: InstanceState[Any]) -> bool:
        """Whether the values of a loaded object were read under a lock that is still held."""
        known = self._transactions.get(session)
        if known is None or state in known.stale:
            return False
        return known.locks.holds(*row_of(state)) or known.locks.holds_parent(state)

    # --- what is written ----------------------------------------------------------

    def _flushes(self, session: Session, *_: object) -> None:
        known = self._transactions.of(session)
        marks, known.marks = known.marks, {}
        for state, names in marks.items():
            for name, where in names.items():
                self._check(session, state, name, where)
        changed = rows_changed(session)
        self._becomes_writer(session, known)
        known.locks.note_written(changed)

    def _check(
        self, session: Session, state: InstanceState[Any], name: str, where: Place | None
    ) -> None:
        instance = state.obj()
        if instance is None or object_session(instance) is not session:
            return
        if instance in session.deleted or not state.attrs[name].history.has_changes():
            return
        if self._is_isolated(session, state):
            return
        model = state.class_.__name__
        keys = key_names(state.mapper)
        self.find(
            f"{model}.{name}",
            where=where,
            name=name,
            model=model,
            row=variable(state.class_),
            condition=", ".join(f"{model}.{key} == ..." for key in keys),
            key=keys[0] if len(keys) == 1 else f"({', '.join(keys)})",
        )

    def _flushed(self, session: Session, flush_context: UOWTransaction) -> None:
        if session.new:
            self._transactions.of(session).locks.note_written(rows_inserted(session))

    def _executes(self, executed: Execution) -> None:
        session = executed.session
        if executed.rereads:
            self._reads_again(executed)
        rows = executed.rows
        if rows == {} and not executed.statement.is_dml:
            return
        known = self._transactions.of(session)
        if rows is None:
            known.locks.everything = True
        elif locks_rows(executed.statement):
            if not executed.rereads:
                known.stale |= self._loaded(session, rows)
            known.locks.note_read(rows)
        else:
            self._becomes_writer(session, known)
            known.locks.note_written(rows)

    def _reads_again(self, executed: Execution) -> None:
        known = self._transactions.get(executed.session)
        if known is not None and (known.stale or known.unlocked):
            rows = rows_named(executed)
            states = executed.session.identity_map.all_states()
            fresh = {state for state in states if _is_in(state, rows)}
            known.stale -= fresh
            if known.unlocked is not None:
                known.unlocked -= fresh

    def _loaded(self, session: Session, rows: Rows) -> set[InstanceState[Any]]:
        """The objects that keep, in spite of a lock, values that were read without one."""
        return {
            state
            for state in session.identity_map.all_states()
            if _is_in(state, rows) and not state.expired and not self.is_locked(session, state)
        }

    # --- what the database protects -----------------------------------------------

    def _becomes_writer(self, session: Session, known: _Known) -> None:
        """Before the first write: on SQLite, what is read from now on nobody can change."""
        if self._has_sqlite and known.unlocked is None:
            transaction = session.get_transaction()
            connections = transaction.connections if transaction is not None else ()
            if not any(map(_is_writer, connections)):
                loaded = session.identity_map.all_states()
                known.unlocked = States(one for one in loaded if not one.expired)

    def _is_isolated(self, session: Session, state: InstanceState[Any]) -> bool:
        # Not ours, which notes that somebody may write over the connection.
        connection = Session.connection(session, {"mapper": state.mapper})
        known = self._transactions.of(session)
        if connection.dialect.name == "sqlite":
            late = known.stale if known.unlocked is None else known.unlocked
            return state not in late and _is_writer(connection)
        if known.is_isolated is None:
            known.is_isolated = _refuses_lost_updates(connection)
        return known.is_isolated


_guards: weakref.WeakKeyDictionary[Flask, LostUpdateGuard] = weakref.WeakKeyDictionary()
_watched_bases: weakref.WeakSet[type[Any]] = weakref.WeakSet()
_SNAPSHOTS = "innodb_snapshot_isolation"
_NUMBERS = frozenset((int, float, Decimal))


def _watch(mapper: Mapper[Any], class_: type[Any]) -> None:
    """Listen to the numbers of a model, unless a version protects them."""
    if mapper.version_id_col is not None:
        return
    for prop in mapper.column_attrs:
        column = prop.columns[0]
        is_key = column.primary_key or column.foreign_keys
        if isinstance(column, sa.Column) and not is_key and _is_number(column.type):
            event.listen(getattr(class_, prop.key), "set", on_set, raw=True, retval=True)


def _is_number(type_: Any) -> bool:
    return isinstance(getattr(type_, "impl_instance", type_), (sa.Integer, sa.Numeric, sa.Float))


def on_set(state: InstanceState[Any], value: Any, old: Any, initiator: Any) -> Any:
    """A model's number is set: the fast way out for whatever is no change of a loaded one."""
    if type(value) in _NUMBERS and type(old) in _NUMBERS and value != old and has_app_context():
        guard = _guards.get(app_ctx.app)
        if guard is not None:
            guard.is_set(state, initiator.key, _frame_of_user())
    return value


def _frame_of_user() -> FrameType | None:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("sqlalchemy."):
        frame = frame.f_back
    return frame


def _is_in(state: InstanceState[Any], rows: Rows) -> bool:
    table, key = row_of(state)
    keys = rows.get(table, set())
    return keys is None or key in keys


def _is_writer(connection: sa.Connection) -> bool:
    return bool(getattr(connection.connection.driver_connection, "in_transaction", False))


def _refuses_lost_updates(connection: sa.Connection) -> bool:
    """Whether the transaction fails where it would overwrite what it has not seen."""
    level = connection.get_isolation_level()
    if connection.dialect.name in ("mysql", "mariadb"):
        return level == "SERIALIZABLE" or (
            level == "REPEATABLE READ" and _has_snapshots(connection)
        )
    return level in ("REPEATABLE READ", "SERIALIZABLE", "SNAPSHOT")


def _has_snapshots(connection: sa.Connection) -> bool:
    """Whether ``innodb_snapshot_isolation`` is on; asked once for each connection."""
    info = connection.info
    if _SNAPSHOTS not in info:
        shown = connection.exec_driver_sql(f"SHOW VARIABLES LIKE '{_SNAPSHOTS}'").first()
        info[_SNAPSHOTS] = shown is not None and shown[1] == "ON"
    return bool(info[_SNAPSHOTS])
