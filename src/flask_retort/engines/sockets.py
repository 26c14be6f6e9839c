"""The socket under a server connection."""

from __future__ import annotations

from typing import Any


def fileno(connection: Any) -> int | None:
    """File descriptor of an open driver connection; None where the driver has none to give.

    psycopg, psycopg2 and mysqlclient document ``fileno()`` and refuse it on a closed connection.
    PyMySQL keeps its socket in a private attribute and has no other access to it; without it a
    connection that the server has closed would be noticed only by a failing request.
    """
    owner = connection if hasattr(connection, "fileno") else getattr(connection, "_sock", None)
    if owner is None:
        return None
    try:
        number: int = owner.fileno()
    except connection.Error:
        return None
    return number if number >= 0 else None
