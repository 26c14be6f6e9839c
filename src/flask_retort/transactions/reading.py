"""A scope whose session only reads, which the database itself makes sure of."""

from __future__ import annotations

import weakref
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event, orm

from flask_retort.engines import ReadingEngines, refuse_writes
from flask_retort.errors import TransactionOpen

from . import blocks, writes

if TYPE_CHECKING:
    from flask_retort.extension import SQLAlchemy
    from flask_retort.session import Session

_watched: weakref.WeakSet[type[orm.Session]] = weakref.WeakSet()


@contextmanager
def read_only(db: SQLAlchemy[Any], *, autocommit: bool | None = None) -> Generator[Session]:
    """Make ``db.session`` a session of its own that only reads, until the block ends; yields it.

    The session from before is back then, untouched, and this one is closed: what it has loaded
    stays readable and belongs to no session. A block inside a block joins it. Changes that are
    still waiting at the end are sent, so that the database refuses them.

    On PostgreSQL each read is one round trip, over connections in AUTOCOMMIT from a pool of their
    own, of the same size. On the others, behind a transaction pooler, and where the engine's
    options choose an isolation level, it is a read-only transaction of the ordinary engine.

    :param autocommit: False: a transaction on PostgreSQL too. True: AUTOCOMMIT also on MariaDB and
        MySQL, where all reads of a transaction see the same moment, and here each its own. Makes
        no difference on SQLite.
    :raises TransactionOpen: the session is in a transaction block, or has changes that are not
        committed, which the block would not see.
    :raises ReadOnlyViolation: from a write inside.
    """
    registry = db.session.registry
    context, sessions = registry.scopefunc(), registry.registry
    outer: Session | None = sessions.get(context)
    if outer is not None and blocks.READING in outer.info:
        yield outer
        return
    if outer is not None:
        _refuse_changes(outer)
    inner = sessions[context] = make_session(db, autocommit)
    try:
        yield inner
        if writes.has_changes(inner):
            inner.flush()
    finally:
        try:
            _put_back(outer, inner, sessions, context)
        finally:
            inner.close()


def _put_back(
    outer: Session | None, inner: Session, sessions: MutableMapping[Any, Any], context: Any
) -> None:
    if sessions.get(context) is not inner:
        # Removed, by the end of the context or by db.session.remove(): the one from before is too.
        if outer is not None:
            outer.close()
    elif outer is not None:
        sessions[context] = outer
    else:
        del sessions[context]


def make_session(db: SQLAlchemy[Any], autocommit: bool | None = None) -> Session:
    """A session that only reads, which the caller closes; see :func:`read_only`."""
    factory = db.session.session_factory
    session: Session = factory(engines=ReadingEngines(db.engines, autocommit=autocommit))
    session.info[blocks.READING] = True
    if type(session) not in _watched:  # not each session: that would cost each 10 us
        event.listen(type(session), "after_begin", _refuse_writes)
        _watched.add(type(session))
    return session


def _refuse_writes(
    session: orm.Session, transaction: orm.SessionTransaction, connection: Connection
) -> None:
    # A session that is bound to a connection is a test's, whose transaction goes on afterwards.
    is_bound = isinstance(session.bind, Connection)
    if blocks.READING in session.info and not transaction.nested and not is_bound:
        refuse_writes(connection)


def _refuse_changes(session: orm.Session) -> None:
    transaction = session.get_transaction()
    begun = (
        transaction is not None and transaction.origin is orm.SessionTransactionOrigin.BEGIN
    ) or session.in_nested_transaction()
    if begun or blocks.is_inside(session):
        raise TransactionOpen(_INSIDE_BLOCK)
    if writes.has_changes(session):
        raise TransactionOpen(_AFTER_CHANGES)


_INSIDE_BLOCK = (
    "db.read_only() was begun inside an open transaction. It reads with a session of its own, which"
    " would not see what the transaction has written. Read with db.session, or begin it before or"
    " after the transaction."
)
_AFTER_CHANGES = (
    "db.read_only() was begun while the session has changes that are not committed. It reads with a"
    " session of its own, which would not see them. Commit them first with db.session.commit(), or"
    " read with db.session."
)
