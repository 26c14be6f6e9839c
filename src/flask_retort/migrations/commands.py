"""The commands of ``flask db`` as functions: they return or raise, and never exit.

``directory`` is the folder of revisions, when it is not the one that ``Migrate`` was told. ``bind``
is a bind key: only that database; the default one is called ``"default"``, or the empty text.
``x_arg`` is one text or several for ``context.get_x_argument()`` of an ``env.py``. All need an
application context, and raise a :class:`~flask_retort.errors.MigrationError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import MigrationError, SchemaDiffers

from . import _alembic, creation, listing, writing
from .folder import Folder, XArg
from .opening import Directory, folder_names, only_one, open_projects, with_revision
from .plans import check_one_meaning, towards
from .progress import Report, silent
from .project import Project
from .status import DatabaseStatus

# --- folders and files --------------------------------------------------------------


def list_templates() -> None:
    """Print the templates that :func:`init` knows."""
    lines = [f"{name} - {about}" for name, about in creation.templates().items()]
    example = f"flask db init --template {creation.MULTIPLE}"
    listing.put("\n".join(["Available templates:", "", *lines, "", f"Use one with: {example}"]))


def init(
    directory: Directory | None = None,
    multidb: bool = False,
    template: str | None = None,
    package: bool = False,
) -> None:
    """Make a folder for revisions, and print where. No ``env.py`` is needed, and none is made.

    :param multidb: one history for all databases of the application.
    :param template: a name that :func:`list_templates` prints, or the path of a folder.
    :param package: make the folder and its ``versions`` Python packages.
    """
    if template is None or (multidb and template == creation.SINGLE):
        template = creation.MULTIPLE if multidb else creation.SINGLE
    for name in folder_names(directory):
        made = creation.create(Folder(name), template, package=package)
        files = ", ".join(path.name for path in made if path.is_file())
        listing.put(f"Made the folder '{name}' with {files} and the folder 'versions'.")


def revision(
    directory: Directory | None = None,
    message: str | None = None,
    autogenerate: bool = False,
    sql: bool = False,
    head: str = "head",
    splice: bool = False,
    branch_label: str | None = None,
    version_path: Directory | None = None,
    rev_id: str | None = None,
    x_arg: XArg = None,
    *,
    bind: str | None = None,
) -> list[Path]:
    """Write a new revision file, and return the paths of what was written.

    :param message: its title; also in the file's name.
    :param autogenerate: compare the models with the database and write the changes, see
        :func:`migrate`.
    :param sql: only with ``revision_environment = true`` in ``alembic.ini``.
    :param head: the revision that it follows.
    :param splice: let it follow one that is not a head.
    :param branch_label: a name for the branch that begins with it.
    :param version_path: the folder for the file, where ``version_locations`` names several.
    :param rev_id: its id; the default is a new one.
    """
    options = {"autogenerate": autogenerate, "sql": sql}
    projects = open_projects(directory, bind, x_arg, may_be_new=True, **options)
    asked: dict[str, Any] = {
        "message": message,
        "autogenerate": autogenerate,
        "sql": sql,
        "head": head,
        "splice": splice,
        "branch_label": branch_label,
        "version_path": version_path,
        "rev_id": rev_id,
        "depends_on": None,
    }
    if rev_id or not autogenerate:
        only_one(projects)
    return [path for project in projects for path in writing.revise(project, asked)]


def migrate(
    directory: Directory | None = None,
    message: str | None = None,
    sql: bool = False,
    head: str = "head",
    splice: bool = False,
    branch_label: str | None = None,
    version_path: Directory | None = None,
    rev_id: str | None = None,
    x_arg: XArg = None,
    *,
    bind: str | None = None,
) -> list[Path]:
    """Write the changes from the database to the models into a new revision file.

    Nothing is written where there are none. The database, which has to be at the newest revision,
    is not changed. For the parameters see :func:`revision`.

    :return: the paths of what was written.
    """
    return revision(
        directory,
        message,
        autogenerate=True,
        sql=sql,
        head=head,
        splice=splice,
        branch_label=branch_label,
        version_path=version_path,
        rev_id=rev_id,
        x_arg=x_arg,
        bind=bind,
    )


def edit(
    directory: Directory | None = None,
    revision: str = "head",
    x_arg: XArg = None,
    *,
    bind: str | None = None,
) -> None:
    """Open revision files in the editor that ``$EDITOR`` names, and wait for its end."""
    for project in with_revision(open_projects(directory, bind, x_arg), revision):
        writing.edit(project, revision)


def merge(
    directory: Directory | None = None,
    revisions: str | Sequence[str] = "",
    message: str | None = None,
    branch_label: str | None = None,
    rev_id: str | None = None,
    *,
    bind: str | None = None,
) -> Path | None:
    """Write a revision that follows several, such as two heads, and return its path.

    :param revisions: their names, or "heads".
    """
    names = [revisions] if isinstance(revisions, str) else list(revisions)
    names = [name for name in names if name]
    project = only_one(with_revision(open_projects(directory, bind), names))
    return writing.merge(project, names, message, branch_label, rev_id)


# --- databases ----------------------------------------------------------------------


def upgrade(
    directory: Directory | None = None,
    revision: str = "head",
    sql: bool = False,
    tag: str | None = None,
    x_arg: XArg = None,
    *,
    bind: str | None = None,
    report: Report = silent,
    settings: MigrationsConfig | None = None,
) -> int:
    """Apply the revisions that are pending, and return how many were applied to how many databases.

    Two revisions on two databases are four. One process at a time does this; each revision is
    committed by itself, whole or not at all.

    :param revision: up to which; "heads" for all branches; with ``sql`` also "from:to".
    :param sql: print the SQL; no connection is made.
    :param tag: for ``context.get_tag_argument()`` of an ``env.py``.
    :param report: is told what goes on.
    :param settings: how long to wait, instead of ``RETORT_MIGRATIONS``.
    """
    start, target = writing.split(revision, sql=sql)
    projects = with_revision(open_projects(directory, bind, x_arg, sql=sql), target)
    options = {"as_sql": sql, "starting_rev": start, "tag": tag}
    return _move(projects, "upgrade", target, report, settings, **options)


def downgrade(
    directory: Directory | None = None,
    revision: str = "-1",
    sql: bool = False,
    tag: str | None = None,
    x_arg: XArg = None,
    *,
    bind: str | None = None,
    report: Report = silent,
    settings: MigrationsConfig | None = None,
) -> int:
    """Take revisions back, the newest first; else like :func:`upgrade`.

    :param revision: down to which, which itself stays; "base" for all; with ``sql`` "from:to".
    """
    start, target = writing.split(revision, sql=sql)
    if sql and start is None:
        raise MigrationError(
            "Without a connection it is not known where the downgrade begins. Write both ends:"
            " 'flask db downgrade --sql FROM:TO', such as 'head:base'."
        )

    projects = with_revision(open_projects(directory, bind, x_arg, sql=sql), target)
    options = {"as_sql": sql, "starting_rev": start, "tag": tag}
    return _move(projects, "downgrade", target, report, settings, **options)


def _move(
    projects: Sequence[Project],
    action: Literal["upgrade", "downgrade"],
    target: str,
    report: Report,
    settings: MigrationsConfig | None,
    **options: Any,
) -> int:
    find = _alembic.upgrade_steps if action == "upgrade" else _alembic.downgrade_steps
    check_one_meaning(projects, target, is_offline=options["as_sql"])
    return sum(
        project.run(
            towards(find, project.script, target),
            action=action,
            report=report,
            settings=settings,
            destination_rev=target,
            **options,
        )
        for project in projects
    )


def stamp(
    directory: Directory | None = None,
    revision: str | Sequence[str] = "head",
    sql: bool = False,
    tag: str | None = None,
    purge: bool = False,
    x_arg: XArg = None,
    *,
    bind: str | None = None,
    report: Report = silent,
    settings: MigrationsConfig | None = None,
) -> None:
    """Note in the database that it is at a revision, without running any script.

    :param revision: one or several; "base" for none, "heads" for all.
    :param purge: forget first what is noted, also what this code does not know.
    """
    names = [revision] if isinstance(revision, str) else list(revision)
    split = [writing.split(name, sql=sql) for name in names]
    targets = [target for _, target in split]
    starts = {start for start, _ in split}
    if len(starts) > 1:
        raise MigrationError("With --sql, all revisions have to begin at the same one: FROM:TO.")

    for project in with_revision(open_projects(directory, bind, x_arg, sql=sql), targets):
        project.run(
            towards(_alembic.stamp_steps, project.script, targets),
            action="stamp",
            report=report,
            settings=settings,
            as_sql=sql,
            starting_rev=next(iter(starts), None),
            destination_rev=tuple(targets),
            tag=tag,
            purge=purge,
        )


def check(
    directory: Directory | None = None, x_arg: XArg = None, *, bind: str | None = None
) -> None:
    """See whether :func:`migrate` would find nothing to write.

    :raises SchemaDiffers: it would; one line in the message for each difference.
    """
    found: list[str] = []
    for project in open_projects(directory, bind, x_arg):
        found += writing.differences_of(project)
    if found:
        listed = "".join(f"\n  {line}" for line in found)
        raise SchemaDiffers(
            f"The models and the database differ:{listed}\nWrite a revision with 'flask db"
            " migrate', or correct the models."
        )
    listing.put("No new upgrade operations detected.")


# --- what is there --------------------------------------------------------------------


def show(
    directory: Directory | None = None,
    revision: str = "head",
    x_arg: XArg = None,
    *,
    bind: str | None = None,
) -> None:
    """Print a revision: its title, its file, what it follows; "current" for the database's own."""
    for project in with_revision(open_projects(directory, bind, x_arg), revision):
        listing.show(project, revision)


def history(
    directory: Directory | None = None,
    rev_range: str | None = None,
    verbose: bool = False,
    indicate_current: bool = False,
    x_arg: XArg = None,
    *,
    bind: str | None = None,
) -> None:
    """Print the revisions, the newest first.

    :param rev_range: "from:to", either of which can be missing, or "current".
    :param indicate_current: mark those that a database is at.
    """
    for project in open_projects(directory, bind, x_arg):
        listing.history(project, rev_range, verbose, indicate_current)


def heads(
    directory: Directory | None = None,
    verbose: bool = False,
    resolve_dependencies: bool = False,
    *,
    bind: str | None = None,
) -> None:
    """Print the revisions that none follows.

    :param resolve_dependencies: leave out those that another one depends on.
    """
    for project in open_projects(directory, bind):
        listing.heads(project, verbose, resolve_dependencies)


def branches(
    directory: Directory | None = None, verbose: bool = False, *, bind: str | None = None
) -> None:
    """Print the revisions that several follow."""
    for project in open_projects(directory, bind):
        listing.branches(project, verbose)


def current(
    directory: Directory | None = None,
    verbose: bool = False,
    head_only: bool = False,
    x_arg: XArg = None,
    *,
    bind: str | None = None,
) -> None:
    """Print the revisions that each database is at.

    :param head_only: accepted for older callers; nothing else has been printed for long.
    """
    for project in open_projects(directory, bind, x_arg):
        listing.current(project, verbose)


def status(
    directory: Directory | None = None, x_arg: XArg = None, *, bind: str | None = None
) -> list[DatabaseStatus]:
    """Where each database stands: its revisions, who migrates it, what was left half done."""
    projects = open_projects(directory, bind, x_arg)
    return [status for project in projects for status in listing.statuses(project)]
