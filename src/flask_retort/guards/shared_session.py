"""shared-session: a session in the middle of a transaction, used by another thread."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from typing import NamedTuple

import sqlalchemy as sa
from flask.ctx import AppContext
from sqlalchemy.orm import Session, SessionTransaction

from . import places
from .hooks import Guard, Listener
from .reporting import Text

_OWNER = "_retort_owner"


class _Owner(NamedTuple):
    """Who has begun a transaction. Held weakly: it leads back to the session that keeps this.

    :param context: its application context. Another thread that has the very same one is an
        executor of asynchronous code, which takes turns with the one that waits for it.
    """

    transaction: weakref.ref[SessionTransaction]
    thread: int
    context: weakref.ref[AppContext] | None


class SharedSession(Guard):
    """Finds statements, lazy loads and flushes in a transaction that another thread has begun."""

    code = "shared-session"
    text = Text(
        what="Thread {thread} used the session of thread {owner}, in the middle of a transaction"
        " of that one, at {where}.",
        why="A session and its objects are for one thread at a time: two send their statements"
        " into one transaction, each commits or rolls back what the other has half done, and the"
        " results they read get mixed up.",
        write="Hand the thread primary keys, not objects, and give it a session of its own: `with"
        " app.app_context(): order = db.session.get(Order, order_id)`.",
    )

    def listeners(self) -> Mapping[str, Listener]:
        """The beginning of a transaction, and each use of it."""
        return {
            "after_begin": self._begun,
            "uses": self._used,
            "before_flush": self._used,
            "before_commit": self._used,
        }

    def _begun(
        self, session: Session, transaction: SessionTransaction, connection: sa.Connection
    ) -> None:
        root = session.get_transaction()
        owner: _Owner | None = getattr(session, _OWNER, None)
        is_known = owner is not None and owner.transaction() is root
        if root is not None and not is_known:  # it is at the second database of one transaction
            context = places.context()
            reference = None if context is None else weakref.ref(context)
            setattr(session, _OWNER, _Owner(weakref.ref(root), threading.get_ident(), reference))

    def _used(self, session: Session, *_: object) -> None:
        owner: _Owner | None = getattr(session, _OWNER, None)
        if owner is None or owner.thread == threading.get_ident():
            return
        transaction = session.get_transaction()
        if transaction is None or owner.transaction() is not transaction:
            return
        context = owner.context and owner.context()
        if context is None or context is not places.context():
            self._report(owner)

    def _report(self, owner: _Owner) -> None:
        place = self.reports.places.call_site()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        self.find(
            place.qualified_name if place else "thread",
            where=place,
            thread=threading.current_thread().name,
            owner=names.get(owner.thread, "that has ended"),
        )
