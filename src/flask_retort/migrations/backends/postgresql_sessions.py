"""What sessions of PostgreSQL are doing, in words: never with the text of their statements."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from . import Observed, own

# Statements may hold secrets, so the column "query" is not read.
_BLOCKERS = """
    SELECT DISTINCT ON (b.pid) b.pid, a.usename, a.application_name, a.state, a.backend_type,
           host(a.client_addr) AS address,
           CAST(extract(epoch FROM clock_timestamp() - a.state_change) AS bigint) AS seconds
    FROM unnest(pg_catalog.pg_blocking_pids(CAST(:worker AS int))) AS b (pid)
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = b.pid
    ORDER BY b.pid
"""
_INDEX = """
    SELECT phase, lockers_done, lockers_total, blocks_done, blocks_total, tuples_done, tuples_total
    FROM pg_catalog.pg_stat_progress_create_index
    WHERE pid = CAST(:worker AS int)
"""


def observed(connection: sa.Connection, worker: int) -> Observed:
    """Who blocks this session, and how far the index is that it builds. Costs two round trips."""
    blockers = tuple(_blocker(row) for row in own(connection, _BLOCKERS, {"worker": worker}))
    building = own(connection, _INDEX, {"worker": worker}).first()
    return Observed(blockers, "" if building is None else _progress(building, blockers))


def _blocker(row: sa.Row[Any]) -> str:
    """Such as "session 4711 of user app (psql at 10.0.0.4), idle in transaction since 42 s"."""
    if row.pid == 0:
        return "a prepared transaction, one of pg_prepared_xacts"
    if row.usename is None:
        return f"session {row.pid}" + (f" ({row.backend_type})" if row.backend_type else "")
    place = " at ".join(filter(None, (row.application_name, row.address)))
    words = f"session {row.pid} of user {row.usename}" + (f" ({place})" if place else "")
    return words if row.state is None else f"{words}, {row.state} since {max(row.seconds, 0)} s"


def _progress(row: sa.Row[Any], blockers: tuple[str, ...]) -> str:
    phase: str = row.phase
    if phase.startswith("waiting for"):
        what = f"waiting for older transactions ({row.lockers_done} of {row.lockers_total} ended)"
        return f"{what}: {'; '.join(blockers)}" if blockers else what
    for done, total in (
        (row.tuples_done, row.tuples_total),
        (row.blocks_done, row.blocks_total),
    ):
        if total:
            return f"{phase} {100 * done // total} %"
    return phase
