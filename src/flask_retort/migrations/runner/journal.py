"""How far a revision has come that can't be rolled back whole, kept in the database itself."""

from __future__ import annotations

import datetime as dt
import zlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.schema import CreateTable, DropTable

from flask_retort.migrations.backends import INTERNAL

JOURNAL_SUFFIX = "_steps"
LONGEST_NAME = 63
"""What the narrowest server allows for the name of a table."""
_OURS = {INTERNAL: True}


def journal_name(version_table: str) -> str:
    """The name of the journal beside this version table."""
    name = f"{version_table}{JOURNAL_SUFFIX}"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{version_table[:40]}_{zlib.crc32(version_table.encode()):08x}{JOURNAL_SUFFIX}"


@dataclass(frozen=True, slots=True)
class Mark:
    """What an earlier run left of a revision.

    ``done`` statements have run, ``digest`` stands for their text and order, ``last`` is how the
    last of them begins. During ``running`` the process ended: it may have taken effect;
    ``fingerprint`` is what the back end noted before.
    """

    revision: str
    downgrade: bool
    done: int
    digest: str
    last: str = ""
    running: str | None = None
    fingerprint: str = ""


def half_done(connection: sa.Connection, version_table: str, schema: str | None) -> Mark | None:
    """What was left by a run that did not end, or None. Changes nothing."""
    return Journal(connection, version_table, schema).read()


class Journal:
    """The journal of one database: a table of one row that is there while something is half done.

    All statements go through the connection of the migration, so that a row is committed together
    with what it tells of.
    """

    def __init__(self, connection: sa.Connection, version_table: str, schema: str | None) -> None:
        self._connection = connection
        self._table = _table(journal_name(version_table), schema)
        self._is_there = False
        self._has_row = False

    def prepare(self) -> None:
        """Create the table unless it is known to be there."""
        if not self._is_there:
            self._execute(CreateTable(self._table, if_not_exists=True))
            self._is_there = True

    def read(self) -> Mark | None:
        """The row as it is in the database now, or None where there is no row or no table."""
        self._is_there = self._exists()
        row = None
        if self._is_there:
            row = self._execute(sa.select(self._table)).mappings().first()
        self._has_row = row is not None
        if row is None:
            return None
        return Mark(
            revision=row["revision"],
            downgrade=row["direction"] == "downgrade",
            done=row["done"],
            digest=row["digest"],
            last=row["last"],
            running=row["running"],
            fingerprint=row["fingerprint"],
        )

    def write(self, mark: Mark) -> None:
        """Put the row, in the current transaction. The table has to be there."""
        values = {
            "revision": mark.revision,
            "direction": "downgrade" if mark.downgrade else "upgrade",
            "done": mark.done,
            "digest": mark.digest,
            "last": mark.last,
            "running": mark.running,
            "fingerprint": mark.fingerprint,
            "changed_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        }
        statement = sa.update(self._table) if self._has_row else sa.insert(self._table)
        self._execute(statement.values(values))
        self._has_row = True

    def clear(self) -> None:
        """Delete the row, in the current transaction."""
        if self._has_row:
            self._execute(sa.delete(self._table))
            self._has_row = False

    def drop(self) -> None:
        """Drop the table if it is there and empty."""
        # What is known may have been rolled back, so it is read again; but not without need.
        if self._is_there and self.read() is None and self._is_there:
            self._execute(DropTable(self._table))
            self._is_there = False

    def _exists(self) -> bool:
        return sa.inspect(self._connection).has_table(self._table.name, schema=self._table.schema)

    def _execute(self, statement: Any) -> sa.CursorResult[Any]:
        result: sa.CursorResult[Any] = self._connection.execute(statement, execution_options=_OURS)
        return result


def _table(name: str, schema: str | None) -> sa.Table[Any]:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("revision", sa.String(255), primary_key=True),
        sa.Column("direction", sa.String(9), nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("last", sa.String(200), nullable=False),
        sa.Column("running", _ANY_LENGTH, nullable=True),
        sa.Column("fingerprint", _ANY_LENGTH, nullable=False),
        sa.Column("changed_at", sa.String(32), nullable=False),
        schema=schema,
        **_TRANSACTIONAL,
    )


# What a MySQL database has for a default can be without transactions, or without most letters.
_TRANSACTIONAL: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (("engine", "InnoDB"), ("charset", "utf8mb4"))
}
_ANY_LENGTH = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")
