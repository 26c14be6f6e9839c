"""Which folders of revisions belong to which databases."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from alembic.script import ScriptDirectory

from flask_retort.checks import masked, nearest
from flask_retort.errors import MigrationError

from .bindings import DEFAULT, Binding, is_same_database
from .folder import Form


@dataclass(frozen=True)
class History:
    """The revisions of one folder, for the databases that may belong to it.

    :param directory: the folder as the user names it.
    :param candidates: the databases that the folder may serve.
    :param is_alone: whether the folder was given to one database by its bind key.
    """

    directory: str
    candidates: tuple[Binding, ...]
    is_alone: bool = False


@dataclass(frozen=True)
class Served:
    """The databases that a history serves.

    :param is_per_database: whether its scripts have functions for each database.
    """

    databases: Sequence[Binding]
    is_per_database: bool


def histories(
    directories: Mapping[str | None, str],
    known: Mapping[str, Binding],
    *,
    directory: str | None = None,
    is_mapping: bool = False,
    bind: str | None = None,
) -> list[History]:
    """The histories that a command is about.

    :param directories: the folders of the application by bind key.
    :param known: the databases of the application.
    :param directory: only this folder, which may be another than the application's.
    :param is_mapping: whether each of the folders belongs to its bind key alone.
    :param bind: only this database.
    """
    name = None if bind is None else resolved(bind, known)
    if not is_mapping:
        folder = directory or next(iter(directories.values()))
        return [History(folder, tuple(known.values()))]
    found = [
        History(folder, (_of(key, folder, known),), is_alone=True)
        for key, folder in directories.items()
        if (directory is None or folder == directory) and (name is None or (key or "") == name)
    ]
    if not found and directory is not None:
        return [History(directory, tuple(known.values()))]
    if not found:
        raise MigrationError(
            f"Migrate(directory={{...}}) names no folder for the database '{bind}'. Add"
            f" {name or None!r}: 'migrations/...' to it."
        )
    return found


def resolved(bind: str, known: Mapping[str, Binding]) -> str:
    """The name of a database as the user writes it: empty or ``default`` is the default one.

    :raises MigrationError: there is none of this name.
    """
    if bind in known:
        return bind
    if bind in ("", DEFAULT) and "" in known:
        return ""
    titles = [binding.title for binding in known.values()]
    near = f" The nearest name is '{nearest(bind, titles)}'." if titles else ""
    raise MigrationError(
        f"The application has no database '{bind}'.{near} It has: {', '.join(titles) or 'none'}."
    )


def _of(key: str | None, folder: str, known: Mapping[str, Binding]) -> Binding:
    if (key or "") not in known:
        titles = ", ".join(binding.title for binding in known.values())
        raise MigrationError(
            f"Migrate(directory=...) gives the folder '{folder}' to the bind key {key!r}, which the"
            f" application does not have. It has: {titles}."
        )
    return known[key or ""]


def served(history: History, script: ScriptDirectory, form: Form) -> Served:
    """The databases that a history serves.

    Those of the application that have tables, and those that its scripts have functions for. A
    history whose scripts are about one database serves the default one.

    :param form: what a new script looks like.
    :raises MigrationError: two of them are the same database, or a script can't tell them apart.
    """
    mentioned = _mentioned(history.candidates, script)
    is_per_database = form == "multiple" or bool(mentioned)
    if history.is_alone or len(history.candidates) < 2:
        return Served(history.candidates, is_per_database)
    with_tables = [binding for binding in history.candidates if binding.metadata.tables]
    if form == "either" and any(binding.name for binding in with_tables):
        is_per_database = True
    if not is_per_database:
        return Served([_only(history, with_tables)], False)
    chosen = [one for one in history.candidates if one in with_tables or one in mentioned]
    chosen = chosen or list(history.candidates)
    if form == "either" and len(chosen) == 1 and not mentioned:
        # A script of that form has functions for each from two databases on.
        chosen = [one for one in history.candidates if not one.name or one in chosen]
    _check_distinct(chosen)
    _check_names(chosen)
    return Served(chosen, len(chosen) > 1 or form == "multiple" or bool(mentioned))


def _only(history: History, with_tables: Sequence[Binding]) -> Binding:
    for binding in history.candidates:
        if not binding.name:
            return binding
    if len(with_tables) == 1:
        return with_tables[0]
    titles = ", ".join(binding.title for binding in history.candidates)
    raise MigrationError(
        f"The scripts in '{history.directory}' are about one database, and the application has"
        f" {titles} and no default one, so it is not known which. Make the folder again with 'flask"
        " db init --multidb', or give each database its own: Migrate(app, db, directory={...})."
    )


def _mentioned(candidates: Sequence[Binding], script: ScriptDirectory) -> list[Binding]:
    """The databases for which any script has a function, where there are such for each."""
    functions: set[str] = set()
    for revision in script.walk_revisions():
        functions.update(vars(revision.module))
    return [one for one in candidates if f"upgrade_{function_suffix(one.name)}" in functions]


def function_suffix(name: str) -> str:
    """What stands behind ``upgrade_`` in the name of a database's function."""
    return re.sub(r"\W", "_", name)


def _check_distinct(chosen: Sequence[Binding]) -> None:
    for one, other in combinations(chosen, 2):
        if is_same_database(one.engine, other.engine):
            raise MigrationError(
                f"'{one.title}' and '{other.title}' are the same database,"
                f" {masked(one.engine.url)}. Both would keep their revision in its one version"
                " table, so the second would be taken for done. Let the models have one bind key;"
                " or, where only reading goes through the second, give no models to it."
            )


def _check_names(chosen: Sequence[Binding]) -> None:
    for one, other in combinations(chosen, 2):
        if function_suffix(one.name) == function_suffix(other.name):
            raise MigrationError(
                f"The bind keys {one.name!r} and {other.name!r} would share the function"
                f" upgrade_{function_suffix(one.name)}() of a script. Rename one of them, or give"
                " each its own folder: Migrate(app, db, directory={...})."
            )
