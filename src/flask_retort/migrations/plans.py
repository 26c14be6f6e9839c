"""From the revision that a command names to the steps there, for each database."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from flask_retort.errors import UnknownRevision

from . import refusals
from .environment import Plan
from .project import Project

_RELATIVE = re.compile(r"[+-]\d+$")
Find = Callable[[ScriptDirectory, Any, tuple[str, ...]], list[Any]]


def towards(find: Find, script: ScriptDirectory, target: str | Sequence[str]) -> Plan:
    """A plan of the steps from where a database is.

    Made before anything is done, it raises where it is not clear which steps are meant.

    :param find: gives the steps to a target from the revisions that a database is at.
    """

    def plan(heads: tuple[str, ...], context: MigrationContext, database: str) -> list[Any]:
        if isinstance(target, str) and re.fullmatch(r"-\d+", target) and len(set(heads)) > 1:
            # Alembic warns of this, and picks one of them.
            raise refusals.ambiguous(target, heads, script)
        try:
            return find(script, target, heads)
        except CommandError as error:
            if isinstance(target, str) and str(error).startswith("Ambiguous"):
                raise refusals.ambiguous(target, heads, script) from error
            raise
        except AttributeError as error:
            if error.name == "downgrade" and isinstance(error.obj, ModuleType):
                raise refusals.without_function(error.obj, "downgrade") from error
            raise

    return plan


def check_one_meaning(projects: Sequence[Project], target: str, *, is_offline: bool) -> None:
    """See whether a target is not counted from several places.

    :raises UnknownRevision: it is, and would move histories that have nothing to do with another.
    """
    if len(projects) > 1:
        if _RELATIVE.search(target):
            titles = ", ".join(project.databases[0].title for project in projects)
            raise UnknownRevision(
                f"Each database has a history of its own ({titles}), and '{target}' would be"
                " counted in each of them. Say which one is meant, --bind NAME, or name a"
                " revision."
            )
    elif not is_offline:
        for project in projects:
            project.check_same_place(target)
