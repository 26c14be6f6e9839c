"""A small application with a folder of revisions, for tests of the commands."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import flask
import sqlalchemy as sa

from flask_retort import SQLAlchemy
from flask_retort.migrations import Migrate

MakeApp = Callable[..., flask.Flask]

SINGLE_MAKO = '''"""${message}"""
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''
"""The template of a project that knows one database only."""


class Project:
    """An application with the models ``User`` and, for each bind, ``Star``.

    :param url: the default database's; None for an application without one.
    :param binds: the others' by bind key.
    :param folder: where the revisions lie; it is made, with nothing in it.
    :param migrate: arguments of ``Migrate``.
    """

    def __init__(
        self,
        make_app: MakeApp,
        folder: Path,
        url: sa.URL | str | None,
        *,
        binds: Mapping[str, sa.URL | str] | None = None,
        config: Mapping[str, Any] | None = None,
        **migrate: Any,
    ) -> None:
        self.folder = folder
        folder.joinpath("versions").mkdir(parents=True, exist_ok=True)
        settings = {"SQLALCHEMY_DATABASE_URI": url, "SQLALCHEMY_BINDS": dict(binds or {})}
        self.app = make_app("project", **settings, **(config or {}))
        self.db = SQLAlchemy(self.app)
        self.migrate = Migrate(self.app, self.db, **{"directory": folder, **migrate})
        if url is not None:
            self.add_table("users", sa.Column("name", sa.String(20)))
        for key in binds or {}:
            self.add_table(f"stars_{key}", bind=key)

    def add_table(self, name: str, *columns: sa.Column[Any], bind: str | None = None) -> None:
        """Give the models one more table."""
        primary = sa.Column("id", sa.Integer, primary_key=True)
        sa.Table(name, self.db.metadatas[bind], primary, *columns)

    def add_column(self, table: str, column: sa.Column[Any], bind: str | None = None) -> None:
        """Give a table of the models one more column."""
        self.db.metadatas[bind].tables[table].append_column(column)

    def write(
        self,
        revision: str,
        upgrade: str = "pass",
        downgrade: str = "pass",
        *,
        after: str | tuple[str, ...] | None = None,
        head: str = "",
        folder: Path | None = None,
    ) -> Path:
        """Write a revision's file; ``head`` is code above its functions."""
        path = (folder or self.folder) / "versions" / f"{revision}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'"""title of {revision}"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
            f"revision = {revision!r}\ndown_revision = {after!r}\n{textwrap.dedent(head)}\n\n"
            f"def upgrade():\n{_indented(upgrade)}\n\n\ndef downgrade():\n{_indented(downgrade)}\n"
        )
        return path

    def write_env(self, code: str) -> Path:
        """Write the project's own ``env.py``."""
        path = self.folder / "env.py"
        path.write_text(textwrap.dedent(code))
        return path

    def tables(self, bind: str | None = None) -> list[str]:
        """The names of the tables in a database."""
        with self.app.app_context():
            return sorted(sa.inspect(self.db.engines[bind]).get_table_names())

    def versions(self, bind: str | None = None, table: str = "alembic_version") -> list[str]:
        """The revisions that a database says it is at."""
        if table not in self.tables(bind):
            return []
        versions = sa.table(table, sa.column("version_num"))
        with self.app.app_context(), self.db.engines[bind].connect() as connection:
            return sorted(connection.scalars(sa.select(versions.c.version_num)))


CREATE_USERS = """
    op.create_table(
        "users", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20))
    )
"""
DROP_USERS = 'op.drop_table("users")'


def _indented(body: str) -> str:
    return textwrap.indent(textwrap.dedent(body).strip(), "    ")
