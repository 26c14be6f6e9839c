"""What the commands print about revisions and databases, in Alembic's form."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Any

from alembic.runtime.migration import MigrationContext

from flask_retort.checks import masked
from flask_retort.errors import MigrationError

from . import _alembic
from .bindings import DEFAULT
from .project import Project
from .status import DatabaseStatus, database_status, is_missing_file, status_of_nothing

Heads = tuple[str, ...]


def put(text: str) -> None:
    """Write a line to the standard output of this moment."""
    sys.stdout.write(f"{text}\n")


def show(project: Project, revision: str) -> None:
    """One revision in full, or those that the databases are at."""
    for script in project.revisions(project.current_heads() if revision == "current" else revision):
        put(script.log_entry)


def history(project: Project, rev_range: str | None, verbose: bool, indicate_current: bool) -> None:
    """The revisions of a range, the newest first."""
    base, _, head = (rev_range or ":").strip().partition(":")
    if rev_range is not None and ":" not in rev_range:
        raise MigrationError(
            f"'{rev_range}' is not a range of revisions. Write FROM:TO, FROM: or :TO, such as"
            " 'flask db history -r base:current'."
        )
    if "current" not in (base, head):
        currents = project.current_heads() if indicate_current else ()
        _put_range(project, base or "base", head or "heads", verbose, currents)
        return
    for database, at in project.heads().items():
        if project.is_several:
            put(f"Database {database or DEFAULT}:")
        _put_range(
            project,
            at if base == "current" else base or "base",
            at if head == "current" else head or "heads",
            verbose,
            at,
        )


def _put_range(
    project: Project,
    base: str | Heads,
    head: str | Heads,
    verbose: bool,
    currents: Collection[str],
) -> None:
    for script in project.walk(base, head):
        _alembic.mark_current(script, script.revision in currents)
        put(
            script.cmd_format(
                verbose=verbose, include_branches=True, include_doc=True, include_parents=True
            )
        )


def heads(project: Project, verbose: bool, resolve_dependencies: bool) -> None:
    """The revisions that none follows."""
    if project.history.is_alone:
        put(f"Database {project.databases[0].title}:")
    names: str | Sequence[str] = "heads" if resolve_dependencies else project.script.get_heads()
    for script in project.revisions(names):
        put(script.cmd_format(verbose, include_branches=True, tree_indicators=False))


def branches(project: Project, verbose: bool) -> None:
    """The revisions that several follow, each with these."""
    for script in project.walk("base", "heads"):
        if script.is_branch_point:
            put(script.cmd_format(verbose, include_branches=True))
            for successor in project.revisions(sorted(script.nextrev)):
                text = successor.cmd_format(False, include_branches=True, include_doc=verbose)
                put(f"{' ' * len(script.revision)} -> {text}")
            put("")


def current(project: Project, verbose: bool) -> None:
    """The revisions that each database is at; with its name where there are several."""

    def tell(heads: Heads, context: MigrationContext, database: str) -> list[Any]:
        name = f"{database or DEFAULT}: " if project.is_several else ""
        if verbose:
            assert context.connection is not None
            put(f"{name}Current revision(s) for {masked(context.connection.engine.url)}:")
        scripts = project.all_current(heads)
        for script in scripts:
            put(script.cmd_format(True) if verbose else f"{name}{script.cmd_format(False)}")
        if not scripts and name and not verbose:
            put(f"{name}no revision")
        return []

    project.run(tell)


def statuses(project: Project) -> list[DatabaseStatus]:
    """Where the databases stand; one that is not there yet is not made by looking."""
    found: dict[str, DatabaseStatus] = {}
    missing = [one for one in project.databases if is_missing_file(one.engine.url)]
    if project.folder.env_py is None or len(missing) == len(project.databases):
        found = {
            one.name: status_of_nothing(one.name, one.engine.url, project.script) for one in missing
        }
        names = [one.name for one in project.databases]
        project = project.only([name for name in names if name not in found])
        if not project.databases and found:
            return list(found.values())

    def look(_: Heads, context: MigrationContext, name: str) -> list[Any]:
        settings = project.surroundings.settings
        found[name] = database_status(name, context, project.script, settings)
        return []

    project.run(look, check_known=False)
    return list(found.values())
