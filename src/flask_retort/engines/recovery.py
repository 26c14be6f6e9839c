"""A server's connection that was idle for long, or has something to say, is tried at checkout."""

from __future__ import annotations

import select
from collections.abc import Callable
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from flask_retort.config import Config

from . import sockets

_IDLE_SINCE = "retort_idle_since"
_IS_QUIET = "retort_is_quiet"


def prepare(options: dict[str, Any], config: Config) -> float | None:
    """The idle time to give to :func:`attach`, or None where nothing is to be attached.

    ``pool_pre_ping`` among the options, true or false, is the user's decision. An idle time of 0
    is SQLAlchemy's own pre-ping, which this switches on.
    """
    after_idle = config.RETORT_PING_AFTER_IDLE
    if "pool_pre_ping" in options or options["url"].get_backend_name() == "sqlite":
        return None
    if after_idle == 0 and "pool" not in options:
        options["pool_pre_ping"] = True
        return None
    return after_idle


def attach(engine: sa.Engine, after_idle: float) -> None:
    """Try a pooled connection at checkout when it may be dead; no round trip where it need not be.

    It may be dead after so many seconds in the pool, or when its socket has something to read: a
    server has nothing to say on an idle connection but that it ends. If the ping fails, all
    connections opened before now are replaced, as after SQLAlchemy's pre-ping.

    :param after_idle: seconds.
    """
    if engine.dialect.is_async or isinstance(engine.pool, NullPool):
        return
    watch = _Watch(engine.dialect, after_idle)
    event.listen(engine, "connect", watch.connected)
    event.listen(engine, "checkin", watch.checked_in)
    event.listen(engine, "checkout", watch.checked_out)


class _Watch:
    def __init__(self, dialect: sa.Dialect, after_idle: float) -> None:
        self._dialect = dialect
        self._after_idle = after_idle

    def connected(self, connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_IS_QUIET] = _poll(sockets.fileno(connection))

    def checked_in(self, connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_IDLE_SINCE] = monotonic()

    def checked_out(self, connection: Any, record: ConnectionPoolEntry, proxy: Any) -> None:
        info = record.info
        idle_since = info.get(_IDLE_SINCE)
        if idle_since is None:
            return
        if monotonic() - idle_since < self._after_idle and not info[_IS_QUIET]():
            return
        self._ping(connection)

    def _ping(self, connection: Any) -> None:
        dialect = self._dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            if not dialect.is_disconnect(error, connection, None):
                raise
            raise exc.InvalidatePoolError() from error


def _poll(fileno: int | None) -> Callable[[], Any]:
    """A call that is true when the socket can be read or is closed, without waiting."""
    if fileno is None:
        return lambda: False
    if not hasattr(select, "poll"):
        return lambda: select.select([fileno], [], [], 0)[0]
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return lambda: poll.poll(0)
