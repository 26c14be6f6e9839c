"""The names of Alembic that are not in its public documentation, all in this file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, cast

import sqlalchemy as sa
from alembic.autogenerate import render
from alembic.autogenerate.api import AutogenContext
from alembic.operations import Operations, ops
from alembic.runtime.migration import HeadMaintainer, MigrationContext
from alembic.script import Script, ScriptDirectory


class Step(Protocol):
    """One revision to apply, upwards or downwards."""

    is_upgrade: bool
    is_downgrade: bool
    info: Any
    migration_fn: Callable[..., Any]
    revision: Any

    @property
    def doc(self) -> str | None:
        """The first line of the script's docstring."""
        ...


def upgrade_steps(script: ScriptDirectory, revision: str, heads: Sequence[str]) -> list[Any]:
    """The steps from these heads up to a revision."""
    return cast(list[Any], script._upgrade_revs(revision, cast(Any, tuple(heads))))


def downgrade_steps(script: ScriptDirectory, revision: str, heads: Sequence[str]) -> list[Any]:
    """The steps from these heads down to a revision."""
    return cast(list[Any], script._downgrade_revs(revision, cast(Any, tuple(heads))))


def stamp_steps(
    script: ScriptDirectory, revisions: Sequence[str], heads: Sequence[str]
) -> list[Any]:
    """The steps that only change the version table."""
    return cast(list[Any], script._stamp_revs(tuple(revisions), tuple(heads)))


def pending_steps(context: MigrationContext, heads: tuple[str, ...]) -> list[Step]:
    """What the context's command has to do, starting from these heads."""
    function = cast("Callable[..., Iterable[Step]]", context._migrations_fn)
    return list(function(heads, context))


def version_table(context: MigrationContext) -> sa.Table[Any]:
    """The table that holds the heads."""
    return cast("sa.Table[Any]", context._version)


def has_version_table(context: MigrationContext) -> bool:
    """Whether the database has the table."""
    return context._has_version_table()


def revision_transaction(context: MigrationContext) -> AbstractContextManager[Any]:
    """A transaction of the context's connection, which its ``autocommit_block`` can interrupt."""
    return cast("AbstractContextManager[Any]", context.begin_transaction(_per_migration=True))


def move_heads(context: MigrationContext, heads: Iterable[str], step: Step) -> set[str]:
    """Write to the version table that the step was made, and return the new heads."""
    maintainer = HeadMaintainer(context, heads)
    maintainer.update_to_step(cast(Any, step))
    return maintainer.heads


def tell_version_callbacks(
    context: MigrationContext, step: Step, heads: set[str], arguments: dict[str, Any]
) -> None:
    """Call what ``on_version_apply`` registered."""
    for callback in context.on_version_apply_callbacks:
        callback(ctx=context, step=step.info, heads=set(heads), run_args=arguments)


@contextmanager
def current_context(context: MigrationContext) -> Generator[None]:
    """Let ``op`` and ``alembic.context`` mean this context: several databases take turns."""
    environment: Any = context.environment_context
    before = getattr(environment, "_migration_context", None)
    if environment is not None:
        environment._migration_context = context
    try:
        with Operations.context(context):
            yield
    finally:
        if environment is not None:
            environment._migration_context = before


def mark_current(script: Script, is_current: bool) -> None:
    """Let Alembic's line about a revision say whether the database is at it."""
    script._db_current_indicator = is_current


def rendered_type(type_: Any, context: AutogenContext) -> str:
    """A type as a script writes it; no public function takes a type alone."""
    write: Callable[..., str] = cast(Any, render)._repr_type
    return write(type_, context)


def knows_what_it_drops(op: ops.DropConstraintOp) -> bool:
    """Whether the operation still has the constraint, from which a name can be made."""
    return op._reverse is not None
