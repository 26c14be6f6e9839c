"""Indexes of PostgreSQL that are built beside others' work, and what is left when that fails."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from flask_retort.errors import RevisionFailed

from . import own
from .postgresql_statements import CreatedIndex, created_index, dropped_index, reindexed

_INDEX = """
    SELECT c.oid, i.indisvalid,
           format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I', n.nspname, c.relname)
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
"""
# relkind 'i': a partitioned index (I) is rightly invalid until all partitions have theirs.

_NAMED = (
    _INDEX
    + """
    WHERE i.indrelid = pg_catalog.to_regclass(CAST(:table AS text))
      AND c.relname = CAST((pg_catalog.parse_ident(CAST(:name AS text)))[1] AS name)
"""
)

_LEFT_BY_REINDEX = (
    _INDEX  # noqa: S608 - a constant
    + r"""
    WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
      AND i.indrelid IN (
        SELECT CAST(pg_catalog.to_regclass(CAST(:name AS text)) AS oid) WHERE :is_table
        UNION ALL
        SELECT indrelid FROM pg_catalog.pg_index
        WHERE indexrelid = pg_catalog.to_regclass(CAST(:name AS text)) AND NOT :is_table
      )
"""
)


class _Index(NamedTuple):
    oid: int
    is_valid: bool
    drop: str
    """The statement that drops it, with its names quoted by the server."""


def drop_leftovers(connection: sa.Connection, statement: str) -> None:
    """Drop what an earlier try of this CREATE or REINDEX CONCURRENTLY has left unusable.

    Such an index is written to and never read, and keeps its name; a unique one still refuses
    rows. Waits for transactions that use the table. The connection has to be in autocommit.
    """
    for index in _leftovers(connection, statement):
        # The colon would begin a parameter, in a name that has one.
        own(connection, index.drop.replace(":", r"\:"))


def fingerprint(connection: sa.Connection, statement: str) -> str:
    """The number of the index that has the statement's name now; empty where there is none."""
    created, dropped = created_index(statement), dropped_index(statement)
    if created is not None:
        index = _find(connection, created)
        return "" if index is None else str(index.oid)
    if dropped is not None:
        oid: int | None = own(
            connection,
            "SELECT CAST(pg_catalog.to_regclass(CAST(:name AS text)) AS oid)",
            {"name": dropped},
        ).scalar()
        return "" if oid is None else str(oid)
    return ""


def was_done(connection: sa.Connection, statement: str, fingerprint: str) -> bool:
    """Whether an interrupted CREATE or DROP INDEX CONCURRENTLY came to its end.

    :param fingerprint: as of before it.
    """
    created = created_index(statement)
    if created is not None:
        index = _find(connection, created)
        is_new = index is not None and (created.if_not_exists or str(index.oid) != fingerprint)
        return index is not None and index.is_valid and is_new
    if dropped_index(statement) is not None and fingerprint:
        query = "SELECT 1 FROM pg_catalog.pg_class WHERE oid = CAST(CAST(:oid AS text) AS oid)"
        return own(connection, query, {"oid": fingerprint}).scalar() is None
    return False


def assert_valid(connection: sa.Connection, statement: str) -> None:
    """Nothing, where the index of this CREATE INDEX CONCURRENTLY is there and can be used.

    :raises RevisionFailed: it is not.
    """
    created = created_index(statement)
    if created is None:
        return
    index = _find(connection, created)
    if index is None:
        raise RevisionFailed(
            f"The index {created.name} on {created.table} is not there after its CREATE INDEX"
            " CONCURRENTLY: something else has its name, and IF NOT EXISTS made the server skip it"
            " without an error. Give the index another name, or drop what has it."
        )
    if not index.is_valid:
        raise RevisionFailed(
            f"The index {created.name} on {created.table} is marked invalid: it costs time on every"
            " write and no query uses it. Run the command again: it drops the index and builds it"
            " anew."
        )


def _leftovers(connection: sa.Connection, statement: str) -> list[_Index]:
    created, again = created_index(statement), reindexed(statement)
    if created is not None:
        index = _find(connection, created)
        return [] if index is None or index.is_valid else [index]
    if again is not None:
        parameters = {"name": again.name, "is_table": again.is_table}
        return [_Index._make(row) for row in own(connection, _LEFT_BY_REINDEX, parameters)]
    return []


def _find(connection: sa.Connection, created: CreatedIndex) -> _Index | None:
    parameters = {"table": created.table, "name": created.name}
    row = own(connection, _NAMED, parameters).first()
    return None if row is None else _Index._make(row)
