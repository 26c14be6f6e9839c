"""Alembic's errors in the words of this package."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from alembic.script import ScriptDirectory
from alembic.script.revision import MultipleHeads, ResolutionError
from alembic.util import CommandError, coerce_resource_to_filename, to_tuple
from sqlalchemy import exc

from flask_retort.errors import (
    BrokenRevision,
    ManyHeads,
    MigrationError,
    RevisionFailed,
    UnknownRevision,
)


def translated(error: CommandError, script: ScriptDirectory) -> MigrationError:
    """Our exception for what Alembic refuses."""
    cause = error.__cause__
    if isinstance(cause, MultipleHeads):
        return many_heads(cause.heads)
    if isinstance(cause, ResolutionError):
        return _unknown(cause, script)
    text = " ".join(str(error).split()).rstrip(".")
    if text.startswith("Relative revision"):
        return UnknownRevision(
            f"There are not as many revisions as '{text.split()[2]}' says, from where the database"
            " is. 'flask db current' shows that place, and 'flask db history' what is around it."
        )
    if text.startswith("Ambiguous"):
        return UnknownRevision(
            "A count of revisions does not say which way where branches of the history part or"
            " meet. Name the revision; 'flask db history' lists all."
        )
    return MigrationError(f"{text}.")


def ambiguous(target: str, heads: Sequence[str], script: ScriptDirectory) -> UnknownRevision:
    """For a count of revisions that can go several ways.

    :param target: such as "-1".
    :param heads: the revisions that the database is at.
    """
    is_up = "+" in target
    if len(set(heads)) > 1 and target[:1] in "+-":
        names = sorted(set(heads))
        return UnknownRevision(
            f"The database is at {' and '.join(names)}, and '{target}' does not say from which to"
            f" count. Write it, such as '{names[0]}@{target}', or name the revision to go"
            f" {'up' if is_up else 'down'} to."
        )
    place = _fork(target, heads, script, is_up=is_up)
    return UnknownRevision(
        f"'{target}' does not say which way{place}; name the revision to go"
        f" {'up' if is_up else 'down'} to. 'flask db history' lists all."
    )


def _fork(target: str, heads: Sequence[str], script: ScriptDirectory, *, is_up: bool) -> str:
    """Where the count meets several revisions, or nothing where a branch says its way."""
    if "@" in target:
        return ""
    named = re.split("[+-]", target)[0]
    here = script.get_revision(named) if named else next(iter(script.get_revisions(heads)), None)
    while True:
        if here is None:
            ways = script.get_bases() if is_up else script.get_heads()
        else:
            ways = sorted(here.nextrev if is_up else to_tuple(here.down_revision, default=()))
        if len(ways) > 1:
            listed = " and ".join(sorted(ways))
            if not is_up:
                return f" at the merge of {listed}"
            return f" after {here.revision if here else 'the beginning'}, where {listed} part"
        if not ways:
            return ""
        here = script.get_revision(ways[0])


def many_heads(heads: Iterable[str]) -> ManyHeads:
    """For a command that has to know which of the revisions without successor is meant."""
    names = sorted(heads)
    return ManyHeads(
        f"The history has {len(names)} heads, {', '.join(names)}: usually two branches of the code"
        " have each added a revision. So 'head' does not say which is meant. Join them with 'flask"
        " db merge heads', name one of them, or apply all with 'flask db upgrade heads'."
    )


def _unknown(error: ResolutionError, script: ScriptDirectory) -> UnknownRevision:
    text = str(error)
    if text.startswith("Multiple revisions"):
        begun = [name for name in _names(script) if name.startswith(error.argument)]
        return UnknownRevision(
            f"'{error.argument}' is the beginning of several revisions: {', '.join(begun)}. Write"
            " more of it."
        )
    if "is not a member of" in text:
        return UnknownRevision(f"{text}. 'flask db history' shows the branches.")
    near = "".join(
        f" The nearest one is '{name}'."
        for name in difflib.get_close_matches(error.argument, _names(script), n=1)
    )
    return UnknownRevision(
        f"There is no revision '{error.argument}' in {_shown_folder(script)}.{near} 'flask db"
        " history' lists all."
    )


def _names(script: ScriptDirectory) -> list[str]:
    names: set[str] = set()
    for revision in script.walk_revisions():
        names.update((revision.revision, *revision.branch_labels))
    return sorted(names)


def _shown_folder(script: ScriptDirectory) -> str:
    return ", ".join(f"'{folder}'" for folder in version_folders(script))


def version_folders(script: ScriptDirectory) -> list[str]:
    """The folders in which a history's files lie."""
    places = list(script.version_locations) or [str(Path(script.dir, "versions"))]
    return [str(coerce_resource_to_filename(place)) for place in places]


def without_function(module: ModuleType, name: str) -> BrokenRevision:
    """For a script that lacks what the command has to call."""
    return BrokenRevision(
        f"{module.__file__} has no function {name}(). Write one: def {name}(): pass, if there is"
        " nothing to do."
    )


def broken(error: BaseException, places: Iterable[Path]) -> BrokenRevision:
    """For a file that can't be loaded.

    :param places: files, or folders of files, of the project; the innermost line in one of them is
        named.
    """
    return BrokenRevision(
        f"{_place(error, places)}: {said(error)}. Correct the file, and run the command again."
    )


def not_offline(error: Exception, script: ScriptDirectory) -> RevisionFailed:
    """For a script that can't be written as SQL."""
    place = _place(error, [Path(folder) for folder in version_folders(script)])
    return RevisionFailed(
        f"{place}: {said(error)}. With --sql there is no database, and the script can't read from"
        " one: where context.is_offline_mode() is true, let it do without; or run this revision"
        " without --sql."
    )


def _place(error: BaseException, places: Iterable[Path]) -> str:
    places = [place.resolve() for place in places]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        if any(place in (path, *path.parents) for place in places):
            return f"{path}, line {frame.lineno}"
    return ", ".join(str(place) for place in places)


def said(error: BaseException) -> str:
    """The error in one line: its class and its text; of a driver's error, what the driver says."""
    if isinstance(error, exc.DBAPIError) and isinstance(error.orig, Exception):
        return said(error.orig)
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
