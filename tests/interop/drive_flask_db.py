"""Runs commands of ``flask db`` for tests, in a process that stays: starting takes a second.

``python drive_flask_db.py theirs|ours``: by the real Flask-Migrate on the real Flask-SQLAlchemy; or
by ours under their names, on our ``SQLAlchemy`` if ``RETORT_ALIAS=1``, else on the real one.

A line of standard input is a command as JSON: the project's folder, its environment, the stage of
its models, the words. A line of standard output is what became of it.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import sys
import traceback
from typing import Any

_number = itertools.count()


def choose(tool: str) -> None:
    """Let the project's imports mean the tool's packages, and see that they do."""
    if tool == "ours":
        from flask_retort import compat

        compat.install_as_flask_migrate()
        if os.environ.get("RETORT_ALIAS") == "1":
            compat.install_as_flask_sqlalchemy()
    import flask_migrate

    assert (flask_migrate.Migrate.__module__ == "flask_migrate") == (tool == "theirs")


class Logging:
    """What a program sees of its logging: the root's handlers, and a logger that it has made."""

    def __init__(self) -> None:
        self.logger = logging.getLogger(f"mine.{next(_number)}")
        self.before = self._state()

    def is_kept(self) -> bool:
        """Whether everything is as it was."""
        return self._state() == self.before

    def _state(self) -> object:
        root = logging.getLogger()
        return [*map(id, root.handlers)], root.level, self.logger.disabled, self.logger.level


def run(written: io.StringIO, stage: int, words: list[str]) -> dict[str, object]:
    """One command on a new application object."""
    from app import create_app

    app = create_app(stage)
    state = Logging()
    start = len(written.getvalue())
    result = app.test_cli_runner().invoke(args=["db", *words])
    with app.app_context():
        for engine in app.extensions["sqlalchemy"].engines.values():
            engine.dispose()
    unexpected = result.exception
    if isinstance(unexpected, SystemExit):
        unexpected = None
    return {
        "exit_code": result.exit_code,
        # Alembic keeps the standard output that it meets when it is imported.
        "stdout": written.getvalue()[start:] + result.stdout,
        "stderr": result.stderr,
        "traceback": "".join(traceback.format_exception(unexpected)) if unexpected else "",
        "keeps_logging": state.is_kept(),
    }


def serve(tool: str) -> None:
    """Answer commands until standard input ends."""
    answers, sys.stdout = sys.stdout, io.StringIO()
    written = sys.stdout
    choose(tool)
    logging.getLogger().addHandler(logging.NullHandler())
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        os.chdir(command["folder"])
        os.environ.pop("FAR_URL", None)
        os.environ.update(command["environment"])
        if "app" not in sys.modules:
            sys.path.insert(0, command["folder"])
        answers.write(json.dumps(run(written, command["stage"], command["words"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
