"""Projects of the real Flask-Migrate: a folder, its databases, and the commands run in it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

HERE = Path(__file__).parent
APPLICATION = HERE / "flask_migrate_project"
LONGER_NAMES = 3
"""The stage whose models the four revisions of a new project make."""


class Tool:
    """A process in which ``flask db`` is the real tool's, or ours.

    :param name: ``theirs`` or ``ours``.
    """

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "drive_flask_db.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, command: dict[str, Any]) -> dict[str, Any]:
        """What became of a command."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process has ended: see its standard error"
        result: dict[str, Any] = json.loads(answer)
        return result

    def end(self) -> None:
        """Let the process end."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()


@dataclass
class Project:
    """A project's folder, with databases of its own.

    :param databases: the URL of each database by its bind key; the default one's is empty.
    """

    folder: Path
    databases: dict[str, sa.URL]
    tools: Mapping[str, Tool]

    def run(self, tool: str, stage: int, *words: str) -> dict[str, Any]:
        """What became of ``flask db WORDS``, with the models of a stage."""
        return self.tools[tool].run(
            {
                "folder": str(self.folder),
                "environment": self.environment(),
                "stage": stage,
                "words": words,
            }
        )

    def succeed(self, tool: str, stage: int, *words: str) -> dict[str, Any]:
        """The same of a command that has to succeed."""
        result = self.run(tool, stage, *words)
        assert result["exit_code"] == 0, (tool, words, result["stderr"], result["traceback"])
        return result

    def environment(self) -> dict[str, str]:
        """The variables that tell the application its databases."""
        return {
            f"{key or 'near'}_url".upper(): url.render_as_string(hide_password=False)
            for key, url in self.databases.items()
        }

    def copy(self, folder: Path, databases: dict[str, sa.URL]) -> Project:
        """The same files with other databases."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
        return Project(folder, databases, self.tools)

    # --- its files ----------------------------------------------------------------

    def hashes(self) -> dict[str, str]:
        """The hash of each file, but for what Python compiles and SQLite writes."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path.suffix != ".pyc"
        }

    def revisions(self) -> list[str]:
        """The ids of all revisions, the oldest first."""
        follows: dict[str | None, str] = {}
        for path in self.folder.glob("migrations/versions/*.py"):
            text = path.read_text("utf-8")
            follows[_value(text, "down_revision")] = str(_value(text, "revision"))
        ordered: list[str] = []
        last: str | None = None
        while last in follows:
            last = follows[last]
            ordered.append(last)
        return ordered

    # --- its databases ------------------------------------------------------------

    def execute(self, key: str, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on a database, commit, and return its rows."""
        with _engine(self.databases[key]).begin() as connection:
            result = connection.execute(sa.text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    def versions(self) -> dict[str, list[str]]:
        """The revisions that each database is at."""
        return {
            key: [row[0] for row in self.execute(key, "SELECT version_num FROM alembic_version")]
            for key in self.databases
        }

    def contents(self) -> dict[str, dict[str, Any]]:
        """Every table of every database: columns, constraints, indexes and rows."""
        found: dict[str, dict[str, Any]] = {}
        for key, url in self.databases.items():
            with _engine(url).connect() as connection:
                inspector = sa.inspect(connection)
                for table in inspector.get_table_names():
                    found[f"{key}.{table}"] = {
                        **_shape(inspector, table),
                        "rows": _rows(connection, table),
                    }
        return found


def new_project(folder: Path, databases: dict[str, sa.URL], tools: Mapping[str, Tool]) -> Project:
    """A project of four revisions, made by the real tool, its databases at the second one."""
    shutil.copytree(APPLICATION, folder, ignore=shutil.ignore_patterns("__pycache__"))
    project = Project(folder, databases, tools)
    several = ["--multidb"] if len(databases) > 1 else []
    for stage, *words in (
        (1, "init", *several),
        (1, "migrate", "-m", "people", "--rev-id", "a1"),
        (1, "upgrade"),
        (2, "migrate", "-m", "notes", "--rev-id", "b2"),
        (2, "upgrade"),
        (LONGER_NAMES, "migrate", "-m", "longer names", "--rev-id", "c3"),
        (LONGER_NAMES, "revision", "-m", "addresses", "--rev-id", "d4"),
    ):
        project.succeed("theirs", int(stage), *map(str, words))
    _write_data_change(next(folder.glob("migrations/versions/d4_*.py")))
    return project


def fill(project: Project) -> None:
    """Rows for databases at the second revision: five people with three notes each."""
    far = "far" if "far" in project.databases else ""
    for n in range(1, 6):
        project.execute("", f"INSERT INTO person (id, name) VALUES ({n}, 'Person {n}')")
        for m in range(3):
            project.execute(
                far, f"INSERT INTO note (text, person_id) VALUES ('Note {m} of {n}', {n})"
            )


def _write_data_change(path: Path) -> None:
    """What a user writes into an empty script, in the functions of the default database."""
    text = path.read_text("utf-8")
    for direction, value in (("upgrade", "lower(name)"), ("downgrade", "NULL")):
        statement = f'op.execute("UPDATE person SET email = {value}")'
        text, count = re.subn(rf"(def {direction}_?\(\):\n    )pass", rf"\1{statement}", text)
        assert count == 1
    path.write_text(text, "utf-8")


def _value(script: str, name: str) -> str | None:
    found = re.search(rf"^{name}\b[^=\n]*= (?:['\"](\w+)['\"]|None)$", script, re.MULTILINE)
    assert found is not None
    return found[1]


def _engine(url: sa.URL) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool)


def _shape(inspector: sa.Inspector, table: str) -> dict[str, Any]:
    return {
        "columns": [{**c, "type": str(c["type"])} for c in inspector.get_columns(table)],
        "primary key": inspector.get_pk_constraint(table),
        "foreign keys": _sorted(inspector.get_foreign_keys(table)),
        "unique": _sorted(inspector.get_unique_constraints(table)),
        "checks": _sorted(inspector.get_check_constraints(table)),
        "indexes": _sorted(inspector.get_indexes(table)),
    }


def _sorted(things: Iterable[Any]) -> list[str]:
    return sorted(map(str, things))


def _rows(connection: sa.Connection, table: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")))
