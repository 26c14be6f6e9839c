"""Whether the open transaction of a session has written anything."""

from __future__ import annotations

import functools
import re
import weakref
from collections.abc import Iterable
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.orm import Session, SessionTransaction, UOWTransaction

from flask_retort._sa_compat import has_writing_cte

_SURE, _PERHAPS, _HANDED_OUT = "retort_writes", "retort_perhaps_writes", "retort_handed_out"
_TEMPORARY, _EXECUTED = "retort_temporary_tables", "retort_executed"


def watch(session_class: type[Session]) -> None:
    """Let sessions of the class know of what they flush and roll back. Once for a class."""
    event.listen(session_class, "after_flush", _after_flush)
    event.listen(session_class, "after_soft_rollback", _after_rollback)


def note_statement(session: Session, statement: Any, result: Any) -> None:
    """Note a statement that was executed, if it wrote; of text, the verbs decide.

    :param result: what it gave; one that counts no row has written nothing.
    """
    if isinstance(statement, sa.Select):
        if has_writing_cte(statement):
            note(session, result=result)
        return
    tables = _written_by(session, statement)
    if tables and (getattr(result, "rowcount", -1) != 0 or getattr(result, "returns_rows", True)):
        is_sure = not session.info.get(_TEMPORARY, _NOT_LOST).issuperset(tables)
        note(session, _SURE if is_sure else _PERHAPS, result)


def note_connection(session: Session, connection: sa.Connection) -> None:
    """Note that somebody got the connection, and what is executed over it until the end.

    What the driver's own cursors write can't be seen.
    """
    root = session.get_transaction()
    if root is not None:
        _mark(session, root, _HANDED_OUT)
    executed = session.info.setdefault(
        _EXECUTED, functools.partial(_executed, weakref.ref(session))
    )
    if not event.contains(connection, "after_execute", executed):
        event.listen(connection, "after_execute", executed)


def has_written(session: Session) -> bool:
    """Whether something was written since the transaction began, and not rolled back since.

    Savepoints are seen through. A text that begins with CALL counts as a write, and so do rows of
    temporary tables. What a connection in AUTOCOMMIT has written does not: no rollback takes it.
    """
    return surely_has_written(session) or _is_marked(session, _PERHAPS)


def surely_has_written(session: Session) -> bool:
    """Whether a rollback would take rows, of tables that outlive the connection."""
    return _is_marked(session, _SURE)


def has_written_unseen(session: Session) -> bool:
    """Whether there may be writes that the session does not know of; asks the database if it can.

    PostgreSQL always tells, by one statement, SQLite where the connection was handed out. Elsewhere
    the answer is whether it was.
    """
    is_handed_out = _is_marked(session, _HANDED_OUT)
    root = session.get_transaction()
    # A connection that the session is bound to has a longer transaction, with writes of others.
    if root is None or isinstance(session.bind, sa.Connection):
        return is_handed_out
    return any(_has_written_unseen(connection, is_handed_out) for connection in root.connections)


def has_changes(session: Session) -> bool:
    """Whether something was written, or is waiting for the next flush."""
    return (
        has_written(session)
        or bool(session.new)
        or bool(session.deleted)
        or any(session.is_modified(changed) for changed in session.dirty)
    )


def note(session: Session, kind: str = _SURE, result: Any = None) -> None:
    """Note a write; without a result, it may have been over each connection of the transaction."""
    mark = session.get_nested_transaction() or session.get_transaction()
    if mark is None:
        return
    connections = _root_of(mark).connections
    if isinstance(result, sa.CursorResult):
        connections = frozenset((result.connection,))
    if not connections or not all(map(_is_in_autocommit, connections)):
        _mark(session, mark, kind)


def _executed(
    reference: weakref.ref[Session], connection: sa.Connection, statement: Any, *arguments: Any
) -> None:
    session = reference()
    root = None if session is None else session.get_transaction()
    if session is not None and root is not None and connection in root.connections:
        note_statement(session, statement, arguments[-1])


def _after_flush(session: Session, flush_context: UOWTransaction) -> None:
    if session.new or session.deleted or any(map(session.is_modified, session.dirty)):
        note(session)


def _after_rollback(session: Session, ended: SessionTransaction) -> None:
    boundary = None
    for kind in (_SURE, _PERHAPS, _HANDED_OUT):
        marks = _marks(session, kind)
        if marks:
            boundary = boundary or _boundary_of(ended)
            marks[:] = [mark for mark in marks if not _is_inside(mark, boundary)]


def _mark(session: Session, mark: SessionTransaction, kind: str) -> None:
    marks = session.info.setdefault(kind, [])
    if mark not in marks:
        marks[:] = [other for other in marks if _root_of(other) is _root_of(mark)]
        marks.append(mark)


def _is_marked(session: Session, kind: str) -> bool:
    marks = _marks(session, kind)
    if not marks:
        return False
    root = session.get_transaction()
    return any(_root_of(mark) is root for mark in marks)


def _marks(session: Session, kind: str) -> list[SessionTransaction]:
    """The innermost transaction at each write. A released savepoint belongs to its parent."""
    return cast("list[SessionTransaction]", session.info.get(kind, _NO_MARKS))


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


# --- what the database knows ---------------------------------------------------

_FIRST_VERSION = (13,)
# A number of its own has each transaction that has written, and keeps it when a savepoint that
# wrote is rolled back; the locks of the savepoint go. SELECT FOR UPDATE brings the number too.
_HAS_WRITTEN = sa.text("""\
SELECT pg_current_xact_id_if_assigned() IS NOT NULL AND EXISTS (
    SELECT FROM pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'relation'
    AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'SIReadLock')
    AND relation NOT IN (SELECT seqrelid FROM pg_sequence))""")


def _has_written_unseen(connection: sa.Connection, is_handed_out: bool) -> bool:
    if connection.closed or connection.invalidated or _is_in_autocommit(connection):
        return False  # nothing is there that a rollback would take
    dialect = connection.dialect
    if dialect.name == "postgresql" and (dialect.server_version_info or ()) >= _FIRST_VERSION:
        try:
            return bool(connection.execute(_HAS_WRITTEN).scalar())
        except exc.DBAPIError:  # it has failed before, or is cut
            return is_handed_out
    if dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        return is_handed_out and bool(getattr(driver, "in_transaction", True))
    return is_handed_out


def _is_in_autocommit(connection: sa.Connection) -> bool:
    if connection.closed or connection.invalidated:
        return False
    driver: Any = connection.connection.dbapi_connection
    try:
        return connection.dialect.detect_autocommit_setting(driver)
    except NotImplementedError:
        return False


# --- what a statement writes to -------------------------------------------------

_NOT_LOST = frozenset(("CALL",))  # what a procedure writes, nobody knows
_NO_MARKS: list[SessionTransaction] = []
_UNKNOWN = "?"
_WORDS = re.compile(r"INSERT|UPDATE|DELETE|REPLACE|MERGE|CALL|COPY|TRUNCATE|CREATE", re.IGNORECASE)
_NO_CODE = re.compile(
    r"""(?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]'"`]*\])
      | '(?:[^']|'')*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | --[^\n]* | /\*.*?\*/""",
    re.DOTALL | re.VERBOSE,
)
_VERB = re.compile(
    r"[\s(]*(WITH|INSERT|UPDATE|DELETE|REPLACE|MERGE|CALL|COPY|TRUNCATE)\b", re.IGNORECASE
)
_TARGET = re.compile(
    r"""(?:\A|[()])\s*
    (?:(?:INSERT|REPLACE|MERGE)\s+(?:\w+\s+){0,2}?INTO
      |DELETE\s+(?:\w+\s+)?FROM
      |UPDATE(?=\s+\S.*?\sSET\b)
      |TRUNCATE(?:\s+TABLE)?)
    \s+(?:ONLY\s+)?(?:(?:pg_temp|temp)\.)?([\w$.]+)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_CREATES_TEMPORARY = re.compile(
    r"""\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:(?:LOCAL|GLOBAL)\s+)?TEMP(?:ORARY)?\s+TABLE\s+
    (?:IF\s+NOT\s+EXISTS\s+)?(?:(?:pg_temp|temp)\.)?([\w$.]+)""",
    re.IGNORECASE | re.VERBOSE,
)


def _written_by(session: Session, statement: Any) -> list[str]:
    """The tables that a statement writes to; none if it reads. Notes the temporary ones."""
    if statement.is_dml:
        table = getattr(statement, "table", None)
        return [str(getattr(table, "fullname", _UNKNOWN)).lower()]
    is_text = isinstance(statement, sa.TextClause)
    if not is_text and not isinstance(statement, sa.ExecutableDDLElement):
        return []
    text = statement.text if is_text else str(statement)
    if not _WORDS.search(text):
        return []
    code = _NO_CODE.sub(_name, text)
    created = _CREATES_TEMPORARY.match(code)
    if created:
        session.info[_TEMPORARY] = session.info.get(_TEMPORARY, _NOT_LOST) | {created[1].lower()}
    return list(_tables_in(code))


def _tables_in(code: str) -> Iterable[str]:
    verb = _VERB.match(code)
    if not verb:
        return ()
    tables = [found[1].lower() for found in _TARGET.finditer(code)]
    if tables or verb[1].upper() == "WITH":
        return tables
    return ("CALL",) if verb[1].upper() == "CALL" else (_UNKNOWN,)


def _name(found: re.Match[str]) -> str:
    """A quoted name as a plain one; nothing of strings and comments."""
    quoted = found["quoted"]
    return re.sub(r"\W", "_", quoted[1:-1]) if quoted else " "
