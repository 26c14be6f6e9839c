"""Which lock belongs to which database, by whatever way it is opened."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool
from tests.migrations.backends.sqlite_databases import ended, fork, ours, plain

from flask_retort.config import Config
from flask_retort.engines import apply_defaults, make_engine
from flask_retort.migrations.backends import Observed
from flask_retort.migrations.backends.sqlite_lock import SQLiteLock

Lock = Callable[[sa.Engine], SQLiteLock]


@pytest.fixture
def lock_of() -> Iterator[Lock]:
    """Locks of engines, all given back at the end."""
    made: list[tuple[sa.Engine, SQLiteLock]] = []

    def make(engine: sa.Engine) -> SQLiteLock:
        made.append((engine, SQLiteLock(engine)))
        return made[-1][1]

    yield make
    for engine, lock in made:
        lock.release()
        engine.dispose()


def in_memory() -> sa.Engine:
    """The extension's own ``sqlite://``, which is a temporary file."""
    config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": "sqlite://"})
    options = config.engine_options({})[None]
    apply_defaults(options, instance_path=None, config=config)
    return make_engine(options, bind_key=None, config=config)


def test_all_ways_to_a_file_meet(
    lock_of: Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Absolute, relative, symbolic link, link to the folder, URI, creator: one lock."""
    folder = tmp_path / "a folder, 100% été"
    folder.mkdir()
    path = folder / "shöp db.sqlite"
    link, folder_link = tmp_path / "link.db", tmp_path / "linked"
    link.symlink_to(path)
    folder_link.symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    uri = path.as_uri().removeprefix("file://")
    ways = [
        ours(path),
        plain(path),
        plain(Path(folder.name, "..", folder.name, path.name)),
        plain(link),
        ours(link),
        plain(folder_link / path.name),
        sa.create_engine(f"sqlite:///file:{uri.replace('%', '%25')}?uri=true"),
        sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(path)),
    ]
    locks = [lock_of(engine) for engine in ways]
    for lock in locks:
        assert lock.try_acquire()
        assert [other.try_acquire() for other in locks if other is not lock] == [False] * 7
        assert os.listdir(folder).count(f"{path.name}.migrating") == 1
        assert locks[0].holder().startswith(f"process {os.getpid()} on ")
        lock.release()
        assert locks[0].holder() == ""
    assert f"{path.name}.migrating" not in os.listdir(folder)


def test_two_files_have_two_locks(lock_of: Lock, tmp_path: Path) -> None:
    """Databases of one application don't wait for each other."""
    assert lock_of(plain(tmp_path / "a.db")).try_acquire()
    assert lock_of(plain(tmp_path / "b.db")).try_acquire()


def test_looking_for_the_holder_leaves_nothing(lock_of: Lock, tmp_path: Path) -> None:
    """No lock file is made by the question."""
    lock = lock_of(plain(tmp_path / "a.db"))
    assert lock.holder() == ""
    assert lock.observe(None) == Observed()
    lock.cancel(None)
    assert os.listdir(tmp_path) == ["a.db"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: sa.create_engine("sqlite://"),
        lambda: sa.create_engine("sqlite://", poolclass=StaticPool),
        lambda: sa.create_engine("sqlite:///file:/shared?vfs=memdb&uri=true", poolclass=StaticPool),
        in_memory,
    ],
)
def test_a_database_in_memory_has_a_lock_of_this_process(
    lock_of: Lock, make: Callable[[], sa.Engine]
) -> None:
    """Of two on one engine, one gets it; another engine's is another one."""
    engine = make()
    first, second, other = lock_of(engine), lock_of(engine), lock_of(make())
    assert first.try_acquire()
    assert first.try_acquire()
    assert not second.try_acquire()
    assert second.holder() != ""
    assert other.try_acquire() or "memdb" in str(engine.url)
    second.release()
    assert not second.try_acquire()
    first.release()
    first.release()
    assert second.holder() == ""
    assert second.try_acquire()


def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent(lock_of: Lock) -> None:
    """It has a copy of the database in memory, and the thread is not there."""
    engine = sa.create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    thread = threading.Thread(target=lambda: lock_of(engine).try_acquire())
    thread.start()
    thread.join()

    def work() -> None:
        assert lock_of(engine).try_acquire()

    assert ended(fork(work)) == 0
    assert not lock_of(engine).try_acquire()


def test_a_full_pool_is_no_obstacle(lock_of: Lock, tmp_path: Path) -> None:
    """Where the database is, is asked on a connection beside the pool."""
    engine = sa.create_engine(
        f"sqlite:///{tmp_path / 'a.db'}", pool_size=1, max_overflow=0, pool_timeout=0.1
    )
    with engine.connect():
        assert lock_of(engine).try_acquire()
