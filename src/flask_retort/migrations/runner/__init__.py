"""Runs revisions: one process at a time, each revision whole or not at all, over many databases."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from flask_retort.config_sections import MigrationsConfig
from flask_retort.migrations.progress import NothingToDo, Report, silent

from .database import Database, Work

__all__ = ["Work", "run", "stamp"]


def run(
    works: Sequence[Work],
    *,
    settings: MigrationsConfig,
    report: Report = silent,
    downgrade: bool = False,
) -> int:
    """Apply what is pending and return the number of revisions applied, over all databases.

    All locks are taken first; then the databases advance revision by revision
    in the order of the history, so that none is far ahead of the others when one fails.

    :param works: one for each database, of one history.
    :param downgrade: whether the contexts' command goes downwards.
    :raises flask_retort.errors.MigrationError: see its subclasses. What was applied before stays.
    """
    applied = 0
    with ExitStack() as stack:
        databases = [Database(work, settings, report, downgrade=downgrade) for work in works]
        # Locked in one order everywhere: runs that list them otherwise don't wait for each other.
        for database in sorted(databases, key=lambda database: database.address):
            stack.enter_context(database)
        for database in databases:
            database.plan()
        idle = [database for database in databases if not database.pending]
        rank = _ranks(works, downgrade=downgrade)
        while waiting := [database for database in databases if database.pending]:
            min(
                waiting, key=lambda database: rank.get(database.pending[0].revision.revision, 0)
            ).advance()
            applied += 1
        for database in databases:
            database.tidy()
        for database in idle:
            report(NothingToDo(database.name, database.heads))
    return applied


def stamp(works: Sequence[Work], *, settings: MigrationsConfig, report: Report = silent) -> None:
    """Write the asked revision into the version tables, and forget what was half done.

    :param works: one for each database, of one history.
    """
    with ExitStack() as stack:
        databases = [
            stack.enter_context(Database(work, settings, report, downgrade=False)) for work in works
        ]
        for database in databases:
            database.stamp()


def _ranks(works: Sequence[Work], *, downgrade: bool) -> dict[str, int]:
    """The place of each revision in the order in which they are applied."""
    script = works[0].context.script if works else None
    if script is None or len(works) < 2:
        return {}
    newest_first = [revision.revision for revision in script.walk_revisions()]
    order = newest_first if downgrade else newest_first[::-1]
    return {revision: place for place, revision in enumerate(order)}
