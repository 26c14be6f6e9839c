"""How ``flask db`` ends when it is told to, when it fails, and what a terminal shows of it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.migrations.deployed import Deployment, ended
from tests.migrations.scripts import contents, engine_for


@pytest.fixture
def deployment(tmp_path: Path, database_url: sa.URL) -> Deployment:
    """An application in a folder, on each back end."""
    return Deployment(tmp_path / "project", database_url)


# --- how it ends ---------------------------------------------------------------------

SLEEP = {
    # In parts: a signal that comes between the flush and the sleep does not end the sleep.
    "sqlite": "import time; print('begun', flush=True); [time.sleep(0.1) for _ in range(300)]",
    "postgresql": "print('begun', flush=True); op.execute('SELECT pg_sleep(30)')",
    "mysql": "print('begun', flush=True); op.execute('SELECT SLEEP(6)')",
}


def test_sigterm_rolls_back_and_gives_the_lock_back(deployment: Deployment) -> None:
    """At once, also while the server is busy: exit 143, nothing is left, the next run succeeds.

    MariaDB itself goes on with its statement to the end, and the next run waits for that.
    """
    backend = deployment.url.get_backend_name()
    sleep = SLEEP[backend]
    deployment.history.add("op.create_table('kept', sa.Column('id', sa.Integer))")
    deployment.history.add(f'op.execute("INSERT INTO kept VALUES (7)")\n{sleep}')
    upgrading = deployment.start("upgrade")
    assert upgrading.stdout is not None
    assert upgrading.stdout.readline().startswith("upgrade r1")
    assert upgrading.stdout.readline() == "begun\n"
    start = time.monotonic()
    upgrading.terminate()
    result = ended(upgrading)
    assert time.monotonic() - start < 5
    assert result.returncode == 143
    assert result.stderr.startswith(
        "Ended by SIGTERM. The revision that was running, if any, is rolled back"
    )
    assert len(result.stderr.splitlines()) == 1
    engine = engine_for(deployment.url)
    assert contents(engine)["kept"]["rows"] == []
    engine.dispose()
    deployment.history.write(2, "op.execute('INSERT INTO kept VALUES (8)')")
    assert deployment.run("upgrade", "--wait", "3").returncode == 0


def test_a_bug_in_a_script_is_told_with_its_revision(deployment: Deployment) -> None:
    """Not as a traceback of ours: the sentence names the revision and the error."""
    deployment.history.add("op.execute('SELECT * FROM missing')")
    result = deployment.run("upgrade")
    assert result.returncode == 1
    assert "r1" in result.stderr
    assert "[retort:revision-failed]" in result.stderr
    assert "Traceback" not in result.stderr


# --- on a terminal -------------------------------------------------------------------


def test_on_a_terminal_a_long_step_is_shown_while_it_runs(tmp_path: Path) -> None:
    """In a line that is written over by the revision's own when it is done."""
    url = sa.URL.create("sqlite", database=str(tmp_path / "app.db"))
    deployment = Deployment(tmp_path / "project", url)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000000)"
    deployment.history.add(f'op.execute("CREATE TABLE t AS {numbers} SELECT sum(i) FROM n")')
    inner, outer = pty.openpty()
    environment = os.environ | {
        "DATABASE_URL": url.render_as_string(),
        "FLASK_APP": "app",
        "TERM": "xterm",
        "COLUMNS": "60",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "db", "upgrade"],
        cwd=deployment.folder,
        env=environment,
        stdout=outer,
        stderr=outer,
    )
    os.close(outer)
    shown = b"".join(_until_closed(inner)).decode()
    assert process.wait(timeout=60) == 0
    assert "\rr1  2." in f"\r{shown}"
    assert max(len(part) for part in re.split(r"[\r\n]", shown) if "CREATE" in part) == 59
    last = shown.rstrip("\r\n").split("\n")[-2]
    assert re.search(r"\rupgrade r1  revision 1 +[\d.]+ s\r?$", last)


def _until_closed(terminal: int) -> Iterator[bytes]:
    with os.fdopen(terminal, "rb", buffering=0) as stream:
        while True:
            try:
                chunk = stream.read(65536)
            except OSError:  # how Linux tells that nobody has the other side open
                return
            if not chunk:
                return
            yield chunk
