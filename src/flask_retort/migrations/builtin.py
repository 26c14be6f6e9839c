"""The environment of a project that has no ``env.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alembic.runtime.migration import MigrationContext

from .bindings import Binding
from .environment import Environment
from .runner import Work


def run(
    environment: Environment,
    databases: Sequence[Binding],
    configure_args: Mapping[str, Any],
    *,
    is_per_database: bool,
) -> None:
    """Do the environment's command on the databases of one history, together.

    :param configure_args: arguments for Alembic's ``configure()``.
    :param is_per_database: whether scripts have functions for each database.
    """
    works = (
        _work(environment, binding, configure_args, is_per_database=is_per_database)
        for binding in databases
    )
    if not environment.is_offline:
        environment.run(list(works))
        return
    for binding, work in zip(databases, works, strict=True):
        _write_title(work.context, binding)
        environment.run([work])


def _work(
    environment: Environment,
    binding: Binding,
    configure_args: Mapping[str, Any],
    *,
    is_per_database: bool,
) -> Work:
    kw = {**configure_args, "target_metadata": binding.metadata}
    if environment.is_offline:
        kw["literal_binds"] = True
    arguments: dict[str, Any] = {}
    if is_per_database:
        kw["upgrade_token"] = f"{binding.name}_upgrades"
        kw["downgrade_token"] = f"{binding.name}_downgrades"
        arguments["engine_name"] = binding.name
    return Work(binding.name, environment.context_for(binding, **kw), arguments)


def _write_title(context: MigrationContext, binding: Binding) -> None:
    context.impl.static_output(f"-- Database {binding.title}, {context.dialect.name}")
