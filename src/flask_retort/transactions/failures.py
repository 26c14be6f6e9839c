"""After an error: the session is made usable again, or says why it can't be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import exc
from sqlalchemy.orm import Session, SessionTransactionOrigin

from flask_retort.errors import BrokenSession, Deadlock, SerializationFailure

from . import blocks

_POSTGRESQL_DRIVERS = ("psycopg", "psycopg2")
_ENDED_BY_SERVER = (Deadlock, SerializationFailure)


@dataclass(frozen=True, slots=True)
class LostWork:
    """What went with a transaction that an error has ended.

    :param error: the error.
    :param wrote: whether statements before it, in the same transaction, had written something.
    """

    error: BaseException
    wrote: bool


def recover(session: Session, error: BaseException, *, wrote: bool) -> LostWork | None:
    """Roll an implicit transaction back that the database or the session has given up.

    In a block, ``db.transaction()``, ``session.begin()`` or a savepoint, nothing is done: its end
    rolls back, and going on inside it would keep one half of what belongs together.

    :param wrote: whether the transaction had written something before.
    :return: what was lost; None where the transaction stands, or belongs to a block.
    :raises BrokenSession: in place of SQLAlchemy's PendingRollbackError.
    """
    is_implicit = _is_implicit(session)
    if isinstance(error, exc.PendingRollbackError) and not isinstance(error, BrokenSession):
        if is_implicit:
            session.rollback()
        refusal = blocks.refusal(session)
        if refusal is not None:
            raise refusal
        raise BrokenSession(_BROKEN) from error
    if not _is_given_up(session, error):
        return None
    if not is_implicit:
        blocks.mark_broken(session, error)
        if isinstance(error, _ENDED_BY_SERVER) and not blocks.is_inside(session):
            _keep_from_committing(session)
        return None
    session.rollback()
    blocks.note_rollback(error, "transaction")
    return LostWork(error, wrote)


def _is_implicit(session: Session) -> bool:
    transaction = session.get_transaction()
    return (
        transaction is not None
        and transaction.origin is SessionTransactionOrigin.AUTOBEGIN
        and not session.in_nested_transaction()
        and not blocks.is_inside(session)
    )


def _is_given_up(session: Session, error: BaseException) -> bool:
    transaction = session.get_nested_transaction() or session.get_transaction()
    if transaction is None or not transaction.is_active or isinstance(error, BrokenSession):
        return True
    if not isinstance(error, exc.DBAPIError):
        return False
    return (
        error.connection_invalidated
        or isinstance(error, _ENDED_BY_SERVER)
        or _was_refused_by_postgresql(error.orig)
    )


def _keep_from_committing(session: Session) -> None:
    """MySQL and MariaDB would commit what follows in ``session.begin()``, and not what was before.

    Without its connection the transaction takes nothing but a rollback.
    """
    transaction = session.get_transaction()
    for connection in transaction.connections if transaction is not None else ():
        if connection.dialect.name in ("mysql", "mariadb") and connection.in_transaction():
            connection.invalidate()


def _was_refused_by_postgresql(error: BaseException | None) -> bool:
    """PostgreSQL gives a whole transaction up at the first error it reports, with a state."""
    state: Any = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return bool(state) and type(error).__module__.partition(".")[0] in _POSTGRESQL_DRIVERS


_BROKEN = (
    "An earlier statement of this transaction failed, and its error was caught, so the transaction,"
    " or the savepoint that it was in, takes nothing but a rollback. Put the part that may fail"
    " into a savepoint, and catch its error outside of that: try: with db.transaction(): ... except"
    " UniqueViolation: ..."
)
