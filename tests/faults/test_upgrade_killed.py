"""``flask db upgrade`` is killed at the worst moment, and run again."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.migrations.deployed import Deployment, ended
from tests.migrations.scripts import contents, engine_for

USERS = """
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50)),
        sa.Column("visits", sa.Integer, server_default="0"),
    )
    users = sa.table("users", sa.column("id"), sa.column("name"))
    op.bulk_insert(users, [{"id": n, "name": f"user {n}"} for n in range(1, 101)])
"""
INDEX = """
    op.execute("UPDATE users SET visits = visits + 1")
    with op.get_context().autocommit_block():
        op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)
    op.execute("UPDATE users SET visits = visits + 10")
"""
LONG_CHANGE = """
    op.execute("UPDATE users SET visits = visits + 1")
    op.execute("ALTER TABLE users ADD COLUMN nick VARCHAR(50)")
    op.execute("UPDATE users SET visits = visits + 10")
"""
VISITS = sa.text("SELECT DISTINCT visits FROM users")


@pytest.mark.parametrize("older_ends_after", [0, 4], ids=["at once", "later"])
def test_killed_while_a_concurrent_index_is_built(
    postgresql_url: sa.URL, tmp_path: Path, older_ends_after: float
) -> None:
    """The next upgrade leaves a valid index, and what ran before the index is not repeated."""
    deployment = Deployment(tmp_path / "app", postgresql_url)
    deployment.history.add(USERS)
    assert deployment.run("upgrade").returncode == 0
    deployment.history.add(INDEX)
    engine = engine_for(postgresql_url)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as older:
        older.execute(VISITS)  # a snapshot that the index has to wait for
        process = deployment.start("upgrade")
        _wait_until(engine, "SELECT count(*) FROM pg_index WHERE NOT indisvalid")
        process.send_signal(signal.SIGKILL)
        assert ended(process).returncode == -signal.SIGKILL
        ending = threading.Timer(older_ends_after, older.rollback)
        ending.start()
        again = deployment.run("upgrade")
        ending.join()
    assert again.returncode == 0, again.stderr
    with engine.connect() as connection:
        assert connection.scalar(VISITS) == 11
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_users_name'::regclass"
        assert connection.scalar(sa.text(valid)) is True
    assert set(contents(engine)) == {"alembic_version", "users"}
    engine.dispose()


def test_killed_while_a_change_of_a_table_waits_in_the_server(
    mysql_url: sa.URL, tmp_path: Path
) -> None:
    """MariaDB finishes or gives up what the killed process had sent; then it is gone on from."""
    deployment = Deployment(tmp_path / "app", mysql_url)
    deployment.history.add(USERS)
    assert deployment.run("upgrade").returncode == 0
    deployment.history.add(LONG_CHANGE)
    engine = engine_for(mysql_url)
    waiting = (
        "SELECT count(*) FROM information_schema.processlist"
        " WHERE state LIKE 'Waiting for table metadata lock%' AND db = DATABASE()"
    )
    with engine.connect() as holder:
        holder.execute(VISITS)
        process = deployment.start("upgrade", "--lock-timeout", "30")
        _wait_until(engine, waiting)
        process.send_signal(signal.SIGKILL)
        ended(process)
        ending = threading.Timer(2, holder.rollback)
        ending.start()
        again = deployment.run("upgrade")
        ending.join()
    assert again.returncode == 0, again.stderr
    with engine.connect() as connection:
        assert connection.scalar(VISITS) == 11
    assert "nick" in str(contents(engine)["users"]["columns"])
    engine.dispose()


def _wait_until(engine: sa.Engine, question: str) -> None:
    """Ask until the answer is not 0."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            if connection.scalar(sa.text(question)):
                return
        time.sleep(0.05)
    raise AssertionError(f"never came true: {question}")


class TestTableIsHeld:
    """A transaction that lasts holds the table that a revision changes."""

    @pytest.fixture(params=["postgresql", "mysql"])
    def deployment(self, request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
        """An application whose next revision adds a column."""
        url = request.getfixturevalue(f"{request.param}_url")
        deployment = Deployment(tmp_path / "app", url)
        deployment.history.add(USERS)
        assert deployment.run("upgrade").returncode == 0
        deployment.history.add('op.add_column("users", sa.Column("nick", sa.String(20)))')
        return deployment

    def test_upgrade_gives_up_and_names_the_holder(self, deployment: Deployment) -> None:
        """Readers wait no longer than the lock timeout; when the holder ends, it succeeds."""
        engine = engine_for(deployment.url)
        slowest = _Slowest(engine)
        with engine.connect() as holder:
            holder.execute(VISITS)
            session = _session(holder)
            reading = threading.Thread(target=slowest.read)
            reading.start()
            refused = deployment.run("upgrade", "--lock-timeout", "1", "--retries", "1")
            slowest.ends.set()
            reading.join()
        assert refused.returncode == 1
        assert "[retort:table-locked]" in refused.stderr
        assert str(session) in refused.stderr.splitlines()[-1]
        # Once the waiting statement has given up, readers go on at once.
        assert 0.2 < slowest.seconds < 1.8
        again = deployment.run("upgrade")
        assert again.returncode == 0, again.stderr
        engine.dispose()

    def test_a_retry_succeeds_when_the_holder_ends(self, deployment: Deployment) -> None:
        """The command that waits and tries again is done soon after the transaction is."""
        engine = engine_for(deployment.url)
        with engine.connect() as holder:
            holder.execute(VISITS)
            ending = threading.Timer(2.5, holder.rollback)
            ending.start()
            run = deployment.run("upgrade", "--lock-timeout", "1", "--retries", "5")
            ending.join()
        assert run.returncode == 0, run.stderr
        engine.dispose()


class _Slowest:
    """A reader of the table that keeps the longest time it had to wait."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.ends = threading.Event()
        self.seconds = 0.0

    def read(self) -> None:
        while not self.ends.is_set():
            with self.engine.connect() as connection:
                start = time.monotonic()
                connection.execute(VISITS)
                self.seconds = max(self.seconds, time.monotonic() - start)
            time.sleep(0.02)


def _session(connection: sa.Connection) -> Any:
    functions: dict[str, Callable[[], Any]] = {
        "postgresql": sa.func.pg_backend_pid,
        "mysql": sa.func.connection_id,
    }
    return connection.scalar(sa.select(functions[connection.dialect.name]()))
