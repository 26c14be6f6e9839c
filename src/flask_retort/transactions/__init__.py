"""Units of work on a session: whole or not at all, run again when others were in the way.

Nothing here needs Flask: :func:`transaction` takes any session whose engine
:func:`flask_retort.engines.make_engine` has made.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from .callbacks import on_commit, on_rollback
from .retry import RETRYABLE, Retry
from .scope import Transaction
from .settings import Isolation, Settings

__all__ = [
    "RETRYABLE",
    "Isolation",
    "Retry",
    "Transaction",
    "on_commit",
    "on_rollback",
    "transaction",
]


def transaction(
    session: Session,
    *,
    retry: Retry | int = 0,
    isolation: Isolation | None = None,
    read_only: bool = False,
    lock_timeout: float | None = None,
    statement_timeout: float | None = None,
    resolvable: bool = True,
) -> Transaction[Session]:
    """A unit of work on this session: committed at its end, rolled back on any exception.

    :param session: used for every run of the work; the rest is as for
        :meth:`flask_retort.SQLAlchemy.transaction`.
    """
    settings = Settings(isolation, read_only, lock_timeout, statement_timeout, resolvable)
    return Transaction(lambda: session, settings, retry)
