"""Whether something between us and PostgreSQL changes the server session behind a connection."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.checks import masked
from flask_retort.errors import BehindPooler

from . import own
from .aside import connect_aside

ROUNDS = 3
"""How often it is tried to be given another session. More find out poolers that are busy."""


def refuse_pooler(engine: sa.Engine, connection: sa.Connection) -> None:
    """Nothing where a connection keeps its server session; opens a second one for a moment.

    Poolers in session mode keep it too. Costs some ten round trips. Sets nothing: behind a pooler
    that would stay on a session of others.

    :param connection: of this engine, in autocommit and beside the pool.
    :raises BehindPooler: it does not, as behind pgbouncer in transaction or statement mode.
    """
    second = connect_aside(engine)
    try:
        shares = _shares_sessions(connection, second)
    finally:
        second.close()
    if shares:
        raise BehindPooler(_message(engine))


def _shares_sessions(first: sa.Connection, second: sa.Connection) -> bool:
    """Whether the second, in a transaction, gets the session of the first or makes it move."""
    session = _session(first)
    for _ in range(ROUNDS):
        try:
            own(second, "BEGIN")
        except exc.DBAPIError:
            # A pooler in statement mode refuses it. If the server is gone instead, this raises:
            _session(first)
            return True
        # In this order: a pooler with one session would let the first wait for the second.
        if _session(second) == session or _session(first) != session:
            return True
        own(second, "ROLLBACK")
        # Once more with nobody in the way, or a pooler with two sessions could deal them out
        # evenly for ever.
        if _session(first) != session:
            return True
    return False


def _session(connection: sa.Connection) -> int:
    number: int = own(connection, "SELECT pg_backend_pid()").scalar_one()
    return number


def _message(engine: sa.Engine) -> str:
    return (
        f"The connection to {masked(engine.url)} goes through a pooler that may give each"
        " transaction another session of the server, such as pgbouncer in transaction or statement"
        " mode. The lock and the time limits of a migration belong to one session: two runs could"
        " be at work at once, and their settings would stay with other clients. Run 'flask db' with"
        " a URL that has the server's own host and port, or those of a pool in session mode; the"
        " application itself may keep its URL."
    )
