"""Generates scripts straight from a database and metadata, without an application."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.config import Config
from alembic.operations import Operations, ops
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from flask_retort.migrations.autogenerate import compose

DEFAULTS: dict[str, Any] = {
    "sqlalchemy_module_prefix": "sa.",
    "alembic_module_prefix": "op.",
    "user_module_prefix": None,
    "render_as_batch": True,
    "upgrade_token": "upgrades",
    "downgrade_token": "downgrades",
}


def no_history() -> ScriptDirectory:
    """A folder that holds no revision."""
    return ScriptDirectory(str(Path(__file__).parent))


def context(
    connection: sa.Connection, metadata: sa.MetaData | list[sa.MetaData], **kw: Any
) -> MigrationContext:
    """A context whose arguments are composed with ours."""
    arguments = {**DEFAULTS, "target_metadata": metadata, **kw}
    composed = compose(arguments, version_table="alembic_version")
    return MigrationContext.configure(connection, opts=composed)


def for_migrate(
    connection: sa.Connection, metadata: sa.MetaData, databases: list[str] | None = None, **kw: Any
) -> MigrationContext:
    """The same as ``flask db migrate`` has it; not as ``check``."""
    config = Config(cmd_opts=argparse.Namespace(autogenerate=True))
    config.attributes["databases"] = databases
    environment = EnvironmentContext(config, no_history())
    arguments = {**DEFAULTS, "target_metadata": metadata, **kw}
    environment.configure(connection, **compose(arguments, version_table="alembic_version"))
    return environment.get_context()


def differences(connection: sa.Connection, metadata: sa.MetaData, **kw: Any) -> list[Any]:
    """What autogenerate finds, as Alembic's tuples; changes of one column not in a list."""
    found: list[Any] = []
    operations = produce_migrations(context(connection, metadata, **kw), metadata).upgrade_ops
    assert operations is not None
    for one in operations.as_diffs():
        found += one if isinstance(one, list) else [one]
    return found


@dataclass(frozen=True)
class Script:
    """A generated script, as the text of its functions."""

    upgrade: str
    downgrade: str
    operations: ops.MigrationScript

    def run(self, connection: sa.Connection, direction: str, namespace: dict[str, Any]) -> None:
        """Run one of its functions; ``namespace`` is what the script would have imported."""
        with Operations.context(MigrationContext.configure(connection)) as op:
            exec(getattr(self, direction), {"sa": sa, "op": op, **namespace})


def generate(connection: sa.Connection, metadata: sa.MetaData, **kw: Any) -> Script:
    """The script that brings the database to the metadata."""
    migration = context(connection, metadata, **kw)
    script = produce_migrations(migration, metadata)
    migration.opts["process_revision_directives"](migration, (), [script])
    assert script.upgrade_ops is not None
    assert script.downgrade_ops is not None
    texts = [
        _dedented(
            render_python_code(
                one,
                migration_context=migration,
                render_as_batch=migration.opts["render_as_batch"],
                render_item=migration.opts["render_item"],
                user_module_prefix=migration.opts["user_module_prefix"],
            )
        )
        for one in (script.upgrade_ops, script.downgrade_ops)
    ]
    return Script(texts[0], texts[1], script)


def _dedented(text: str) -> str:
    return text.replace("\n    ", "\n")
