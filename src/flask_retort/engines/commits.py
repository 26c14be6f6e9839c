"""COMMIT: which errors came out of it, and none that would be a rollback without a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from flask_retort.errors import BrokenSession

_MARK = "retort_in_commit"
_IN_ERROR = 3
"""What libpq calls PQTRANS_INERROR: an open transaction that takes nothing but a rollback."""
_STATUS: dict[str, Callable[[Any], int]] = {
    "psycopg": lambda connection: connection.pgconn.transaction_status,
    "psycopg2": lambda connection: connection.get_transaction_status(),
}


def watch(engine: sa.Engine) -> None:
    """Mark each of the driver's errors that a COMMIT of this engine raises, from now on.

    And refuse the COMMIT of a transaction that PostgreSQL has given up after an error that was
    caught: the server answers it with a rollback, and no error. An engine's dialect is its own. To
    stand round its method costs nothing for statements, while a listener for "commit" would cost
    each of them.
    """
    dialect: Any = engine.dialect
    commit = dialect.do_commit
    status = _STATUS.get(dialect.driver)

    def do_commit(connection: Any) -> None:
        if status is not None and status(connection.driver_connection) == _IN_ERROR:
            # Here, for SQLAlchemy takes a transaction whose COMMIT failed for ended.
            dialect.do_rollback(connection)
            raise BrokenSession(_GIVEN_UP)
        try:
            commit(connection)
        except dialect.loaded_dbapi.Error as error:
            setattr(error, _MARK, True)
            raise

    dialect.do_commit = do_commit


def came_from_commit(error: BaseException) -> bool:
    """Whether the driver's error was raised by COMMIT."""
    return getattr(error, _MARK, False)


_GIVEN_UP = (
    "A statement of this transaction failed and its error was caught, so PostgreSQL has given the"
    " transaction up, and would answer COMMIT with a rollback. Put the part that may fail into a"
    " savepoint, with db.transaction(): ... or session.begin_nested(), and catch its error outside"
    " of that."
)
