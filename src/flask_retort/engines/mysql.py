"""MySQL and MariaDB: defaults of their drivers, and snapshot isolation on each connection."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from flask_retort.config_sections import MySQLConfig

CONNECT_TIMEOUT = 10
"""Seconds, PyMySQL's own default. mysqlclient by itself waits as long as the operating system."""

POOL_RECYCLE = 7200
"""Seconds; the servers drop connections that were idle for eight hours."""

_UNKNOWN_VARIABLE = 1193


def apply_defaults(options: dict[str, Any]) -> None:
    """Set utf8mb4, the connect timeout, and ``pool_recycle`` for pools that queue."""
    url: URL = options["url"]
    poolclass = options.get("poolclass", QueuePool)
    queues = isinstance(poolclass, type) and issubclass(poolclass, QueuePool)
    if queues and "pool" not in options:
        options.setdefault("pool_recycle", POOL_RECYCLE)
    if url.get_driver_name() not in ("mysqldb", "pymysql"):
        return
    connect_args = options.setdefault("connect_args", {})
    if "charset" not in url.query and "charset" not in connect_args:
        options["url"] = url.update_query_dict({"charset": "utf8mb4"})
    if "connect_timeout" not in url.query:
        connect_args.setdefault("connect_timeout", CONNECT_TIMEOUT)


def attach(engine: sa.Engine, config: MySQLConfig) -> None:
    """Set ``innodb_snapshot_isolation`` on each new connection, if the server has the variable.

    At the default isolation level of MariaDB 10.11, a transaction that reads a row and then writes
    it silently overwrites what another has committed in between. With the variable on, it gets
    error 1020 and can be run again. The first connection finds out whether the server has it
    (MariaDB does since 10.6.18; MySQL does not). The setting belongs to the session; poolers for
    these servers know which sessions have settings and keep them apart.
    """
    if config.snapshot_isolation and engine.dialect.driver in ("mysqldb", "pymysql"):
        event.listen(engine, "connect", _SnapshotIsolation(engine))


class _SnapshotIsolation:
    def __init__(self, engine: sa.Engine) -> None:
        self._error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._is_known = True

    def __call__(self, connection: Any, record: Any) -> None:
        if not self._is_known:
            return
        cursor = connection.cursor()
        try:
            cursor.execute("SET SESSION innodb_snapshot_isolation = ON")
        except self._error as error:
            if error.args[:1] != (_UNKNOWN_VARIABLE,):
                raise
            self._is_known = False
        finally:
            cursor.close()
