"""What ``db`` offers for units of work: transactions, what follows them, rows locked together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import orm

from .session import Session
from .transactions import callbacks, locking, reading
from .transactions.retry import Retry
from .transactions.scope import Transaction
from .transactions.settings import Isolation, Settings

T = TypeVar("T")
P = ParamSpec("P")


class Scopes:
    """The part of :class:`.SQLAlchemy` about units of work. All of it works on ``db.session``."""

    session: orm.scoped_session[Session]

    def transaction(
        self,
        *,
        retry: Retry | int = 0,
        isolation: Isolation | None = None,
        read_only: bool = False,
        lock_timeout: float | None = None,
        statement_timeout: float | None = None,
        resolvable: bool = True,
    ) -> Transaction[Session]:
        """A unit of work on ``db.session``: committed at its end, rolled back on any exception.

        A ``with`` block that gives the session, or a decorator, see :class:`.Transaction`. Inside
        another one it is a savepoint. It works in requests, commands and jobs alike. An implicit
        transaction that the session has begun by reading is taken over; with ``retry``,
        ``isolation``, ``read_only`` or a timeout it is ended first, and refused if it has changes.

        On SQLite the block is the one that writes from its first statement on, so that what it
        reads stays true until its end; with ``read_only`` it is not.

        :param retry: how often to run a decorated function again after a deadlock, a serialization
            failure, a lock timeout or a stale version, with a random pause before each; a
            :class:`.Retry` says more. Not for a ``with`` block, which runs once.
        :param isolation: "read uncommitted", "read committed", "repeatable read", "serializable".
            SQLite has only the last, and gives it.
        :param read_only: writes are refused by the database.
        :param lock_timeout: seconds to wait for a lock. MariaDB counts in whole seconds.
        :param statement_timeout: seconds a statement may take. SQLite has no such limit.
        :param resolvable: on PostgreSQL, ask for the transaction's number before the commit, one
            round trip where something was written, so that
            :meth:`.CommitOutcomeUnknown.resolve` can tell what became of it.
        :raises RetryInTransaction: with ``retry``, inside an open transaction.
        :raises TransactionOpen: the options need a new transaction, and one with changes is open.
        """
        settings = Settings(isolation, read_only, lock_timeout, statement_timeout, resolvable)
        return Transaction(self._current_session, settings, retry)

    def read_only(self, *, autocommit: bool | None = None) -> AbstractContextManager[Session]:
        """A block in which ``db.session`` is another session, one that only reads.

        The database refuses writes. See :func:`flask_retort.transactions.reading.read_only`.

        :param autocommit: without a transaction, each statement by itself; by default so on
            PostgreSQL, where it saves two of three round trips.
        """
        return reading.read_only(self, autocommit=autocommit)  # type: ignore[arg-type]

    def on_commit(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call the function after the commit of the open transaction, or of the next one.

        It is forgotten when the transaction, or the savepoint that is open now, is rolled back; so
        with retries it is called once, for the run that was committed. What it raises comes out of
        the commit, when the others have been called.

        :param function: called with the arguments that follow, in the same thread and context.
        """
        callbacks.on_commit(self.session(), function, *args, **kwargs)

    def on_rollback(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call the function if the open transaction, or savepoint, is rolled back; else forget it.

        :param function: called with the arguments that follow.
        """
        callbacks.on_rollback(self.session(), function, *args, **kwargs)

    def lock(
        self,
        model: type[T],
        keys: Iterable[Any],
        *,
        skip_locked: bool = False,
        nowait: bool = False,
        read: bool = False,
        options: Iterable[Any] = (),
    ) -> dict[Any, T]:
        """The objects with these primary keys, by key, locked until the end.

        One SELECT ... FOR UPDATE that locks in the order of the keys, so that two callers can't
        wait for each other. See :func:`flask_retort.transactions.locking.lock`.
        """
        return locking.lock(
            self.session(),
            model,
            keys,
            skip_locked=skip_locked,
            nowait=nowait,
            read=read,
            options=options,
        )

    def _current_session(self) -> Session:
        return self.session()
