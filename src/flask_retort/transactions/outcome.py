"""How a transaction ended whose COMMIT was not answered: asked of the server by its number."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from flask_retort.errors import CommitOutcomeUnknown

from . import writes

PATIENCE = 5.0
"""Seconds to wait for a transaction that the server is still at."""

_PAUSE = 0.05
_FIRST_VERSION = (13,)

_NUMBER = sa.text("SELECT pg_current_xact_id_if_assigned()::text, pg_postmaster_start_time()")
_STATUS = sa.text(
    "SELECT CASE WHEN pg_postmaster_start_time() = :started"
    " THEN pg_xact_status(CAST(CAST(:number AS text) AS xid8)) END"
)


@dataclass(frozen=True, slots=True)
class Number:
    """The number of a transaction on one server, whose COMMIT can be asked for later.

    :param engine: opens the connection to ask over.
    :param number: the transaction's ``xid8``.
    :param started: when the server was started that gave it. Another one, such as the replica that
        takes over, may have given the same number to another transaction.
    """

    engine: sa.Engine
    number: str
    started: Any


def number(session: Session) -> tuple[Number, ...] | None:
    """The numbers of the open transaction, which is about to be committed and is flushed.

    Costs one round trip on PostgreSQL if something was written, nothing elsewhere. None where there
    is nothing to ask for: nothing was written, or the database has no such numbers.
    """
    transaction = session.get_transaction()
    if transaction is None or not writes.has_written(session):
        return None
    numbers = [_number(connection) for connection in transaction.connections]
    known = tuple(one for one in numbers if one is not None)
    return known if known and len(known) == len(numbers) else None


def attach(error: CommitOutcomeUnknown, numbers: Sequence[Number]) -> None:
    """Let ``error.resolve()`` ask for these numbers.

    It answers True or False only if all of them have the same end: a transaction over several
    databases can be committed on some of them.
    """
    error.resolver = functools.partial(_resolve, tuple(numbers))


def _number(connection: sa.Connection) -> Number | None:
    dialect = connection.dialect
    if dialect.name != "postgresql" or (dialect.server_version_info or ()) < _FIRST_VERSION:
        return None
    found, started = connection.execute(_NUMBER).one()
    return None if found is None else Number(connection.engine, found, started)


def _resolve(numbers: tuple[Number, ...]) -> bool | None:
    ends = {_end_of(one) for one in numbers}
    return ends.pop() if len(ends) == 1 else None


def _end_of(one: Number) -> bool | None:
    deadline = time.monotonic() + PATIENCE
    values = {"number": one.number, "started": one.started}
    with one.engine.connect() as connection:
        while True:
            status = connection.execute(_STATUS, values).scalar_one()
            if status != "in progress" or time.monotonic() > deadline:
                return {"committed": True, "aborted": False}.get(status)
            time.sleep(_PAUSE)
