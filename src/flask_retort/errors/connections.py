"""Errors of connecting, of lost connections and of the pool."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import exc

from .database import DatabaseFailure, StatementFailure


class Disconnected(StatementFailure, exc.OperationalError):
    """The connection was lost while a statement ran, or before it: the transaction is gone.

    The connection is out of the pool, and so are all that were opened before it; the next one is
    new. A connection that is lost during COMMIT is :class:`CommitOutcomeUnknown`.
    """

    code: str = "disconnected"


class CannotConnect(Disconnected):
    """A new connection could not be opened: refused, unknown host, wrong password, no database."""

    code = "cannot-connect"


class CommitOutcomeUnknown(Disconnected):
    """The connection was lost during COMMIT: the transaction may have taken effect, or not.

    It is never run again by itself. :meth:`resolve` finds out where the server can tell.
    """

    code: str = "commit-outcome-unknown"

    resolver: Callable[[], bool | None] | None = None
    """Asks the server; set by whoever knows the transaction's number."""

    def resolve(self) -> bool | None:
        """Whether the transaction was committed; None where it can't be known.

        Opens a connection and sends one statement, again for up to some seconds while the server
        is still at it. PostgreSQL can tell of a transaction whose number was asked for before the
        commit, as :meth:`flask_retort.SQLAlchemy.transaction` does.

        :raises CannotConnect: the server can't be reached yet.
        """
        return None if self.resolver is None else self.resolver()


class PoolExhausted(DatabaseFailure, exc.TimeoutError):
    """All connections of the pool were in use for as long as a checkout may wait."""

    code: str = "pool-exhausted"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None
