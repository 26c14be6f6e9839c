"""MySQL and MariaDB as a back end: limits and mark of a session, what errors mean, what is left."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from tests.migrations.mysql_sessions import (
    DRIVERS,
    eventually,
    execute,
    runner,
    state_of,
    user,
    with_driver,
)

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import RevisionFailed, RunnerBusy
from flask_retort.migrations.backends import Kind
from flask_retort.migrations.backends.mysql import MySQL

TABLE = "alembic_version"
VARIABLES = (
    "lock_wait_timeout",
    "innodb_lock_wait_timeout",
    "max_statement_time",
    "idle_transaction_timeout",
    "wait_timeout",
)


@pytest.fixture(params=DRIVERS)
def engine(request: pytest.FixtureRequest, mysql_url: sa.URL) -> Iterator[sa.Engine]:
    """A database with a table, and a pool as applications have it."""
    engine = sa.create_engine(with_driver(mysql_url, request.param))
    execute(engine, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT) ENGINE=InnoDB")
    execute(engine, "INSERT INTO t (a) VALUES (1), (2)")
    yield engine
    engine.dispose()


def backend(**settings: Any) -> MySQL:
    return MySQL(MigrationsConfig(**settings))


def variables(connection: sa.Connection) -> list[float]:
    columns = ", ".join(f"@@SESSION.{name}" for name in VARIABLES)
    row = connection.exec_driver_sql(f"SELECT {columns}").one()
    connection.rollback()
    return [float(value) for value in row]


def failure(connection: sa.Connection, statement: str) -> exc.DBAPIError:
    with pytest.raises(exc.DBAPIError) as raised:
        connection.exec_driver_sql(statement)
    connection.rollback()
    return raised.value


def number_of(connection: sa.Connection) -> int:
    number: int = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
    connection.rollback()
    return number


# --- the session ------------------------------------------------------------------


def test_limits_hold_in_the_session_and_are_put_back(engine: sa.Engine) -> None:
    """Seconds as set; locks are counted in whole ones. No transaction is left open."""
    with engine.connect() as connection:
        connection.exec_driver_sql("SET SESSION lock_wait_timeout = 77, max_statement_time = 12.5")
        connection.rollback()
        before = variables(connection)
        mine = backend(lock_timeout=2.2, statement_timeout=7.5, idle_timeout=41)
        with mine.session(connection, TABLE):
            assert not connection.in_transaction()
            assert variables(connection)[:4] == [3, 3, 7.5, 41]
            assert variables(connection)[4] >= 604_800
        assert not connection.in_transaction()
        assert variables(connection) == before


def test_no_limit_is_no_limit_and_no_time_for_locks_is_a_second(engine: sa.Engine) -> None:
    """0 means something else to the server where locks are concerned."""
    with (
        engine.connect() as connection,
        backend(lock_timeout=0, statement_timeout=0, idle_timeout=0).session(connection, TABLE),
    ):
        assert variables(connection)[:4] == [1, 1, 0, 0]


def test_all_is_put_back_after_an_error_too(engine: sa.Engine) -> None:
    """Also when a transaction was left open by it."""
    with engine.connect() as connection:
        before = variables(connection)
        with pytest.raises(ZeroDivisionError), backend().session(connection, TABLE):
            raise_in_transaction(connection)
        assert variables(connection) == before
    assert execute(engine, "SELECT count(*) FROM t") == [(2,)]
    with engine.connect() as other, backend(wait=0).session(other, TABLE):
        pass


def raise_in_transaction(connection: sa.Connection) -> None:
    connection.exec_driver_sql("INSERT INTO t (a) VALUES (3)")
    raise ZeroDivisionError


@pytest.mark.parametrize("is_noticed", [True, False])
def test_a_session_whose_connection_is_lost_ends_quietly(
    engine: sa.Engine, is_noticed: bool
) -> None:
    """The server has put everything back; the error of the statement is not covered up."""
    with engine.connect() as connection, backend().session(connection, TABLE):
        execute(engine, f"KILL {number_of(connection)}")
        if is_noticed:
            assert failure_of_lost(connection).connection_invalidated
    with engine.connect() as other, backend(wait=5).session(other, TABLE):
        pass


def failure_of_lost(connection: sa.Connection) -> exc.DBAPIError:
    with pytest.raises(exc.DBAPIError) as raised:
        connection.exec_driver_sql("SELECT 1")
    return raised.value


def test_a_session_that_goes_on_with_a_killed_runners_statement_is_waited_for(
    engine: sa.Engine,
) -> None:
    """The server goes on with it; a second one beside it could do the same thing twice."""
    with runner(engine.url, "UPDATE t SET a = SLEEP(1.5)") as (process, worker):
        eventually(lambda: state_of(engine, worker) == "User sleep")
        process.kill()
        process.wait()
        with engine.connect() as connection:
            with (
                pytest.raises(RunnerBusy, match=rf"connection {worker} of .*KILL {worker}"),
                backend(wait=0).session(connection, TABLE),
            ):
                pass
            assert not connection.in_transaction()
            with backend(wait=20).session(connection, TABLE):
                assert state_of(engine, worker) == ""
    # Neither half of the update was committed: its client could not do that any more.
    assert execute(engine, "SELECT a FROM t") == [(1,), (2,)]


def test_a_statement_that_takes_too_long_is_ended_unless_it_blocks_nobody(
    engine: sa.Engine,
) -> None:
    """MariaDB's limit holds for schema changes; LOCK=NONE lets everybody else go on."""
    execute(engine, "ALTER TABLE t ADD b VARCHAR(200)")
    execute(engine, "INSERT INTO t SELECT seq, seq, REPEAT(MD5(seq), 5) FROM seq_3_to_60000")
    with engine.connect() as connection:
        mine = backend(statement_timeout=0.05)
        with mine.session(connection, TABLE):
            error = failure(connection, "ALTER TABLE t ADD INDEX (b), ALGORITHM=COPY")
            assert not mine.is_transient(error)
            online = "ALTER TABLE t ADD INDEX (b), LOCK = NONE"
            mine.before_alone(connection, online)
            begin = time.monotonic()
            connection.exec_driver_sql(online)
            assert time.monotonic() - begin > 0.05
            mine.alone_ended(connection, online)
            mine.alone_ended(connection, online)
            assert variables(connection)[2] == 0.05


# --- waiting for locks --------------------------------------------------------------


def test_a_held_table_fails_the_change_in_time_and_readers_wait_no_longer(
    engine: sa.Engine,
) -> None:
    """Who holds it is seen while it waits; another attempt can succeed."""
    mine = backend(lock_timeout=2)
    lock = mine.lock(engine, TABLE)
    assert lock.try_acquire()
    waited: list[float] = []

    def read() -> None:
        begin = time.monotonic()
        execute(engine, "SELECT * FROM t")
        waited.append(time.monotonic() - begin)

    with engine.connect() as holder, engine.connect() as worker, mine.session(worker, TABLE):
        number = number_of(holder)
        holder.exec_driver_sql("SELECT * FROM t").close()
        seen: list[str] = []

        def look() -> None:
            seen.extend(eventually(lambda: lock.observe(worker_number).blockers))
            reader.start()

        worker_number = mine.worker_id(worker)
        reader, looker = threading.Thread(target=read), threading.Thread(target=look)
        looker.start()
        begin = time.monotonic()
        error = failure(worker, "ALTER TABLE t ADD b INT")
        took = time.monotonic() - begin
        looker.join()
        reader.join()
        holder.rollback()
        assert mine.is_transient(error)
        assert 1.5 < took < 4
        assert waited[0] <= took + 0.5
        assert f"probably connection {number} of user {engine.url.username}" in seen[0]
        worker.exec_driver_sql("ALTER TABLE t ADD b INT")
    lock.release()


def test_locks_deadlocks_and_changed_rows_are_transient(engine: sa.Engine) -> None:
    """The same revision can succeed later."""
    mine = backend(lock_timeout=1)
    with engine.connect() as one, engine.connect() as two, mine.session(two, TABLE):
        one.exec_driver_sql("UPDATE t SET a = 3 WHERE id = 1")
        error = failure(two, "UPDATE t SET a = 4 WHERE id = 1")
        assert mine.is_transient(error)
        assert not mine.is_denied(error)
        one.rollback()
        two.exec_driver_sql("SET SESSION innodb_snapshot_isolation = ON")
        two.exec_driver_sql("SELECT * FROM t").close()
        one.exec_driver_sql("UPDATE t SET a = 3 WHERE id = 1")
        one.commit()
        assert mine.is_transient(failure(two, "UPDATE t SET a = 4 WHERE id = 1"))


def test_a_deadlock_is_transient(engine: sa.Engine) -> None:
    """Whoever of the two is the victim."""
    errors: list[exc.DBAPIError] = []
    both = threading.Barrier(2)

    def cross(first: int, second: int) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"UPDATE t SET a = 3 WHERE id = {first}")
            both.wait()
            try:
                connection.exec_driver_sql(f"UPDATE t SET a = 3 WHERE id = {second}")
            except exc.DBAPIError as error:
                errors.append(error)

    threads = [threading.Thread(target=cross, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [backend().is_transient(error) for error in errors] == [True]


def test_other_errors_are_not_transient(engine: sa.Engine) -> None:
    """Trying again would only take time."""
    with engine.connect() as connection:
        for statement in ("SELECT * FROM missing", "NONSENSE", "INSERT INTO t VALUES (1, 1)"):
            error = failure(connection, statement)
            assert not backend().is_transient(error)
            assert not backend().is_denied(error)


def test_a_user_without_rights_is_denied(engine: sa.Engine) -> None:
    """On a table, a database, a column, a thing of the server, and at the door."""
    with user(engine, "SELECT ON {db}.*", "UPDATE (id) ON {db}.t") as url:
        denied = sa.create_engine(url, poolclass=sa.NullPool)
        with denied.connect() as connection:
            for statement in (
                "ALTER TABLE t ADD b INT",
                "CREATE TABLE u (id INT)",
                "CREATE DATABASE retort_test_denied",
                "UPDATE t SET a = 1",
                "CREATE USER nobody_at_all",
                "CREATE PROCEDURE p() SELECT 1",
            ):
                error = failure(connection, statement)
                assert backend().is_denied(error), error
                assert not backend().is_transient(error)
        locked_out = sa.create_engine(url.set(password="wrong"), poolclass=sa.NullPool)
        with pytest.raises(exc.DBAPIError) as raised:
            locked_out.connect()
        assert backend().is_denied(raised.value)


# --- kinds that depend on what came before ------------------------------------------


def test_what_is_written_to_a_temporary_table_is_written_again_in_a_new_session() -> None:
    """A temporary table is gone with its session, and so is what it held."""
    mine = backend()
    write = "INSERT INTO scratch SELECT * FROM t"
    assert mine.kind(write) is Kind.WRITE
    assert mine.kind("CREATE TEMPORARY TABLE IF NOT EXISTS `Scratch` (id INT)") is Kind.READ
    assert mine.kind(write) is Kind.READ
    assert mine.kind("DELETE FROM scratch WHERE id = 1") is Kind.READ
    assert mine.kind("UPDATE t JOIN scratch USING (id) SET t.a = 1") is Kind.WRITE
    assert mine.kind("INSERT INTO t SELECT * FROM scratch") is Kind.WRITE
    assert mine.kind("DROP TEMPORARY TABLE scratch") is Kind.READ
    assert mine.kind(write) is Kind.WRITE


def test_a_temporary_table_does_not_commit(engine: sa.Engine) -> None:
    """What stands before it in the transaction can still be rolled back; unlike with DDL."""
    for statement, kept in (
        ("CREATE TEMPORARY TABLE scratch (id INT)", 2),
        ("DROP TEMPORARY TABLE IF EXISTS scratch", 2),
        ("CREATE TABLE scratch (id INT)", 3),
    ):
        with engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO t (a) VALUES (3)")
            connection.exec_driver_sql(statement)
            connection.rollback()
        assert execute(engine, "SELECT count(*) FROM t") == [(kept,)]
        commits = backend().kind(statement) is Kind.ALONE
        assert commits is (kept == 3)


# --- after a kill -----------------------------------------------------------------


@pytest.mark.parametrize("is_held", [True, False])
def test_an_alter_whose_client_was_killed_has_happened_or_not(
    engine: sa.Engine, is_held: bool
) -> None:
    """While it copied, it goes on to its end; while it waited for the table, it does not.

    The next session waits until that is decided, and then knows.
    """
    statement = "ALTER TABLE t ADD INDEX (b), ALGORITHM=COPY"
    execute(engine, "ALTER TABLE t ADD b VARCHAR(200)")
    execute(engine, "INSERT INTO t SELECT seq, seq, REPEAT(MD5(seq), 5) FROM seq_3_to_60000")
    mine = backend(wait=30)
    with engine.connect() as connection, engine.connect() as holder:
        fingerprint = mine.before_alone(connection, statement)
        connection.rollback()
        if is_held:
            holder.exec_driver_sql("SELECT * FROM t LIMIT 1").close()
        with runner(engine.url, statement) as (process, worker):
            state = "Waiting for table metadata lock" if is_held else "copy to tmp table"
            eventually(lambda: state_of(engine, worker) == state)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            with mine.session(connection, TABLE):
                assert state_of(engine, worker) == ""
                assert mine.was_done(connection, statement, fingerprint) is not is_held
                connection.rollback()
        holder.rollback()
        keys = execute(engine, "SHOW INDEX FROM t WHERE Column_name = 'b'")
        assert bool(keys) is not is_held


def test_what_can_not_be_known_is_said(engine: sa.Engine) -> None:
    """A procedure may have come to any place in it."""
    mine, statement = backend(), "CALL p()"
    with engine.connect() as connection:
        fingerprint = mine.before_alone(connection, statement)
        with pytest.raises(RevisionFailed, match=r"'CALL p\(\)' was running.*flask db stamp"):
            mine.was_done(connection, statement, fingerprint)


def test_half_a_drop_is_finished(engine: sa.Engine) -> None:
    """The rest is dropped; that the other half is unknown is what one expects, but only then."""
    execute(engine, "CREATE TABLE u (id INT)")
    mine, statement = backend(), "DROP TABLE t, u"
    with engine.connect() as connection:
        fingerprint = mine.before_alone(connection, statement)
        assert not mine.was_done(connection, statement, fingerprint)
        execute(engine, "DROP TABLE t")
        early = failure(connection, "DROP TABLE t")
        assert not mine.was_done(connection, statement, fingerprint)
        assert not mine.is_done_already(early)
        assert mine.is_done_already(failure(connection, statement))
        assert mine.was_done(connection, statement, fingerprint)


def test_only_what_leaves_no_trace_is_recognised_by_its_error(engine: sa.Engine) -> None:
    """What was there before a statement ran was not made by it."""
    mine = backend()
    name = f"v{engine.url.database}"[:60]
    with engine.connect() as connection:
        for statement in (
            "CREATE TABLE t (id INT)",
            "ALTER TABLE t ADD a INT",
            "ALTER TABLE t DROP b",
            "DROP TABLE missing",
        ):
            assert not mine.is_done_already(failure(connection, statement))
        connection.exec_driver_sql(f"CREATE USER {name}")
        assert mine.is_done_already(failure(connection, f"CREATE USER {name}"))
        revoke = f"REVOKE SELECT ON {engine.url.database}.* FROM {name}"
        assert mine.is_done_already(failure(connection, revoke))
        connection.exec_driver_sql(f"DROP USER {name}")
        assert mine.is_done_already(failure(connection, f"DROP USER {name}"))
        assert not mine.is_done_already(failure(connection, f"SET PASSWORD FOR {name} = ''"))
