"""What autogenerate compares, and what it writes into a revision's script."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import sqlalchemy as sa
from alembic.autogenerate import comparators
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.util import DispatchPriority

from flask_retort._sa_compat import is_made_from_select
from flask_retort.migrations.runner.journal import journal_name

from .circles import sort
from .compared_types import differ
from .constraint_names import name_all
from .enum_types import keep_flags, manage
from .rendered_types import render
from .table_order import arrange
from .type_casts import convert

logger = logging.getLogger("alembic.env")

_TABLES = "retort tables"

Filter = Callable[..., bool]

comparators.dispatch_for("autogenerate", priority=DispatchPriority.FIRST)(sort)


def compose(kw: dict[str, Any], *, version_table: str) -> dict[str, Any]:
    """A new dict of the arguments of Alembic's ``configure()``, with ours composed into the user's.

    A callable of the user's is always asked, and first: what it leaves out stays out, what it says
    about types and their text stands, and ours see the directives as it left them.

    :param kw: what ``env.py`` passes, or the built-in environment.
    :param version_table: the name of the version table; the journal's comes from it.
    """
    return {
        **kw,
        "include_name": _both(kw.get("include_name"), _leaves_out(journal_name(version_table))),
        "include_object": _both(kw.get("include_object"), _is_compared),
        "compare_type": _comparator(kw.get("compare_type", True)),
        "process_revision_directives": _finisher(kw.get("process_revision_directives")),
        "render_item": _renderer(kw.get("render_item")),
    }


def _both(theirs: Filter | None, ours: Filter) -> Filter:
    if theirs is None:
        return ours
    return lambda *arguments: theirs(*arguments) and ours(*arguments)


def _leaves_out(journal: str) -> Filter:
    """A filter of reflected names that leaves out the journal, whatever its schema."""

    def is_included(name: str | None, type_: str, parents: object) -> bool:
        return not (type_ == "table" and name == journal)

    return is_included


def _is_compared(
    item: sa.schema.SchemaItem, name: str, type_: str, reflected: bool, other: object
) -> bool:
    """Whether the models' item is one that CREATE TABLE makes.

    A view, and a table that is filled from a SELECT as it is created, belong to the metadata but
    are made by statements of their own; nor are they dropped where the database has them.
    """
    return not (_is_table(item) and not reflected and is_made_from_select(item))


def _is_table(item: object) -> TypeGuard[sa.Table]:
    return isinstance(item, sa.Table)


def _comparator(theirs: Any) -> Any:
    """The user's comparison of types, then ours; Alembic's decides where both say None."""
    if theirs is True:
        return differ
    if not callable(theirs):
        return theirs

    def compare(*arguments: Any) -> Any:
        verdict = theirs(*arguments)
        return differ(*arguments) if verdict is None else verdict

    return compare


def _renderer(theirs: Any) -> Any:
    if theirs is None:
        return render

    def render_item(*arguments: Any) -> Any:
        rendered = theirs(*arguments)
        return render(*arguments) if rendered is False else rendered

    return render_item


def _finisher(theirs: Any) -> Any:
    """The user's changes of the directives, then ours."""

    def finish(context: MigrationContext, revision: Any, directives: Any) -> None:
        tables = _count_tables(context, directives)
        had_any = bool(directives)
        if theirs is not None:
            theirs(context, revision, directives)
        for script in directives:
            _complete(script, context)
        if not _writes_differences(context):
            return  # an empty script may have been asked for
        if had_any and not directives:  # theirs found them empty, and says so
            logger.info(_reason(tables))
        elif directives and all(_is_empty(script, context) for script in directives):
            directives.clear()
            logger.info("No changes in schema detected. %s", _reason(tables))

    return finish


def _complete(script: ops.MigrationScript, context: MigrationContext) -> None:
    # One entry a database; those of the databases before this one are complete.
    upgrade, downgrade = script.upgrade_ops_list[-1], script.downgrade_ops_list[-1]
    alters = context.dialect.name != "sqlite" or bool(context.opts.get("render_as_batch"))
    for container in (upgrade, downgrade):
        keep_flags(container)
        name_all(container, checks_of_types=not _has_convention_for_checks(context))
        arrange(container, circles=alters)
        convert(container)
    manage(upgrade, downgrade, [t for t in _tables(context) if not is_made_from_select(t)])


def _writes_differences(context: MigrationContext) -> bool:
    options = context.config.cmd_opts if context.config is not None else None
    return bool(getattr(options, "autogenerate", False))


def _is_empty(script: ops.MigrationScript, context: MigrationContext) -> bool:
    """Whether the last database has been compared, and none had differences."""
    entries = script.upgrade_ops_list
    compared = len(entries) >= _count_databases(context)
    return compared and all(entry.is_empty() for entry in entries)


def _count_databases(context: MigrationContext) -> float:
    """How many entries a script gets before it is whole."""
    if context.opts.get("upgrade_token") == "upgrades":
        return 1
    databases = context.config.attributes.get("databases") if context.config is not None else None
    # An env.py of several databases that does not tell how many looks for empty scripts itself.
    return len(databases) if databases else math.inf


def _count_tables(context: MigrationContext, directives: list[ops.MigrationScript]) -> int:
    """How many tables the models hold, those of the databases before this one included."""
    here = len(_tables(context))
    if not directives:
        return here
    info = directives[0].info
    info[_TABLES] = info.get(_TABLES, 0) + here
    return int(info[_TABLES])


def _has_convention_for_checks(context: MigrationContext) -> bool:
    return any({"ck", sa.CheckConstraint} & set(m.naming_convention) for m in _metadatas(context))


def _tables(context: MigrationContext) -> list[sa.Table]:
    return [table for metadata in _metadatas(context) for table in metadata.tables.values()]


def _metadatas(context: MigrationContext) -> Sequence[sa.MetaData]:
    target: Any = context.opts.get("target_metadata") or ()
    return [target] if isinstance(target, sa.MetaData) else target


def _reason(tables: int) -> str:
    if tables == 0:
        return (
            "The models hold no table at all: import the module that defines them where the"
            " application is made, so that they are known before flask db runs."
        )
    held = "1 table" if tables == 1 else f"{tables} tables"
    return (
        f"The models hold {held}, and the database has all of it. If you expected a change:"
        " is the module that defines it imported, and saved?"
    )
