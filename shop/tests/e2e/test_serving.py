"""``python -m shop`` as a program of its own, on a real port."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import sqlalchemy as sa

import shop

REVISIONS = [*Path(shop.__file__).parent.glob("migrations/versions/*.py")]
FIRST = "fc501b7699a5"
"""The revision that an empty database begins with."""


def environment(url: sa.URL | str) -> dict[str, str]:
    """This process's environment with the shop's settings in it."""
    shown = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    return {**os.environ, "SHOP_DATABASE_URL": shown, "SHOP_SECRET_KEY": "of a test"}


def run(url: sa.URL | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m shop`` until it ends."""
    return subprocess.run(
        [sys.executable, "-m", "shop", *arguments],
        env=environment(url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def serving(url: sa.URL, *arguments: str) -> Generator[str]:
    """``python -m shop`` on a free port; gives the address it prints, and ends it."""
    command = [sys.executable, "-m", "shop", "--port", "0", *arguments]
    with subprocess.Popen(
        command,
        env=environment(url),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield next(
                found[0] for line in process.stdout if (found := re.search(r"http://[\d.:]+", line))
            )
        finally:
            process.terminate()


def get(address: str) -> Any:
    """The JSON of an address."""
    with urlopen(address, timeout=30) as response:
        return json.load(response)


def test_one_command_serves_real_purchases(database_url: sa.URL, sample: Path) -> None:
    """On an empty database one command creates, imports and serves; the next start keeps it."""
    for _ in range(2):
        with serving(database_url, "--file", str(sample)) as root:
            assert get(f"{root}/health") == {"status": "ok"}
            assert get(f"{root}/api/v1/users/1/orders")["total"] == 1
            orders = [get(f"{root}/api/v1/users/{user}/orders")["total"] for user in (2, 3)]
            assert orders == [2, 6]


def test_production_serves_by_gunicorn(postgresql_url: sa.URL, sample: Path) -> None:
    """With --production the same pages come from gunicorn."""
    with (
        serving(postgresql_url, "--production", "--file", str(sample)) as root,
        urlopen(f"{root}/api/v1/products", timeout=30) as response,
    ):
        assert response.headers["Server"] == "gunicorn"
        assert json.load(response)["total"] > 0


def test_no_serve_sets_up_and_ends(database_url: sa.URL, sample: Path) -> None:
    """With --no-serve the data is there and the program has ended."""
    done = run(database_url, "--no-serve", "--file", str(sample))
    assert done.returncode == 0, done.stderr
    assert "Imported 300 purchases" in done.stdout
    assert "http://" not in done.stdout


def test_many_start_at_once(database_url: sa.URL, sample: Path) -> None:
    """Of several shops started on an empty database one makes the tables, and all come up."""
    command = [sys.executable, "-m", "shop", "--no-serve", "--file", str(sample)]
    started = [
        subprocess.Popen(
            command,
            env=environment(database_url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in started]
    assert [code for _, _, code in ended] == [0] * 4, ended
    assert sum(f"upgrade {FIRST}" in out for out, _, _ in ended) == 1
    assert sum("Imported 300 purchases" in out for out, _, _ in ended) == 1


def test_workers_that_upgrade_come_up_together(
    database_url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four workers of gunicorn that each upgrade an empty database as they load all serve."""
    tmp_path.joinpath("wsgi.py").write_text(
        "import os\n"
        "from flask_retort.migrations import upgrade\n"
        "from shop import create_app\n"
        "app = create_app()\n"
        "with app.app_context():\n"
        "    applied = upgrade()\n"
        "@app.get('/applied')\n"
        "def by_whom():\n"
        "    return {str(os.getpid()): applied}\n"
    )
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = "http://{}:{}/applied".format(*listening.getsockname())
        place = listening.fileno()
        command = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{place}", "--workers", "4"]
        with subprocess.Popen(
            [*command, "wsgi:app"],
            env=environment(database_url),
            pass_fds=[place],
            stderr=subprocess.PIPE,
        ) as server:
            try:
                applied = answers_of(address, 4)
            finally:
                server.terminate()
                _, said = server.communicate(timeout=30)
    assert b"Exception in worker" not in said
    assert sorted(applied.values()) == [0, 0, 0, len(REVISIONS)]


def answers_of(address: str, workers: int) -> dict[str, int]:
    """What so many workers say, each of which answers for itself."""
    found: dict[str, int] = {}
    deadline = time.monotonic() + 60
    while len(found) < workers:
        assert time.monotonic() < deadline, found
        found.update(get(address))
    return found


def test_a_newer_database_is_one_sentence(database_url: sa.URL, sample: Path) -> None:
    """A database that a newer shop has upgraded is refused with the reason."""
    assert run(database_url, "--no-serve", "--file", str(sample)).returncode == 0
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'f00dfeedf00d'"))
    done = run(database_url, "--no-serve")
    assert done.returncode == 1
    assert "f00dfeedf00d" in done.stderr
    assert done.stderr.endswith("[retort:database-ahead]\n")
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """A port in use is named, before anything is imported."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(f"sqlite:///{tmp_path / 'never.sqlite3'}", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: Port {port} on 127.0.0.1 is in use by another program; choose one with --port.\n"
    )
    assert not (tmp_path / "never.sqlite3").exists()


def test_a_missing_database_is_one_sentence(
    postgresql_server: sa.URL, mysql_server: sa.URL
) -> None:
    """A database that the server does not have comes with the command that creates it."""
    for server, command in ((postgresql_server, "createdb "), (mysql_server, "CREATE DATABASE ")):
        done = run(server.set(database="retort_absent"), "--no-serve")
        assert done.returncode == 1
        assert "There is no database 'retort_absent'" in done.stderr
        assert command in done.stderr
        assert "Traceback" not in done.stderr


def test_a_server_that_is_away_is_one_sentence() -> None:
    """An unreachable server is named without its password."""
    done = run("postgresql+psycopg://shop:s3cret@127.0.0.1:1/shop", "--no-serve")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "Error: Can't connect to the default database, postgresql+psycopg"
    )
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
