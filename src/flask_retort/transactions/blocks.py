"""A block of statements that are committed together: begun, ended, or turned into a savepoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction, SessionTransactionOrigin, make_transient

from flask_retort.engines import begin_as_writer
from flask_retort.errors import (
    BrokenSession,
    CommitOutcomeUnknown,
    DatabaseFailure,
    TransactionOpen,
)
from flask_retort.errors.database import RolledBack, first_sentence

from . import callbacks, outcome, writes
from .settings import Settings

_BLOCKS = "retort_blocks"
_IS_PREPARED = "retort_blocks_prepared"
_BOUNDARY = "retort_boundary"
READING = "retort_reading"
"""In the ``info`` of a session of :func:`.read_only`, which may have no transactions at all."""


@dataclass(slots=True, eq=False)
class Block:
    """One run of a block; made by :func:`begin`, ended by :meth:`commit` or :meth:`rollback`.

    :param transaction: the session's own object for the transaction or savepoint.
    :param settings: what the transaction was begun with.
    :param is_outermost: whether its end is the end of the transaction.
    :param owner: whose end ends it; None: who holds it.
    """

    session: Session
    transaction: SessionTransaction
    settings: Settings
    is_outermost: bool
    owner: object = None
    broken_by: BaseException | None = None
    """An error after which the database takes nothing more, and which the block has caught."""
    may_be_committed: bool = False
    """Whether all of it is committed, or some of it may be: it is not to be run again."""

    def commit(self) -> None:
        """Commit the transaction, or release the savepoint; then do what waited for the commit.

        :raises BrokenSession: the transaction was ended, or given up, inside the block.
        """
        if self.is_outermost:
            callbacks.hold(self.session)
        try:
            self._check()
            self._end_by_commit()
        except BaseException as error:
            self.rollback(error)
            raise
        self.may_be_committed = True
        self._leave()

    def rollback(self, error: BaseException) -> None:
        """Roll back to where the block began.

        :param error: the reason; it will say what was rolled back.
        """
        is_open = self._is_open()
        try:
            if is_open:
                self._end_by_rollback()
        finally:
            if not self.may_be_committed:
                is_whole = self.is_outermost or _is_lost(self.session)
                note_rollback(error, "transaction" if is_whole else "savepoint")
            self._leave()
        if self.is_outermost and not is_open:
            self.session.rollback()  # what was begun after a close() inside

    def _end_by_rollback(self) -> None:
        try:
            self.settings.restore(self.transaction)
        finally:
            if not self.transaction.is_active:
                _discard_changes(self.session)
            self.transaction.rollback()

    def _end_by_commit(self) -> None:
        self.session.flush()
        if not self.is_outermost:
            self.transaction.commit()
            return
        numbers = outcome.number(self.session) if self._is_to_be_known() else None
        self.settings.restore(self.transaction)
        self.may_be_committed = len(self.transaction.connections) > 1
        try:
            self.transaction.commit()
        except CommitOutcomeUnknown as error:
            if numbers is not None:
                outcome.attach(error, numbers)
            raise
        except DatabaseFailure as error:
            if self.may_be_committed:
                error.add_note(_MAY_BE_HALF)
            raise

    def _is_to_be_known(self) -> bool:
        return self.settings.resolvable and writes.has_written(self.session)

    def _check(self) -> None:
        if not self._is_open():
            raise BrokenSession(ENDED)
        if innermost(self.session) is not self:
            raise BrokenSession(_STILL_OPEN)
        if (broken := refusal(self.session)) is not None:
            raise broken

    def _is_open(self) -> bool:
        """Whether the session is still in it, be it in a savepoint that was begun by hand."""
        session = self.session
        innermost = session.get_nested_transaction() or session.get_transaction()
        return callbacks.is_within(innermost, self.transaction)

    def _leave(self) -> None:
        blocks = _blocks(self.session)
        if self in blocks:
            del blocks[blocks.index(self) :]
        if self.is_outermost:
            callbacks.release(self.session)


def begin(session: Session, settings: Settings, owner: object = None) -> Block:
    """Begin a transaction, or a savepoint where a transaction is open; sends nothing yet.

    An implicit transaction, which a session begins by itself at its first statement, is taken over
    with all it holds. If the settings ask for a new one, and it has only read, it is ended first.

    :raises TransactionOpen: the settings need a new transaction and one with changes is open.
    """
    if settings.needs_new and READING in session.info:
        raise TransactionOpen(_SETTINGS_READING)
    if is_open(session):
        if settings.needs_new:
            raise TransactionOpen(_SETTINGS_INSIDE)
        block = Block(session, session.begin_nested(), settings, False, owner)
    else:
        if settings.needs_new:
            end_reading(session, TransactionOpen(_CHANGES_BEFORE))
        _prepare(session)
        root = session.get_transaction()
        block = Block(session, root or session.begin(), settings, True, owner)
    _blocks(session).append(block)
    try:
        for connection in block.transaction.connections if block.is_outermost else ():
            _set_up(block, connection)
    except BaseException:
        _blocks(session).remove(block)
        raise
    return block


def end_reading(session: Session, refusal: Exception) -> None:
    """End an implicit transaction that has only read, so that the next one sees what is new.

    :param refusal: raised where it has changes, which would be lost, or may have some.
    """
    if session.in_transaction():
        # A session of another class does not tell of its statements.
        if writes.has_changes(session) or not hasattr(session, "written"):
            raise refusal
        if writes.has_written_unseen(session):
            refusal.add_note(_WRITTEN_UNSEEN)
            raise refusal
        session.rollback()


def innermost(session: Session) -> Block:
    """The block of the session that ends next."""
    return _blocks(session)[-1]


def owned_by(owner: object, session: Session) -> Block | None:
    """The innermost block of the session that this one has begun."""
    return next((block for block in reversed(_blocks(session)) if block.owner is owner), None)


def is_inside(session: Session) -> bool:
    """Whether a ``db.transaction()`` block of the session is open."""
    return bool(session.info.get(_BLOCKS))


def is_open(session: Session) -> bool:
    """Whether a transaction is open that somebody else will end: a block's, or a request's."""
    transaction = session.get_transaction()
    return (
        is_inside(session)
        or session.in_nested_transaction()
        or bool(session.info.get(_BOUNDARY))
        or (transaction is not None and transaction.origin is SessionTransactionOrigin.BEGIN)
    )


def set_boundary(session: Session, value: bool) -> None:
    """Say that the request ends the transactions of the session: blocks are savepoints in it."""
    session.info[_BOUNDARY] = value


def check_end(session: Session, name: str) -> None:
    """Refuse ``session.commit()`` and ``session.rollback()`` inside a block.

    :raises TransactionOpen: a block is open.
    """
    if is_inside(session):
        raise TransactionOpen(_ENDED_INSIDE[name])


def note_rollback(error: BaseException, part: RolledBack) -> None:
    """Let the error say what was rolled back, unless that is just what nobody knows."""
    if isinstance(error, DatabaseFailure) and not isinstance(error, CommitOutcomeUnknown):
        error.rolled_back = error.rolled_back or part


def mark_broken(session: Session, error: BaseException) -> None:
    """Note in the innermost block that the database takes nothing more until its end.

    In all of them, where the whole transaction is lost.
    """
    if _is_lost(session):
        for block in _blocks(session):
            block.broken_by = block.broken_by or error
    elif is_inside(session):
        block = innermost(session)
        if block.transaction is (session.get_nested_transaction() or session.get_transaction()):
            block.broken_by = block.broken_by or error


def refusal(session: Session) -> BrokenSession | None:
    """What a use of the innermost block raises, if it has caught an error that has ended it."""
    error = innermost(session).broken_by if is_inside(session) else None
    if error is None:
        return None
    text = _BROKEN_WHOLE if _is_lost(session) else _BROKEN
    broken = BrokenSession(text.format(error=first_sentence(error)))
    broken.__cause__ = error
    return broken


def _discard_changes(session: Session) -> None:
    """Drop what was changed after the transaction had failed, of which SQLAlchemy would warn."""
    for added in session.new:
        make_transient(added)  # unlike expunge(), this one alone
    session.add_all(session.deleted)
    session.expire_all()


def _is_lost(session: Session) -> bool:
    """Whether the server has ended the whole transaction, which is a savepoint's end too."""
    root = session.get_transaction()
    return root is not None and any(connection.invalidated for connection in root.connections)


def _blocks(session: Session) -> list[Block]:
    return cast("list[Block]", session.info.setdefault(_BLOCKS, []))


def _prepare(session: Session) -> None:
    """Once for a session: set up each connection that joins a block's transaction."""
    if _IS_PREPARED not in session.info:
        session.info[_IS_PREPARED] = True
        event.listen(session, "after_begin", _after_begin)


def _after_begin(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    blocks = _blocks(session)
    if blocks and not transaction.nested:
        _set_up(blocks[0], connection)


def _set_up(block: Block, connection: Connection) -> None:
    block.settings.apply(connection)
    if not block.settings.read_only:
        begin_as_writer(connection)


ENDED = (
    "The transaction of this db.transaction() block was ended inside it, by close(), remove(), a"
    " teardown or the end of a block around it, so what was written after that is not part of it."
    " Let the block end it."
)
_BROKEN = (
    "A statement of this db.transaction() block failed, its error was caught inside, and the"
    " database has given the rest up: {error}. Put the part that may fail into a db.transaction()"
    " of its own, which is a savepoint, and catch the error outside of that."
)
_BROKEN_WHOLE = (
    "An error that was caught inside this db.transaction() block has ended the whole transaction,"
    " with its savepoints: {error}. Let it leave the outermost block, whose function can be run"
    " again with db.transaction(retry=3)."
)
_STILL_OPEN = (
    "A db.transaction() block that was begun inside this one is still open at its end. Usually it"
    " is in a generator that was not read to its end: read it to its end, or close() it, before."
)
_MAY_BE_HALF = (
    "The transaction was open on several databases, each with a COMMIT of its own, so it may be"
    " committed on some of them. It is not run again."
)
_SETTINGS_INSIDE = (
    "A db.transaction() with isolation, read_only or a timeout was begun inside an open"
    " transaction, of which these are fixed at its start. Give them to the outermost"
    " db.transaction(), or call this function before the transaction begins. With"
    " RETORT_REQUEST_TRANSACTION the request is that transaction: take the view out with"
    " @request_transactions.exempt."
)
_SETTINGS_READING = (
    "A db.transaction() with isolation, read_only or a timeout was begun inside db.read_only(),"
    " whose reads need not be in a transaction. In its place write with"
    " db.transaction(read_only=True, isolation=...). With RETORT_REQUEST_TRANSACTION a GET is such"
    " a scope: take the view out with @request_transactions.exempt."
)
_CHANGES_BEFORE = (
    "A db.transaction() with isolation, read_only or a timeout needs a transaction of its own, and"
    " the session has changes that are not committed: ending theirs would lose them. Commit them"
    " first with db.session.commit(), or make them inside the block."
)
_WRITTEN_UNSEEN = (
    "The changes can have been made over the connection that session.connection() gave, or by a"
    " function of the database. After reads alone, end them with db.session.rollback()."
)
_ENDED_INSIDE = {
    "commit": "commit() was called inside a db.transaction() block, which commits at its end, all"
    " or nothing. Delete the call; where the rows are needed before the end, for instance for a"
    " generated key, write db.session.flush() instead.",
    "rollback": "rollback() was called inside a db.transaction() block, whose statements belong"
    " together. Let an exception leave the block to roll all of it back; or put the part that may"
    " be rolled back into a db.transaction() of its own, which is a savepoint.",
}
