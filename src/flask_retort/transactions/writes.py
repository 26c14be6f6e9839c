"""Whether the open transaction of a session has written anything."""

from __future__ import annotations

import re
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, UOWTransaction

_WRITES = "retort_writes"
_WRITING_TEXT = re.compile(
    r"""(?:\s|--[^\n]*\n|/\*.*?\*/|\()*  # what may stand in front
    (?:(?:INSERT|UPDATE|DELETE|REPLACE|MERGE|CALL|COPY|TRUNCATE)\b
      |WITH\b(?=.*\b(?:INSERT\s+INTO|REPLACE\s+INTO|MERGE\s+INTO|DELETE\s+FROM
                      |(?<!FOR\ )(?<!KEY\ )UPDATE)\b))""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def watch(session_class: type[Session]) -> None:
    """Let sessions of the class know of what they flush and roll back. Once for a class."""
    event.listen(session_class, "after_flush", _after_flush)
    event.listen(session_class, "after_soft_rollback", _after_rollback)


def note_statement(session: Session, statement: Any, result: Any) -> None:
    """Note a statement that was executed, if it wrote; of text, the first word decides.

    :param result: what it gave; one that counts no row has written nothing.
    """
    writes = statement.is_dml or (
        isinstance(statement, sa.TextClause) and _WRITING_TEXT.match(statement.text)
    )
    if writes and (getattr(result, "rowcount", -1) != 0 or getattr(result, "returns_rows", True)):
        note(session)


def has_written(session: Session) -> bool:
    """Whether something was written since the transaction began, and not rolled back since.

    Savepoints are seen through; a text that begins with CALL counts as a write.
    """
    marks = _marks(session)
    if not marks:
        return False
    root = session.get_transaction()
    return any(_root_of(mark) is root for mark in marks)


def has_changes(session: Session) -> bool:
    """Whether something was written, or is waiting for the next flush."""
    return (
        has_written(session)
        or bool(session.new)
        or bool(session.deleted)
        or any(session.is_modified(changed) for changed in session.dirty)
    )


def note(session: Session) -> None:
    """Note a write that is no statement of the session's own."""
    mark = session.get_nested_transaction() or session.get_transaction()
    marks = session.info.setdefault(_WRITES, [])
    if mark is not None and mark not in marks:
        marks[:] = [other for other in marks if _root_of(other) is _root_of(mark)]
        marks.append(mark)


def _after_flush(session: Session, flush_context: UOWTransaction) -> None:
    if session.new or session.deleted or any(map(session.is_modified, session.dirty)):
        note(session)


def _after_rollback(session: Session, ended: SessionTransaction) -> None:
    marks = _marks(session)
    if marks:
        boundary = _boundary_of(ended)
        marks[:] = [mark for mark in marks if not _is_inside(mark, boundary)]


def _marks(session: Session) -> list[SessionTransaction]:
    """The innermost transaction at each write. A released savepoint belongs to its parent."""
    return cast("list[SessionTransaction]", session.info.get(_WRITES, []))


def _root_of(transaction: SessionTransaction) -> SessionTransaction:
    while transaction.parent is not None:
        transaction = transaction.parent
    return transaction


def _boundary_of(transaction: SessionTransaction) -> SessionTransaction:
    """The savepoint or transaction that was rolled back: a flush is a part of one."""
    while transaction.parent is not None and not transaction.nested:
        transaction = transaction.parent
    return transaction


def _is_inside(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer
