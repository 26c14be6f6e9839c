"""What is seen of a worker from beside: who keeps it waiting, and how far it is."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from tests.faults.servers import OwnMariaDB, running
from tests.migrations.mysql_sessions import (
    DRIVERS,
    eventually,
    execute,
    state_of,
    user,
    with_driver,
)

from flask_retort.migrations.backends import Observed
from flask_retort.migrations.backends.mysql_observing import Observer


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, mysql_url: sa.URL) -> sa.Engine:
    """A database with a table of two rows."""
    engine = sa.create_engine(with_driver(mysql_url, request.param), poolclass=sa.NullPool)
    fill(engine)
    return engine


def fill(engine: sa.Engine) -> None:
    execute(engine, "CREATE TABLE t (id INT PRIMARY KEY, a INT) ENGINE=InnoDB")
    execute(engine, "INSERT INTO t VALUES (1, 1), (2, 2)")


class Worker:
    """A session that executes one statement in a thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self.connection = engine.connect()
        self.number = number_of(self.connection)
        self.connection.exec_driver_sql("SET SESSION lock_wait_timeout = 30")
        self.error: BaseException | None = None

    def execute(self, statement: str) -> None:
        try:
            self.connection.exec_driver_sql(statement)
            self.connection.commit()
        except exc.DBAPIError as error:
            self.error = error


@contextmanager
def at_work(engine: sa.Engine, statement: str) -> Iterator[Worker]:
    """A worker whose statement runs; at the end it is waited for, so what blocks it must end."""
    worker = Worker(engine)
    thread = threading.Thread(target=worker.execute, args=(statement,))
    thread.start()
    try:
        yield worker
    finally:
        thread.join()
        worker.connection.close()


@contextmanager
def open_transaction(engine: sa.Engine, statement: str) -> Iterator[tuple[sa.Connection, int]]:
    """A session that has executed a statement and not ended its transaction."""
    with engine.connect() as connection:
        number = number_of(connection)
        connection.exec_driver_sql(statement).close()
        yield connection, number


def number_of(connection: sa.Connection) -> int:
    number: int = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
    return number


def looking(connection: sa.Connection, worker: Worker) -> Callable[[], Observed]:
    observer = Observer()
    return lambda: observer.observed(connection, worker.number)


def looking_at_transactions(connection: sa.Connection, worker: Worker) -> Callable[[], Observed]:
    """Looks after a moment in which other tests hopefully do not.

    InnoDB shows transactions from a copy, made anew where nobody has asked for 0.1 s.
    """
    look = looking(connection, worker)

    def look_later() -> Observed:
        time.sleep(random.uniform(0.11, 0.4))
        return look()

    return look_later


@pytest.fixture
def beside(engine: sa.Engine) -> Iterator[sa.Connection]:
    """The connection that looks."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def begins_with(blockers: tuple[str, ...], words: str) -> tuple[str, ...]:
    """The blockers, if the first one is described so; otherwise none."""
    return blockers if "".join(blockers[:1]).startswith(words) else ()


@pytest.mark.parametrize("statement", ["ALTER TABLE t ADD b INT", "DROP TABLE t"])
def test_open_transactions_are_named_where_a_table_is_waited_for(
    engine: sa.Engine, beside: sa.Connection, statement: str
) -> None:
    """Those that only have read, too; the oldest of this database first; as a guess."""
    with (
        open_transaction(engine, "SELECT * FROM t") as (first, oldest),
        open_transaction(engine, "SELECT * FROM t") as (second, younger),
        at_work(engine, statement) as worker,
    ):
        look = looking_at_transactions(beside, worker)
        named = f"probably connection {oldest} of user {engine.url.username} from "
        seen = eventually(lambda: begins_with(look().blockers, named))
        first.rollback()
        second.rollback()
    assert ", transaction open for " in seen[0]
    assert any(f"connection {younger} " in words for words in seen)
    assert not any(f"connection {worker.number} " in words for words in seen)
    assert worker.error is None


def test_the_holder_of_a_row_is_named_for_certain(engine: sa.Engine, beside: sa.Connection) -> None:
    """Others with open transactions are not."""
    with (
        open_transaction(engine, "SELECT * FROM t") as (reader, _),
        open_transaction(engine, "UPDATE t SET a = 5 WHERE id = 1") as (holder, number),
        at_work(engine, "UPDATE t SET a = 6 WHERE id = 1") as worker,
    ):
        (words,) = eventually(lambda: looking_at_transactions(beside, worker)().blockers)
        reader.rollback()
        holder.rollback()
    assert words.startswith(f"connection {number} of user {engine.url.username} from ")


def test_lock_tables_is_guessed_where_no_transaction_is_open(
    engine: sa.Engine, beside: sa.Connection
) -> None:
    """The server does not tell who has locked a table by word."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    with (
        open_transaction(autocommit, "LOCK TABLES t READ") as (holder, _),
        at_work(engine, "ALTER TABLE t ADD b INT") as worker,
    ):
        # Other transactions of the server may be open for a moment, and are guessed first.
        assert eventually(
            lambda: "LOCK TABLES" in str(looking_at_transactions(beside, worker)().blockers)
        )
        holder.exec_driver_sql("UNLOCK TABLES")


def test_no_text_of_a_statement_is_shown(engine: sa.Engine, beside: sa.Connection) -> None:
    """It may hold what only its author should see."""
    with (
        open_transaction(engine, "SELECT 'hidden' FROM t") as (holder, _),
        at_work(engine, "ALTER TABLE t ADD hidden INT") as worker,
    ):
        seen = eventually(lambda: looking_at_transactions(beside, worker)().blockers)
        holder.rollback()
    assert "hidden" not in str(seen)


def test_who_may_not_see_others_is_told_how_to(engine: sa.Engine) -> None:
    """Open transactions of others are shown with the PROCESS privilege only; asked for once."""
    with user(engine, "ALL ON {db}.*") as url:
        unprivileged = sa.create_engine(url, poolclass=sa.NullPool)
        asked: list[str] = []
        with (
            unprivileged.connect() as beside,
            open_transaction(engine, "SELECT * FROM t") as (holder, _),
            at_work(unprivileged, "ALTER TABLE t ADD b INT") as worker,
        ):
            sa.event.listen(beside, "before_cursor_execute", lambda *a: asked.append(a[2]))
            look = looking_at_transactions(beside, worker)
            (words,) = eventually(lambda: look().blockers)
            assert look().blockers == (words,)
            holder.rollback()
        assert "GRANT PROCESS ON *.*" in words
        assert sum("ORDER BY p.db" in statement for statement in asked) == 1


def test_a_worker_that_does_not_wait_has_no_blockers(
    engine: sa.Engine, beside: sa.Connection
) -> None:
    """Though transactions are open."""
    with (
        open_transaction(engine, "SELECT * FROM t"),
        at_work(engine, "SELECT SLEEP(0.5)") as worker,
    ):
        eventually(lambda: state_of(engine, worker.number) == "User sleep")
        assert looking(beside, worker)() == Observed()


def test_a_worker_that_is_gone(engine: sa.Engine, beside: sa.Connection) -> None:
    """Is told as that."""
    gone = Worker(engine)
    gone.connection.close()
    eventually(lambda: "gone" in looking(beside, gone)().detail)


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [("COPY", "copy to tmp table: stage 1 of 2, "), ("INPLACE", "altering table: ")],
)
def test_how_far_a_long_alter_is(
    engine: sa.Engine, beside: sa.Connection, algorithm: str, expected: str
) -> None:
    """In percent, of a copy and of an online change."""
    execute(engine, "ALTER TABLE t ADD b VARCHAR(200)")
    execute(engine, "INSERT INTO t SELECT seq, seq, REPEAT(MD5(seq), 5) FROM seq_3_to_100000")
    with at_work(engine, f"ALTER TABLE t ADD INDEX (b), ALGORITHM={algorithm}") as worker:
        look = looking(beside, worker)
        eventually(lambda: tells_percents(expected, look().detail))
    assert worker.error is None


def tells_percents(expected: str, detail: str) -> bool:
    """Whether a detail begins so, and then tells more than 0 %."""
    return detail.startswith(expected) and 0 < int(detail.split()[-2]) <= 100


class Instrumented(OwnMariaDB):
    """A server that tells who has which metadata lock in performance_schema."""

    def command(self) -> list[str]:
        return [
            *super().command(),
            "--performance-schema=ON",
            "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON",
        ]


class WithPlugin(OwnMariaDB):
    """A server with the plugin that lists metadata locks."""

    def command(self) -> list[str]:
        return [*super().command(), "--plugin-load-add=metadata_lock_info"]


@pytest.mark.parametrize("kind", [Instrumented, WithPlugin])
def test_a_server_that_tells_who_has_a_table_is_believed(kind: type[OwnMariaDB]) -> None:
    """Then no transaction is guessed that has nothing to do with it."""
    with running(kind) as server:
        engine = sa.create_engine(server.url, poolclass=sa.NullPool)
        fill(engine)
        execute(engine, "CREATE TABLE unrelated (id INT) ENGINE=InnoDB")
        with (
            engine.connect().execution_options(isolation_level="AUTOCOMMIT") as beside,
            open_transaction(engine, "SELECT * FROM unrelated") as (reader, _),
            open_transaction(engine, "SELECT * FROM t") as (holder, number),
            at_work(engine, "ALTER TABLE t ADD b INT") as worker,
        ):
            (words,) = eventually(lambda: looking(beside, worker)().blockers)
            reader.rollback()
            holder.rollback()
        assert words.startswith(f"connection {number} of user root from ")
