"""Histories written by tests, and runs of them on a plain engine, without an application."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from flask_retort.config import Config
from flask_retort.config_sections import MigrationsConfig
from flask_retort.engines import make_engine
from flask_retort.migrations import _alembic, runner
from flask_retort.migrations.progress import Report, silent

QUICK = MigrationsConfig(wait=30, lock_timeout=1, retries=0)


class History:
    """Revisions r1, r2, ... in a folder, each the child of the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = len(list((folder / "versions").glob("*.py")))

    def add(self, upgrade: str, downgrade: str = "pass") -> str:
        """Write the next revision from the bodies of its two functions; returns its name."""
        self.count += 1
        self.write(self.count, upgrade, downgrade)
        return f"r{self.count}"

    def write(self, number: int, upgrade: str, downgrade: str = "pass") -> None:
        """Write or rewrite a revision."""
        parent = f"r{number - 1}" if number > 1 else None
        (self.folder / "versions").mkdir(parents=True, exist_ok=True)
        body = textwrap.indent(textwrap.dedent(upgrade).strip(), "    ")
        undo = textwrap.indent(textwrap.dedent(downgrade).strip(), "    ")
        text = (
            f'"""revision {number}"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
            f"revision = 'r{number}'\ndown_revision = {parent!r}\n\n\n"
            f"def upgrade():\n{body}\n\n\ndef downgrade():\n{undo}\n"
        )
        script = self.folder / "versions" / f"r{number}.py"
        script.write_text(text)
        # Python takes a text of the same length in the same second for the one it has compiled.
        Path(cache_from_source(script)).unlink(missing_ok=True)


def engine_for(url: sa.URL) -> sa.Engine:
    """An engine as applications get it."""
    config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": url})
    return make_engine({"url": url}, bind_key=None, config=config)


def work(
    connection: sa.Connection, history: History, to: str, *, downgrade: bool, database: str = ""
) -> runner.Work:
    """The work of bringing one database to a revision."""
    script = ScriptDirectory(str(history.folder))
    find = _alembic.downgrade_steps if downgrade else _alembic.upgrade_steps

    def pending(heads: Any, context: Any) -> list[Any]:
        return find(script, to, heads)

    options: Mapping[str, Any] = {
        "fn": pending,
        "script": script,
        "transaction_per_migration": True,
        "transactional_ddl": connection.dialect.name not in ("mysql", "mariadb"),
    }
    context = MigrationContext.configure(connection, opts=dict(options))
    return runner.Work(database, context)


def migrate(
    engine: sa.Engine,
    history: History,
    to: str = "heads",
    *,
    downgrade: bool = False,
    settings: MigrationsConfig = QUICK,
    report: Report = silent,
) -> int:
    """Run the history on the engine's database."""
    with engine.connect() as connection:
        works = [work(connection, history, to, downgrade=downgrade)]
        return runner.run(works, settings=settings, report=report, downgrade=downgrade)


def contents(engine: sa.Engine) -> dict[str, Any]:
    """Everything of a database that a test compares: tables, columns, indexes, keys, rows."""
    found: dict[str, Any] = {}
    inspector = sa.inspect(engine)
    with engine.connect() as connection:
        for name in sorted(inspector.get_table_names()):
            columns = inspector.get_columns(name)
            table = sa.Table(name, sa.MetaData(), *(sa.Column(c["name"]) for c in columns))
            found[name] = {
                "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in columns],
                "indexes": sorted(
                    (i["name"], tuple(i["column_names"]), i["unique"])
                    for i in inspector.get_indexes(name)
                ),
                "foreign keys": sorted(
                    (tuple(k["constrained_columns"]), k["referred_table"])
                    for k in inspector.get_foreign_keys(name)
                ),
                "rows": sorted(map(repr, connection.execute(sa.select(table)))),
            }
        if engine.dialect.name == "sqlite" and found:
            schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
            found["sqlite_master"] = [tuple(row) for row in connection.exec_driver_sql(schema)]
    return found
