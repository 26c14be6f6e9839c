"""``lock-order``: rows locked one by one, in an order that can deadlock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Self
from uuid import UUID

from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session, UOWTransaction

from flask_retort._sa_compat import row_lock

from .execution import Execution
from .hooks import Guard, Listener
from .per_transaction import PerTransaction
from .reporting import Reports, Text
from .row_locks import Key, RowLocks, Rows, row_of, rows_changed, rows_inserted


@dataclass
class _Order:
    locks: RowLocks = field(default_factory=RowLocks)
    highest: dict[Any, Key] = field(default_factory=dict[Any, Key])
    """The highest key, by table, of those for which the transaction may have had to wait."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)(self.locks.__deepcopy__(memo), dict(self.highest))

    def wait_for(self, table: Any, keys: set[Key]) -> tuple[Key, Key] | None:
        """Lock rows; the first key that comes too late with the one that it should precede."""
        new = keys - self.locks.held(table)
        if not new or self.locks.is_blind(table):
            return None
        highest = self.highest.get(table, min(new) if are_comparable(new) else None)
        if highest is None or not are_comparable({highest, *new}):
            return None
        self.highest[table] = max(highest, *new)
        return (min(new), highest) if min(new) < highest else None


class LockOrderGuard(Guard):
    """Finds the statement that locks a row after one with a higher key, in one transaction.

    It knows keys from ``WHERE primary_key = value`` or ``IN``, and from flushes. Rows locked by one
    statement, or by one flush, which sorts them, are in order. A lock that is not waited for, one
    held already and the transaction's own new rows can't deadlock. Nothing is said of a table of
    which rows that are not known were locked, nor of what a test locks by itself. A request begins
    a new order: what was locked before it is held, and no more. Costs a call for each statement.
    """

    code: ClassVar[str] = "lock-order"
    text: ClassVar[Text] = Text(
        what="{model} {key} was locked after {model} {before} in one transaction, at {where}.",
        why="Two transactions that lock the same rows in different orders wait for each other: the"
        " database ends one of them with a deadlock, after it has kept both waiting.",
        write="Lock all of them first, in one statement: rows = {lock}. Or go through them in the"
        " order of their keys: for key in sorted(keys).",
    )

    def __init__(self, reports: Reports) -> None:
        super().__init__(reports)
        self._orders = PerTransaction(_Order)

    def attach(self, app: Flask, engines: Mapping[str | None, Engine]) -> None:
        """Know the application's models, for their names."""
        self._base = app.extensions["sqlalchemy"].Model

    def listeners(self) -> Mapping[str, Listener]:
        """Statements, flushes, and where transactions begin and end."""
        return {
            **self._orders.listeners(),
            "request_begins": self._request_begins,
            "executes": self._executes,
            "before_flush": self._flushes,
            "after_flush": self._flushed,
        }

    def _request_begins(self, session: Session) -> None:
        order = self._orders.of(session)
        order.highest.clear()
        order.locks.note_written(rows_changed(session))  # a flush will send them, not the request

    def _executes(self, executed: Execution) -> None:
        rows = executed.rows
        if rows == {}:
            return
        session = executed.session
        if session.autoflush and executed.is_orm_statement:
            self._flushes(session)  # it will come before the statement
        order = self._orders.of(session)
        lock = row_lock(executed.statement)
        if rows is None:
            order.locks.everything = True
        elif lock is None:
            self._wait(session, rows)
            order.locks.note_written(rows)
        elif not lock.read:
            if not (lock.nowait or lock.skip_locked):
                self._wait(session, rows)
            order.locks.note_read(rows)

    def _flushes(self, session: Session, *_: object) -> None:
        rows = rows_changed(session)
        if rows:
            self._wait(session, rows)
            self._orders.of(session).locks.note_written(rows)

    def _flushed(self, session: Session, flush_context: UOWTransaction) -> None:
        if session.new:
            self._orders.of(session).locks.note_written(rows_inserted(session))

    def _wait(self, session: Session, rows: Rows) -> None:
        order = self._orders.of(session)
        for table, keys in rows.items():
            late = order.wait_for(table, keys) if keys else None
            if late is None or _is_guarded(session, order.locks, table, late[0]):
                continue
            if not self.reports.places.is_test_itself():
                key, before = (_shown(value) for value in late)
                name, lock = self._words(table)
                self.find(name, key=key, before=before, model=name, lock=lock)

    def _words(self, table: Any) -> tuple[str, str]:
        """The model, or the table where it has none, and the line that locks its rows."""
        mappers = self._base.registry.mappers
        for mapper in mappers:
            if table == mapper.local_table:
                model = str(mapper.class_.__name__)
                return model, f"db.lock({model}, keys)"
        columns = [f"{table.name}.c.{column.key}" for column in table.primary_key]
        order = ", ".join(columns)
        key = order if len(columns) == 1 else f"tuple_({order})"
        select = f"select({table.name}).where({key}.in_(keys)).order_by({order})"
        return str(table.name), f"db.session.execute({select}.with_for_update()).all()"


def _is_guarded(session: Session, locks: RowLocks, table: Any, key: Key) -> bool:
    """Whether the lock of the row that it belongs to keeps others from its siblings as well."""
    states = session.identity_map.all_states()
    return any(locks.holds_parent(state) for state in states if row_of(state) == (table, key))


def are_comparable(keys: set[Key]) -> bool:
    """Whether databases and Python sort them alike, which they don't with words."""
    values = [value for key in keys for value in key]
    words = "".join(value for value in values if isinstance(value, str))
    return (
        len({tuple(map(type, key)) for key in keys}) == 1
        and all(isinstance(value, _SORTED) for value in values)
        and (not words or (words.isascii() and words.isalnum() and words in _cases(words)))
    )


_SORTED = (int, str, bytes, Decimal, date, UUID)


def _cases(words: str) -> tuple[str, str]:
    return words.lower(), words.upper()


def _shown(key: Key) -> str:
    return str(key[0]) if len(key) == 1 else str(key)
