"""Database servers of a test's own, which it may kill: PostgreSQL and MariaDB on a free port."""

from __future__ import annotations

import getpass
import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa


class OwnServer:
    """A server process in a folder of its own. ``kill`` is SIGKILL to it and all its children."""

    account: str
    drivername: str
    user: str

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="retort-server-"))
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:  # both servers refuse to run as root, and need to reach their folder
            shutil.chown(self.folder, self.account)
            self.run_as: str | None = self.account
        else:
            self.run_as = None
        self.prepare()

    @property
    def url(self) -> sa.URL:
        database = {"postgresql": "postgres", "mysql": "test"}[self.drivername.split("+")[0]]
        return sa.URL.create(
            self.drivername, self.user, host="127.0.0.1", port=self.port, database=database
        )

    def prepare(self) -> None:
        """Make the data folder."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """The command that runs the server in the foreground."""
        raise NotImplementedError

    def start(self) -> None:
        """Start, and wait until the server accepts connections."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                user=self.run_as,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def kill(self) -> None:
        """End the server and its children at once, as a power cut would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        """Kill the server and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *command: str) -> None:
        """Run a preparing command as the server's account."""
        subprocess.run(command, user=self.run_as, cwd=self.folder, check=True, capture_output=True)

    def _wait(self, seconds: float = 30) -> None:
        engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        deadline = time.monotonic() + seconds
        while True:
            try:
                with engine.connect():
                    return
            except sa.exc.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


@contextmanager
def running(kind: type[OwnPostgreSQL] | type[OwnMariaDB]) -> Iterator[OwnServer]:
    """A running server; skips the test where its programs are missing, and fails it in CI."""
    if kind.programs() is None:
        reason = f"{kind.__name__}: the server's programs are not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    server = kind()
    try:
        server.start()
        yield server
    finally:
        server.remove()


class OwnPostgreSQL(OwnServer):
    """A PostgreSQL server; its programs are found beside ``postgres`` or as Debian puts them."""

    account = "postgres"
    drivername = "postgresql+psycopg"
    user = "postgres"

    @staticmethod
    def programs() -> str | None:
        """The folder of the programs, or None where there is no server."""
        found = shutil.which("postgres")
        folders = [os.path.dirname(found)] if found else []
        folders += sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        return folders[-1] if folders else None

    def prepare(self) -> None:
        self.run(
            f"{self.programs()}/initdb", "-D", "data", "-U", "postgres", "-A", "trust", "--no-sync"
        )

    def command(self) -> list[str]:
        return [
            f"{self.programs()}/postgres",
            *("-D", "data", "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1"),
            *("-c", "shared_buffers=16MB"),
        ]

    def kill(self) -> None:
        """End the server. Its children are in sessions of their own, and end when it is gone."""
        if self.process is not None:
            children = _children(self.process.pid)
            super().kill()
            for child in children:
                _kill(child)


class OwnMariaDB(OwnServer):
    """A MariaDB server."""

    account = "mysql"
    drivername = "mysql+pymysql"
    user = "root"

    @staticmethod
    def programs() -> str | None:
        """The server's program, or None where there is none."""
        return shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

    def prepare(self) -> None:
        account = self.account if os.getuid() == 0 else getpass.getuser()
        self.run(
            "mariadb-install-db",
            *("--no-defaults", f"--user={account}", f"--datadir={self.folder}/data"),
            *("--auth-root-authentication-method=normal",),
        )

    def command(self) -> list[str]:
        return [
            str(self.programs()),
            *("--no-defaults", f"--datadir={self.folder}/data", f"--port={self.port}"),
            *(f"--socket={self.folder}/s", f"--pid-file={self.folder}/pid"),
            *("--bind-address=127.0.0.1", "--innodb-buffer-pool-size=32M"),
        ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
