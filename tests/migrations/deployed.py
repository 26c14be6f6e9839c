"""An application in a folder, whose ``flask db`` runs in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.migrations.scripts import History

APPLICATION = """
import os

import sqlalchemy as sa
from flask import Flask

from flask_retort import Migrate, SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
app.config["RETORT_MIGRATIONS"] = {"lock_timeout": 1, "retries": 2, "wait": 60}
db = SQLAlchemy(app)
Migrate(app, db)
"""


class Deployment:
    """The application's code in a folder, and its database."""

    def __init__(self, folder: Path, url: sa.URL) -> None:
        self.folder = folder
        self.url = url
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.py").write_text(APPLICATION)
        self.history = History(folder / "migrations")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``flask db`` with these arguments."""
        environment = os.environ | {
            "DATABASE_URL": self.url.render_as_string(hide_password=False),
            "FLASK_APP": "app",
            "PYTHONWARNINGS": "error",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "flask", "db", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``flask db`` with these arguments to its end."""
        return ended(self.start(*arguments))


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """The process when it has ended, with what it has written."""
    out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def events(run: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """What a run with ``--json`` has told."""
    return [json.loads(line) for line in run.stdout.splitlines()]
