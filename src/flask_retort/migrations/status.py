"""Where a database stands: its revisions, who migrates it, what was left half done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from flask_retort.checks import masked
from flask_retort.config_sections import MigrationsConfig

from . import _alembic
from .backends import backend_for
from .bindings import DEFAULT
from .runner.journal import Mark, half_done

_INVALID_INDEXES = """
    SELECT CAST(CAST(i.indexrelid AS regclass) AS text) FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname <> 'pg_toast'
    ORDER BY 1
"""
_BATCH_PREFIX = "_alembic_tmp_"


@dataclass(frozen=True, slots=True)
class Pending:
    """A revision that the code has and the database not."""

    revision: str
    title: str


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """One database at one moment.

    :param database: the bind key, empty for the default one.
    :param url: without password.
    :param current: the revisions that it is at, none before the first one.
    :param heads: the revisions where the code's history ends.
    :param pending: what an upgrade would apply, in its order.
    :param unknown: those of ``current`` that the code does not have, because it is older.
    :param runner: who migrates it at the moment; empty where nobody does.
    :param half_done: the revision of which only the first statements are made.
    :param leftovers: what failed runs of others have left behind, each in words.
    """

    database: str
    url: str
    current: tuple[str, ...]
    heads: tuple[str, ...]
    pending: tuple[Pending, ...]
    unknown: tuple[str, ...] = ()
    runner: str = ""
    half_done: Mark | None = None
    leftovers: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether all revisions of this code are applied, whole.

        A database that is ahead is ready: the instances of the release before run on it while the
        next one is rolled out.
        """
        left = self.half_done
        is_undone = left is not None and left.downgrade and left.revision not in self.unknown
        return not self.pending and not is_undone

    def lines(self) -> list[str]:
        """The same for people."""
        return [f"{self.database or DEFAULT}  {self.url}", *(f"  {line}" for line in self._facts())]

    def _facts(self) -> list[str]:
        facts = [f"at          {_names(self.current) or 'no revision'}{self._goal()}"]
        facts += [f"ahead       {name} is unknown to this code" for name in self.unknown]
        facts += [f"pending     {step.revision}  {step.title}".rstrip() for step in self.pending]
        if self.half_done is not None:
            facts.append(f"half done   {_half(self.half_done)}")
        if self.runner:
            facts.append(f"migrating   {self.runner}")
        facts += [f"left over   {thing}" for thing in self.leftovers]
        return facts

    def _goal(self) -> str:
        if self.current and not self.pending and not self.unknown:
            return " (head)"
        if not self.heads:
            return ", and the code has none"
        return f", the code is at {_names(self.heads)}"


def database_status(
    name: str, context: MigrationContext, script: ScriptDirectory, settings: MigrationsConfig
) -> DatabaseStatus:
    """Look at one database. Changes nothing, and does not wait for a migration that is under way.

    :param name: its bind key.
    :param context: configured, with a connection.
    """
    connection = context.connection
    assert connection is not None
    table = _alembic.version_table(context)
    current = tuple(sorted(context.get_current_heads()))
    left = half_done(connection, table.name, table.schema)
    runner = _runner(connection.engine, table.fullname, settings)
    return DatabaseStatus(
        database=name,
        url=masked(connection.engine.url),
        current=current,
        heads=tuple(sorted(script.get_heads())),
        pending=pending(script, current),
        unknown=_unknown(script, current),
        runner=runner,
        half_done=left,
        # While somebody is at work, nothing is left over yet.
        leftovers=() if runner else tuple(_leftovers(connection)),
    )


def status_of_nothing(name: str, url: sa.URL, script: ScriptDirectory) -> DatabaseStatus:
    """The status of a database that is not there yet."""
    heads = tuple(sorted(script.get_heads()))
    return DatabaseStatus(name, masked(url), (), heads, pending(script, ()))


def is_missing_file(url: sa.URL) -> bool:
    """Whether this is a SQLite database that connecting to it would create."""
    path = url.database
    if url.get_backend_name() != "sqlite" or not path or path == ":memory:":
        return False
    return not path.startswith("file:") and not os.path.exists(path)


def pending(script: ScriptDirectory, current: Sequence[str]) -> tuple[Pending, ...]:
    """What an upgrade to the heads would apply to a database at these revisions.

    Nothing where the code does not know one of them: what came before it can't be told.
    """
    if _unknown(script, current):
        return ()
    steps = cast("list[_alembic.Step]", _alembic.upgrade_steps(script, "heads", current))
    return tuple(Pending(step.revision.revision, step.doc or "") for step in steps)


def _unknown(script: ScriptDirectory, current: Sequence[str]) -> tuple[str, ...]:
    return tuple(revision for revision in current if not _is_known(script, revision))


def _is_known(script: ScriptDirectory, revision: str) -> bool:
    try:
        script.get_revisions(revision)
    except CommandError:
        return False
    return True


def _runner(engine: sa.Engine, version_table: str, settings: MigrationsConfig) -> str:
    lock = backend_for(engine.dialect, settings).lock(engine, version_table)
    try:
        return lock.holder()
    finally:
        lock.release()


def _leftovers(connection: sa.Connection) -> list[str]:
    tables = sa.inspect(connection).get_table_names()
    found = [f"table {name}" for name in sorted(tables) if name.startswith(_BATCH_PREFIX)]
    if connection.dialect.name == "postgresql":
        names = connection.scalars(sa.text(_INVALID_INDEXES))
        found += [f"index {name} is not valid: its build has failed" for name in names]
    return found


def _names(revisions: Sequence[str]) -> str:
    return ", ".join(revisions)


def _half(left: Mark) -> str:
    verb = "downgrade" if left.downgrade else "upgrade"
    many = "1 statement is" if left.done == 1 else f"{left.done} statements are"
    last = f", the last begins '{left.last}'" if left.last else ""
    return f"{verb} {left.revision}: {many} made{last}; 'flask db {verb}' goes on from there"
