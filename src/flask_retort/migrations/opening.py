"""From the current application to the histories that a command is about."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from alembic.config import Config
from flask import current_app, has_app_context

from flask_retort import checks
from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import MigrationError, NoAppContext, UnknownRevision

from .bindings import bindings
from .folder import XArg
from .histories import histories, resolved
from .project import Project, Surroundings, open_project

if TYPE_CHECKING:
    from .extension import Registered

Directory = str | os.PathLike[str]
_SYMBOLIC = re.compile(r"(heads?|base|current|[+-]\d+)$")


def folder_names(directory: Directory | None) -> list[str]:
    """The folders of the application, or only the one that is named."""
    named = _named(directory)
    return [named] if named else list(dict.fromkeys(registered().directories.values()))


def open_projects(
    directory: Directory | None,
    bind: str | None,
    x_arg: XArg = None,
    *,
    may_be_new: bool = False,
    **options: object,
) -> list[Project]:
    """The histories of the current application that a command is about, all files loaded.

    :param directory: only this folder.
    :param bind: only this database.
    :param may_be_new: whether the folders of the revisions' files may be missing.
    :param options: attributes of ``config.cmd_opts``.
    """
    found = registered()
    config = cast("Mapping[str, Any]", current_app.config)
    db = found.db or current_app.extensions.get("sqlalchemy")
    if db is None:
        raise MigrationError(
            f"Migrate does not know the database of the application '{current_app.name}'. Pass it:"
            " Migrate(app, db), or migrate.init_app(app, db)."
        )
    known = bindings(db, config.get("SQLALCHEMY_BINDS") or {})
    surroundings = Surroundings(
        known=known,
        configure_args=found.configure_args,
        settings=settings_of(config.get("RETORT_MIGRATIONS")),
        bind=None if bind is None else resolved(bind, known),
    )
    opened = histories(
        found.directories,
        known,
        directory=_named(directory),
        is_mapping=found.is_mapping,
        bind=bind,
    )
    configured: Callable[[Config], Config] = found.migrate.call_configure_callbacks
    return [
        open_project(one, surroundings, configured, x_arg, may_be_new=may_be_new, **options)
        for one in opened
    ]


def with_revision(projects: Sequence[Project], revisions: str | Sequence[str]) -> list[Project]:
    """Those of the histories that have the revisions.

    :raises UnknownRevision: none has.
    """
    names = [revisions] if isinstance(revisions, str) else list(revisions)
    found: list[Project] = []
    refusal: UnknownRevision | None = None
    for project in projects:
        try:
            for name in names:
                project.check_target(name)
        except UnknownRevision as error:
            refusal = refusal or error
        else:
            found.append(project)
    if refusal is not None and (not found or all(_SYMBOLIC.match(name) for name in names)):
        raise refusal
    return found


def only_one(projects: Sequence[Project]) -> Project:
    """The history, where a command can't be about several."""
    if len(projects) == 1:
        return projects[0]
    titles = ", ".join(project.databases[0].title for project in projects)
    raise MigrationError(
        f"Each database has a history of its own ({titles}), and the new revision belongs to one of"
        " them. Say which: --bind NAME."
    )


def registered() -> Registered:
    """What ``Migrate`` has noted of the current application.

    :raises MigrationError: it has no migrations.
    """
    if not has_app_context():
        raise NoAppContext(
            "Working outside of application context: migrations are those of an application, and"
            " none is active here. Put the call into a block: with app.app_context(): upgrade()."
        )
    found: Any = current_app.extensions.get("migrate")
    if found is None:
        raise MigrationError(
            f"The application '{current_app.name}' has no migrations. Add, where it is made:"
            " from flask_retort.migrations import Migrate; Migrate(app, db)."
        )
    return found  # type: ignore[no-any-return] # extensions hold anything


def _named(directory: Directory | None) -> str | None:
    return os.fspath(directory) or None if directory is not None else None


def settings_of(given: Any) -> MigrationsConfig:
    """The value of ``RETORT_MIGRATIONS``, checked."""
    settings: MigrationsConfig = checks.section(MigrationsConfig)("RETORT_MIGRATIONS", given)
    return settings
