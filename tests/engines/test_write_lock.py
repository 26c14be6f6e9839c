"""The turns of writing: who has them, for how long, and how they end."""

from __future__ import annotations

import gc
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.engines import write_lock
from flask_retort.engines.write_lock import WriteLock, lock_for

from .conftest import MakeEngine


class Writer(sqlite3.Connection):
    """A connection that can be referred to weakly, as ours can."""


@pytest.fixture
def lock() -> WriteLock:
    return WriteLock()


@pytest.fixture
def writers() -> Iterator[list[Writer]]:
    connections = [Writer(":memory:") for _ in range(3)]
    yield connections
    for connection in connections:
        connection.close()


def in_thread(function: object, *args: object) -> list[BaseException]:
    """Run it in another thread; its error, if it raised one."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function(*args)  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - is given to the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised


def test_the_lock_is_free_again_after_release(lock: WriteLock, writers: list[Writer]) -> None:
    """Taken, given back, taken by the next; releasing what one does not have does nothing."""
    lock.acquire(writers[0], 0)
    lock.release(writers[1])
    (error,) = in_thread(lock.acquire, writers[1], 0)
    assert "have been writing for 0 s" in str(error)
    lock.release(writers[0])
    assert in_thread(lock.acquire, writers[1], 0) == []


def test_one_who_gave_up_is_not_served(lock: WriteLock, writers: list[Writer]) -> None:
    """A timeout takes the writer out of the line."""
    lock.acquire(writers[0], 0)
    assert in_thread(lock.acquire, writers[1], 0.01)
    lock.release(writers[0])
    lock.acquire(writers[2], 0)


def test_a_thread_that_would_wait_for_itself_is_told_at_once(
    lock: WriteLock, writers: list[Writer]
) -> None:
    """Waiting could never end, so it is an error immediately."""
    lock.acquire(writers[0], 60)
    start = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="database is locked: this thread") as info:
        lock.acquire(writers[1], 60)
    assert time.monotonic() - start < 1
    assert info.value.sqlite_errorname == "SQLITE_BUSY"
    lock.release(writers[0])
    lock.acquire(writers[1], 0)


def test_a_collected_connection_gives_the_lock_back(lock: WriteLock, writers: list[Writer]) -> None:
    """A connection that is dropped without being closed does not block the others for ever."""
    writer = Writer(":memory:")
    lock.acquire(writer, 0)
    writer.close()
    del writer
    gc.collect()
    lock.acquire(writers[0], 0)


def test_giving_back_inside_the_locked_section_does_not_block(
    lock: WriteLock, writers: list[Writer]
) -> None:
    """The collector may run anywhere, also where the lock's own mutex is held."""
    lock.acquire(writers[0], 0)
    with lock._mutex:
        lock.release(writers[0])
    lock.acquire(writers[1], 0)


def test_one_lock_for_all_names_of_a_file(tmp_path: Path) -> None:
    """A symbolic link to the file is the same file."""
    path = tmp_path / "a.db"
    path.touch()
    (tmp_path / "b.db").symlink_to(path)
    assert lock_for(str(path)) is lock_for(str(tmp_path / "b.db"))
    assert lock_for(str(path)) is not lock_for(str(tmp_path / "c.db"))


def test_locks_nobody_uses_are_forgotten(tmp_path: Path) -> None:
    """A long-lived process that opens many databases keeps none of their locks."""
    lock_for(str(tmp_path / "gone.db"))
    gc.collect()
    assert str(tmp_path / "gone.db") not in write_lock._locks


def test_a_forked_child_inherits_no_turn(tmp_path: Path, writers: list[Writer]) -> None:
    """The thread that held the lock does not exist in the child."""
    held = lock_for(str(tmp_path / "a.db"))
    held.acquire(writers[0], 0)
    pid = os.fork()
    if pid == 0:
        in_child = lock_for(str(tmp_path / "a.db"))
        in_child.acquire(writers[1], 0)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


# --- as used by engines ----------


def test_two_writing_connections_of_one_thread(sqlite_file: sa.Engine) -> None:
    """A second session that writes before the first has committed is told so at once."""
    with sqlite_file.connect() as first, sqlite_file.connect() as second:
        first.exec_driver_sql("UPDATE item SET n = 1")
        start = time.monotonic()
        with pytest.raises(exc.OperationalError, match="another connection"):
            second.exec_driver_sql("UPDATE item SET n = 2")
        assert time.monotonic() - start < 1
        first.commit()
        second.exec_driver_sql("UPDATE item SET n = 2")
        second.commit()


def test_the_lock_ends_with_the_transaction_not_the_checkout(sqlite_file: sa.Engine) -> None:
    """A committed connection that stays checked out holds up nobody."""
    with sqlite_file.connect() as first, sqlite_file.connect() as second:
        for connection in (first, second, first):
            connection.exec_driver_sql("UPDATE item SET n = n + 1")
            connection.commit()


@pytest.mark.parametrize("ending", ["close", "invalidate", "detach and drop"])
def test_the_lock_ends_with_the_connection(sqlite_file: sa.Engine, ending: str) -> None:
    """However a connection ends with its transaction open, the next writer gets in."""
    proxied = sqlite_file.raw_connection()
    proxied.cursor().execute("UPDATE item SET n = 1")
    if ending == "close":
        proxied.close()
    elif ending == "invalidate":
        proxied.invalidate()
    else:
        proxied.detach()
        driver = proxied.dbapi_connection
        assert driver is not None
        driver.close()
    with sqlite_file.begin() as connection:
        assert connection.exec_driver_sql("SELECT n FROM item").scalar() == 0
        connection.exec_driver_sql("UPDATE item SET n = 2")


def test_a_checkout_that_is_forgotten_gives_the_lock_back(sqlite_file: sa.Engine) -> None:
    """The pool resets a connection whose user was collected."""
    proxied = sqlite_file.raw_connection()
    proxied.cursor().execute("UPDATE item SET n = 1")
    del proxied
    gc.collect()
    with sqlite_file.begin() as connection:
        connection.exec_driver_sql("UPDATE item SET n = 2")


def test_begin_that_fails_keeps_no_lock(engine_for: MakeEngine, tmp_path: Path) -> None:
    """When another process writes for too long, the turn is given up with the error."""
    engine = engine_for(f"sqlite:///{tmp_path / 'a.db'}", RETORT_SQLITE={"busy_timeout": 0.05})
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE item (n INTEGER)")
    foreign = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with engine.connect() as first, engine.connect() as second:
        for connection in (first, second, first):
            with pytest.raises(exc.OperationalError, match="database is locked"):
                connection.exec_driver_sql("INSERT INTO item VALUES (1)")
            connection.rollback()
        foreign.rollback()
        first.exec_driver_sql("INSERT INTO item VALUES (1)")
    foreign.close()


def test_databases_do_not_wait_for_each_other(engine_for: MakeEngine, tmp_path: Path) -> None:
    """One thread may write to two databases at once."""
    one, two = (engine_for(f"sqlite:///{tmp_path / name}") for name in ("1.db", "2.db"))
    with one.begin() as first, two.begin() as second:
        first.exec_driver_sql("CREATE TABLE a (id INTEGER)")
        second.exec_driver_sql("CREATE TABLE a (id INTEGER)")
