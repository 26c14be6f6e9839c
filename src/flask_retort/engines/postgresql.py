"""PostgreSQL: defaults of its two synchronous drivers."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy.engine import URL

CONNECT_TIMEOUT = 10
"""Seconds for each host. libpq itself waits as long as the operating system, about two minutes."""

POOL_RECYCLE = 7200
"""Seconds. Lets a pool drift back to a server that has failed over, and bounds a back end's age."""


def apply_defaults(options: dict[str, Any], pooler: str | None) -> None:
    """Set the connect timeout and ``pool_recycle``; behind a pooler, no prepared statements.

    A pooler in transaction mode hands every transaction to another server connection. psycopg 3
    prepares a statement on the server when it has run five times, under a name that then exists on
    one server connection only, or stands for another client's statement on the next: behind
    pgbouncer 1.18 queries were seen to succeed with another query's values. psycopg2 never
    prepares by itself. Nothing is SET when a connection is made, since it would stay on the server
    connection for whichever client comes next.
    """
    url: URL = options["url"]
    driver = url.get_driver_name()
    if "pool" not in options:
        options.setdefault("pool_recycle", POOL_RECYCLE)
    if driver not in ("psycopg", "psycopg2"):
        return
    connect_args = options.setdefault("connect_args", {})
    if "connect_timeout" not in url.query and "PGCONNECT_TIMEOUT" not in os.environ:
        connect_args.setdefault("connect_timeout", CONNECT_TIMEOUT)
    if pooler == "transaction" and driver == "psycopg":
        connect_args.setdefault("prepare_threshold", None)
