"""New revision files, and what is compared for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from alembic.autogenerate import RevisionContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script
from alembic.util import asbool, rev_id

from flask_retort.errors import MigrationError

from . import _alembic
from .autogenerate import differences
from .bindings import DEFAULT
from .project import Project

Heads = tuple[str, ...]
_ID = re.compile(r"[A-Za-z0-9_]{1,32}")
"""An id fits the version table's column; with a minus it would be a count, such as "a-1"."""
_SYMBOLS = ("head", "heads", "base", "current")
NOTHING_ASKED: dict[str, Any] = {
    "message": None,
    "autogenerate": True,
    "sql": False,
    "head": "head",
    "splice": False,
    "branch_label": None,
    "version_path": None,
    "rev_id": None,
    "depends_on": None,
}


def revise(project: Project, asked: dict[str, Any]) -> list[Path]:
    """Write the revision file that was asked for, whole or not at all.

    :param asked: the arguments of Alembic's ``revision`` command.
    :return: the paths of what was written; none where nothing differs.
    """
    _check_asked(project, asked)
    context = RevisionContext(project.config, project.script, dict(asked))
    context.template_args.update(_template_args(project))
    look: Callable[..., None] | None = None
    if asked["autogenerate"]:
        look = context.run_autogenerate
    elif asbool(project.config.get_alembic_option("revision_environment")):
        look = context.run_no_autogenerate
    if look is not None:
        project.run(
            _looking(project, look, up_to_date=asked["autogenerate"]),
            as_sql=asked["sql"],
            template_args=context.template_args,
            revision_context=context,
        )
    if asked["autogenerate"] and _is_empty(context):
        return []
    with project.writing():
        return [Path(script.path) for script in context.generate_scripts() if script is not None]


def _is_empty(context: RevisionContext) -> bool:
    """Whether nothing was found, also where not all databases were looked at."""
    return all(
        operations.is_empty()
        for script in context.generated_revisions
        for operations in script.upgrade_ops_list
    )


def differences_of(project: Project) -> list[str]:
    """What :func:`revise` would write, in one line for each difference."""
    context = RevisionContext(project.config, project.script, dict(NOTHING_ASKED))
    names: list[str] = []

    def look(heads: Any, migration: MigrationContext, database: str) -> list[Any]:
        names.append(f"{database or DEFAULT}: " if project.is_several else "")
        return list(
            _looking(project, context.run_autogenerate, up_to_date=True)(heads, migration, database)
        )

    project.run(look, template_args=context.template_args, revision_context=context)
    return [
        f"{name}{line}"
        for script in context.generated_revisions[-1:]
        for name, operations in zip(names, script.upgrade_ops_list, strict=True)
        for line in differences.lines([operations])
    ]


def merge(
    project: Project,
    names: Sequence[str],
    message: str | None,
    branch_label: str | None,
    new_id: str | None,
) -> Path | None:
    """Write a revision that follows all of these."""
    _check_message(message)
    _check_new(project, new_id)
    found = {script.revision for script in project.revisions(names)}
    if len(found) < 2:
        raise MigrationError(
            f"There is nothing to merge in '{', '.join(names)}': a merge joins two revisions or"
            " more. 'flask db merge heads' joins those that 'flask db heads' lists."
        )
    with project.writing():
        script = project.script.generate_revision(
            new_id or rev_id(),
            message,
            refresh=True,
            head=tuple(names),
            branch_labels=branch_label,
            config=project.config,
            **_template_args(project),
        )
    return Path(script.path) if script is not None else None


def edit(project: Project, revision: str) -> None:
    """Open the revision's files in the user's editor, one after the other."""
    names = project.current_heads() if revision == "current" else revision
    scripts: Sequence[Script] = project.revisions(names)
    if not scripts:
        raise MigrationError(f"'{revision}' stands for no revision, so there is no file to edit.")
    for script in scripts:
        try:
            click.edit(filename=script.path)
        except click.ClickException as error:
            raise MigrationError(
                f"The editor failed: {error.message}. Name one that can be run, EDITOR=nano, in the"
                " environment."
            ) from error


def split(revision: str, *, sql: bool) -> tuple[str | None, str]:
    """The start, or None, and the target of "from:to" or "to"."""
    start, colon, target = revision.partition(":")
    if not colon:
        return None, revision
    if not sql:
        raise MigrationError(
            f"'{revision}' is a range. The database itself says where it is, so write the target"
            " only; a range is for --sql, which asks no database."
        )
    return start, target


def _looking(
    project: Project, look: Callable[..., None], *, up_to_date: bool
) -> Callable[[Heads, MigrationContext, str], list[Any]]:
    def plan(heads: Heads, context: MigrationContext, database: str) -> list[Any]:
        if up_to_date:
            _check_up_to_date(project, heads, database)
        look(heads, context)
        return []

    return plan


def _check_up_to_date(project: Project, heads: Heads, database: str) -> None:
    steps = _alembic.upgrade_steps(project.script, "heads", heads)
    if steps:
        pending = ", ".join(step.revision.revision for step in steps)
        raise MigrationError(
            f"The database '{database or DEFAULT}' is at {', '.join(heads) or 'no revision'}, and"
            f" {pending} {'is' if len(steps) == 1 else 'are'} pending, so what the models change"
            " can't be told from what these do. Run 'flask db upgrade' first."
        )


def _check_asked(project: Project, asked: dict[str, Any]) -> None:
    _check_message(asked["message"])
    _check_new(project, asked["rev_id"])
    if asked["sql"] and (
        asked["autogenerate"]
        or not asbool(project.config.get_alembic_option("revision_environment"))
    ):
        raise MigrationError(
            "--sql does not go with a new revision file: there is no SQL yet. 'flask db upgrade"
            " --sql' prints that of the revisions."
        )
    for head in _names(asked["head"]):
        project.check_target(head)
    if asked["autogenerate"] and not project.has_place_for_all:
        raise MigrationError(
            f"'{project.folder.name}/script.py.mako' has a place for one database, and the history"
            f" serves {', '.join(one.title for one in project.databases)}: changes would be lost."
            " Replace it by the one that 'flask db init --multidb --directory OTHER' makes."
        )


def _names(head: Any) -> list[str]:
    return [head] if isinstance(head, str) else list(head or ())


def _check_message(message: str | None) -> None:
    if message is not None and not message.strip():
        raise MigrationError(
            "The message is empty. It becomes the title of the revision and part of its file's"
            " name: flask db migrate -m 'add users.nick'."
        )


def _check_new(project: Project, new_id: str | None) -> None:
    if new_id is None:
        return
    if not _ID.fullmatch(new_id) or new_id in _SYMBOLS:
        raise MigrationError(
            f"'{new_id}' can't be the id of a revision: it has 1 to 32 of the characters A-Z, a-z,"
            f" 0-9 and _, and is none of {', '.join(_SYMBOLS)}. Choose another --rev-id, or leave"
            " it out for a new one."
        )
    if new_id in {script.revision for script in project.walk()}:
        raise MigrationError(
            f"The revision '{new_id}' exists already. Choose another --rev-id, or leave it out"
            " for a new one."
        )


def _template_args(project: Project) -> dict[str, Any]:
    """What ``script.py.mako`` is told beside Alembic's own names."""
    databases = project.config.attributes.get("databases")
    return {} if databases is None else {"databases": databases}
