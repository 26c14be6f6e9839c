"""A disposed engine closes the connections in use too, when they are given back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry

_GENERATION = "retort_generation"


def attach(engine: sa.Engine) -> None:
    """Let ``engine.dispose()`` reach every connection; costs half a microsecond at each return.

    By itself SQLAlchemy puts a connection that was in use back into the pool that the engine has
    left, where it stays open until the collector finds it.
    """
    generation = _Generation()
    event.listen(engine, "connect", generation.opened)
    event.listen(engine, "checkin", generation.given_back)
    event.listen(engine, "engine_disposed", generation.end)


class _Generation:
    def __init__(self) -> None:
        self._number = 0

    def opened(self, connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_GENERATION] = self._number

    def given_back(self, connection: Any, record: ConnectionPoolEntry) -> None:
        if record.info.get(_GENERATION, self._number) != self._number:
            record.close()

    def end(self, engine: sa.Engine) -> None:
        self._number += 1
