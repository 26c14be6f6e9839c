"""A server that forks its workers after the application has used its engine."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from .servers import _free_port

APPLICATION = """
import os, flask, sqlalchemy as sa
from flask_retort import SQLAlchemy

app = flask.Flask("preloaded", instance_path=os.environ["INSTANCE"])
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["URL"]
db = SQLAlchemy(app)

class Visit(db.Model):
    id = sa.Column(sa.Integer, primary_key=True)
    number = sa.Column(sa.Integer, nullable=False)

with app.app_context():
    db.create_all()
    db.session.execute(sa.select(Visit)).all()
    opened_before_fork = db.engine.pool.checkedin()  # the session still has one

@app.get("/<int:number>")
def visit(number):
    db.session.add(Visit(number=number))
    db.session.commit()
    seen = db.session.scalar(sa.select(Visit.number).where(Visit.number == number))
    return {"pid": os.getpid(), "seen": seen}
"""


@contextmanager
def gunicorn(folder: Path, url: sa.URL, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The application above under ``gunicorn --preload`` with two workers of four threads."""
    (folder / "preloaded.py").write_text(APPLICATION)
    environment = {
        **os.environ,
        "INSTANCE": str(folder),
        "URL": url.render_as_string(hide_password=False),
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore", "-m", "gunicorn", "preloaded:app", "--preload"),
                *("--workers", "2", "--threads", "4", "--bind", f"127.0.0.1:{port}"),
            ],
            cwd=folder,
            env=environment,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def get(port: int, number: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{number}", timeout=30) as response:
        text: str = response.read().decode()
    return text


def wait_until_up(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            get(port, 0)
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_workers_forked_after_the_first_query_do_not_share_connections(
    database_url: sa.URL, tmp_path: Path
) -> None:
    """Every request of both workers reads back what it wrote, while the parent has connections."""
    port = _free_port()
    with gunicorn(tmp_path, database_url, port) as process:
        wait_until_up(process, port)
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda number: get(port, number), range(1, 201)))
    workers = {answer.partition(",")[0] for answer in answers}
    assert len(workers) == 2
    assert all(f'"seen":{number}}}' in answer for number, answer in enumerate(answers, 1))
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log, log
