"""The commands of ``flask db``: Flask-Migrate's names and options, and some more."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import click
from flask import current_app
from flask.cli import AppGroup

from flask_retort.config_sections import MigrationsConfig

from . import commands, opening
from .invocation import Command, output, tell
from .options import (
    bind_option,
    branch_label_option,
    directory_option,
    group_directory_option,
    group_x_option,
    json_option,
    message_option,
    patience_options,
    place_of_new_revision,
    rev_id_option,
    sql_option,
    tag_option,
    verbose_option,
    x_option,
)
from .progress import Report
from .report import JsonReport, TextReport
from .status import DatabaseStatus

XArg = tuple[str, ...]


class Group(AppGroup):
    """A group whose commands run in an application context and end in one line on errors."""

    command_class = Command


@click.group("db", cls=Group)
@group_directory_option
@group_x_option
def db(**_: Any) -> None:
    """Perform database migrations."""


@db.command("list-templates")
def list_templates() -> None:
    """List available templates."""
    commands.list_templates()


@db.command()
@directory_option
@click.option("--multidb", is_flag=True, help="Support multiple databases")
@click.option(
    "-t", "--template", default=None, help='Repository template to use (default is "flask")'
)
@click.option(
    "--package",
    is_flag=True,
    help="Write empty __init__.py files to the environment and version locations",
)
def init(directory: str | None, multidb: bool, template: str | None, package: bool) -> None:
    """Creates a new migration repository."""
    commands.init(directory, multidb, template, package)


@db.command()
@directory_option
@message_option
@click.option(
    "--autogenerate",
    is_flag=True,
    help="Populate revision script with candidate migration operations, based on comparison of"
    " database to model",
)
@sql_option
@place_of_new_revision
@x_option
@bind_option
def revision(directory: str | None, **given: Any) -> None:
    """Create a new revision file."""
    commands.revision(directory, **given)


@db.command()
@directory_option
@message_option
@sql_option
@place_of_new_revision
@x_option
@bind_option
def migrate(directory: str | None, **given: Any) -> None:
    """Autogenerate a new revision file (Alias for 'revision --autogenerate')."""
    commands.migrate(directory, **given)


@db.command()
@directory_option
@click.argument("revision", default="head")
@x_option
@bind_option
def edit(directory: str | None, **given: Any) -> None:
    """Edit a revision file."""
    commands.edit(directory, **given)


@db.command()
@directory_option
@click.option("-m", "--message", default=None, help="Merge revision message")
@branch_label_option
@rev_id_option
@click.argument("revisions", nargs=-1)
@bind_option
def merge(directory: str | None, revisions: tuple[str, ...], **given: Any) -> None:
    """Merge two revisions together, creating a new revision file."""
    commands.merge(directory, revisions, **given)


@db.command()
@directory_option
@sql_option
@tag_option
@x_option
@click.argument("revision", default="head")
@bind_option
@patience_options
@json_option
def upgrade(revision: str, **given: Any) -> None:
    """Upgrade to a later version."""
    _run(commands.upgrade, revision, **given)


@db.command()
@directory_option
@sql_option
@tag_option
@x_option
@click.argument("revision", default="-1")
@bind_option
@patience_options
@json_option
def downgrade(revision: str, **given: Any) -> None:
    """Revert to a previous version."""
    _run(commands.downgrade, revision, **given)


def _run(
    command: Callable[..., object],
    revision: str,
    *,
    directory: str | None,
    sql: bool,
    bind: str | None,
    as_json: bool,
    tag: str | None,
    x_arg: XArg | None,
    **patience: float | None,
) -> None:
    with _reported(as_json, sql, bind, revision) as report:
        command(
            directory,
            revision,
            sql,
            tag,
            x_arg,
            bind=bind,
            report=report,
            settings=_settings(patience),
        )


@contextmanager
def _reported(as_json: bool, sql: bool, bind: str | None, goal: str) -> Generator[Report]:
    """A report to standard output, which is finished if the block succeeds."""
    if as_json and sql:
        raise click.UsageError("--json and --sql can't both have the standard output.")
    report: JsonReport | TextReport
    if as_json:
        report = JsonReport(output())
    else:
        goal = goal if goal in ("head", "heads", "base") else ""
        report = TextReport(sys.stdout, databases=_databases(bind), goal=goal)
    try:
        yield report
        if not sql:
            report.finish()
    finally:
        report.close()


def _databases(bind: str | None) -> list[str]:
    """The bind keys among which a line has to say which it is about."""
    db = opening.registered().db or current_app.extensions.get("sqlalchemy")
    engines: Iterable[str | None] = getattr(db, "engines", ())
    return [""] if bind is not None else [key or "" for key in engines]


def _settings(patience: Mapping[str, float | None]) -> MigrationsConfig | None:
    """The application's settings with these in place of its own; None where none is given."""
    given: dict[str, Any] = {name: value for name, value in patience.items() if value is not None}
    config: Any = current_app.config
    settings = opening.settings_of(config.get("RETORT_MIGRATIONS"))
    return replace(settings, **given) if given else None


@db.command()
@directory_option
@sql_option
@tag_option
@click.option(
    "--purge",
    is_flag=True,
    help="Delete the version in the alembic_version table before stamping",
)
@x_option
@click.argument("revision", default="head")
@bind_option
@json_option
def stamp(
    directory: str | None, revision: str, sql: bool, bind: str | None, as_json: bool, **given: Any
) -> None:
    """'stamp' the revision table with the given revision; don't run any migrations."""
    with _reported(as_json, sql, bind, revision) as report:
        commands.stamp(directory, revision, sql, bind=bind, report=report, **given)
        if as_json:
            tell("stamped", revision=revision)
        elif not sql:
            click.echo(f"Stamped with {revision}; no migration was run.")


@db.command()
@directory_option
@x_option
@bind_option
@json_option
def check(directory: str | None, x_arg: XArg | None, bind: str | None, as_json: bool) -> None:
    """Check if there are any new operations to migrate."""
    commands.check(directory, x_arg, bind=bind)
    if as_json:
        tell("checked", differs=False)


@db.command()
@directory_option
@click.option(
    "--check", "as_check", is_flag=True, help="Exit with 1 if something is pending or half done"
)
@x_option
@bind_option
@json_option
@click.pass_context
def status(
    ctx: click.Context,
    directory: str | None,
    as_check: bool,
    x_arg: XArg | None,
    bind: str | None,
    as_json: bool,
) -> None:
    """Show what is pending and who migrates, for each database."""
    found = commands.status(directory, x_arg, bind=bind)
    for database in found:
        if as_json:
            tell("status", **_plain(database))
        else:
            click.echo("\n".join(database.lines()))
    if as_check and not all(database.is_ready for database in found):
        ctx.exit(1)


def _plain(status: DatabaseStatus) -> dict[str, Any]:
    """The fields for programs, without what the journal keeps for itself."""
    fields: dict[str, Any] = {**asdict(status), "is_ready": status.is_ready}
    if fields["half_done"] is not None:
        del fields["half_done"]["digest"], fields["half_done"]["fingerprint"]
    return fields


@db.command()
@directory_option
@verbose_option
@x_option
@bind_option
@json_option
def current(
    directory: str | None, verbose: bool, x_arg: XArg | None, bind: str | None, as_json: bool
) -> None:
    """Display the current revision for each database."""
    if not as_json:
        commands.current(directory, verbose, x_arg=x_arg, bind=bind)
        return
    for project in opening.open_projects(directory, bind, x_arg):
        for database, revisions in project.heads().items():
            tell("current", database=database, revisions=revisions)


@db.command()
@directory_option
@click.argument("revision", default="head")
@x_option
@bind_option
def show(directory: str | None, **given: Any) -> None:
    """Show the revision denoted by the given symbol."""
    commands.show(directory, **given)


@db.command()
@directory_option
@click.option(
    "-r", "--rev-range", default=None, help="Specify a revision range; format is [start]:[end]"
)
@verbose_option
@click.option("-i", "--indicate-current", is_flag=True, help="Indicate current version")
@x_option
@bind_option
@json_option
def history(directory: str | None, rev_range: str | None, as_json: bool, **given: Any) -> None:
    """List changeset scripts in chronological order."""
    if not as_json:
        commands.history(directory, rev_range, **given)
        return
    base, colon, head = (rev_range or ":").partition(":")
    if not colon or "current" in (base, head):
        raise click.UsageError("With --json, a range is FROM:TO, and not to 'current'.")
    for project in opening.open_projects(directory, given["bind"], given["x_arg"]):
        currents = project.current_heads() if given["indicate_current"] else ()
        for script in project.walk(base or "base", head or "heads"):
            at = {"is_current": script.revision in currents} if given["indicate_current"] else {}
            tell("revision", **_revision(script), **at)


@db.command()
@directory_option
@verbose_option
@click.option(
    "--resolve-dependencies", is_flag=True, help="Treat dependency versions as down revisions"
)
@bind_option
@json_option
def heads(
    directory: str | None,
    verbose: bool,
    resolve_dependencies: bool,
    bind: str | None,
    as_json: bool,
) -> None:
    """Show current available heads in the script directory."""
    if not as_json:
        commands.heads(directory, verbose, resolve_dependencies, bind=bind)
        return
    for project in opening.open_projects(directory, bind):
        names = "heads" if resolve_dependencies else project.script.get_heads()
        for script in project.revisions(names):
            tell("revision", **_revision(script))


def _revision(script: Any) -> dict[str, Any]:
    follows = script.down_revision
    return {
        "revision": script.revision,
        "title": script.doc or "",
        "follows": [follows] if isinstance(follows, str) else list(follows or ()),
        "branch_labels": sorted(script.branch_labels),
        "is_head": script.is_head,
        "path": script.path,
    }


@db.command()
@directory_option
@verbose_option
@bind_option
def branches(directory: str | None, verbose: bool, bind: str | None) -> None:
    """Show current branch points."""
    commands.branches(directory, verbose, bind=bind)
