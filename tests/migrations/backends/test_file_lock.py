"""The lock on a file: one holder, however many fight, and whoever is killed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.migrations.backends.sqlite_databases import NOBODY, ended, fork, kill_self

from flask_retort.errors import MigrationError, NotAllowed
from flask_retort.migrations.backends import file_lock
from flask_retort.migrations.backends.file_lock import FileLock

MakeLock = Callable[[], FileLock]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    path.touch(mode=0o640)
    return path


@pytest.fixture
def make(database: Path) -> Iterator[MakeLock]:
    """Locks on one file, as other processes and threads would make them."""
    locks: list[FileLock] = []

    def make() -> FileLock:
        locks.append(FileLock(f"{database}.migrating", like=str(database)))
        return locks[-1]

    yield make
    for lock in locks:
        lock.release()


def take(lock: FileLock) -> None:
    deadline = time.monotonic() + 30
    while not lock.try_acquire():
        assert time.monotonic() < deadline, "the lock never came free"
        time.sleep(0.001)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.005)


# --- one holder ----------


def test_one_has_it_until_it_is_given_back(make: MakeLock) -> None:
    """A second one gets it after the first has given it back; asking again changes nothing."""
    first, second = make(), make()
    assert first.try_acquire()
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    first.release()
    assert second.try_acquire()
    assert not first.try_acquire()


def test_giving_back_what_one_does_not_have_takes_it_from_nobody(make: MakeLock) -> None:
    """Only the holder can give it back."""
    holder, other = make(), make()
    assert holder.try_acquire()
    other.release()
    assert not other.try_acquire()


def test_the_file_is_gone_after_use(make: MakeLock) -> None:
    """Nothing is left beside the database."""
    lock = make()
    lock.try_acquire()
    assert Path(lock.path).exists()
    lock.release()
    assert not Path(lock.path).exists()


def test_a_file_without_a_lock_is_in_nobodys_way(make: MakeLock) -> None:
    """What an earlier process left behind is just taken, and shown as nobody's."""
    lock = make()
    Path(lock.path).write_text("77\nweb-1\n1.0\n")
    assert lock.holder() == ""
    assert lock.try_acquire()


def test_the_file_belongs_to_those_of_the_database(make: MakeLock) -> None:
    """Who may write the database may take a lock that another user has left behind."""
    lock = make()
    umask = os.umask(0o077)
    try:
        lock.try_acquire()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(Path(lock.path).stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_no_file_that_the_application_cannot_open(
    make: MakeLock, database: Path
) -> None:
    """The owner of the database owns the lock file too."""
    os.chown(database, NOBODY, NOBODY)
    lock = make()
    lock.try_acquire()
    assert Path(lock.path).stat().st_uid == NOBODY


def test_a_removed_file_is_not_a_lock(make: MakeLock) -> None:
    """A holder removes the file before it unlocks it: who has opened it before, starts anew."""
    first, second = make(), make()
    first.try_acquire()
    number = second._opened()
    assert number is not None
    first.release()
    assert not second._take(number)
    assert second.try_acquire()


def test_another_ones_file_is_not_removed(make: MakeLock) -> None:
    """If somebody deletes the file by hand, the old holder leaves the new holder's file alone."""
    first, second = make(), make()
    first.try_acquire()
    Path(first.path).unlink()
    assert second.try_acquire()
    first.release()
    assert not make().try_acquire()


def test_the_file_is_removed_while_it_is_locked(
    make: MakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other way round, somebody could have locked it in between, and lose it."""
    lock, unlock = make(), file_lock._unlock
    there: list[bool] = []

    def noted(number: int) -> None:
        there.append(Path(lock.path).exists())
        unlock(number)

    monkeypatch.setattr(file_lock, "_unlock", noted)
    lock.try_acquire()
    lock.release()
    assert there == [False]


def test_an_inherited_number_of_the_file_keeps_nothing(make: MakeLock) -> None:
    """A process that got a copy of the open file does not have the lock after the holder."""
    lock = make()
    lock.try_acquire()
    assert lock._number is not None
    os.link(lock.path, f"{lock.path}.copy")
    copy = os.dup(lock._number)
    try:
        lock.release()
        os.rename(f"{lock.path}.copy", lock.path)
        assert make().try_acquire()
    finally:
        os.close(copy)


# --- who has it ----------


def test_the_holder_is_named(make: MakeLock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process, host and for how long."""
    monkeypatch.setattr(file_lock.socket, "gethostname", lambda: "web-7")  # type: ignore[attr-defined]
    lock = make()
    lock.try_acquire()
    assert make().holder() == f"process {os.getpid()} on web-7, since 0 s"
    assert lock.holder() == make().holder()
    lock.release()
    assert make().holder() == ""


def test_a_holder_that_has_not_signed_yet_has_no_name(make: MakeLock) -> None:
    """Between taking and signing, there is a holder without a name."""
    lock = make()
    lock.try_acquire()
    os.truncate(lock.path, 0)
    assert make().holder() == ""


def test_looking_makes_no_file(make: MakeLock) -> None:
    """The question alone leaves no trace."""
    lock = make()
    assert lock.holder() == ""
    assert not Path(lock.path).exists()


def test_looking_keeps_nobody_from_taking_it(
    make: MakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks, locks for an instant; that is waited for."""
    lock = make()
    Path(lock.path).touch()
    number = os.open(lock.path, os.O_RDONLY)
    assert not file_lock._is_locked(number)  # and now it is, as long as it is open
    monkeypatch.setattr(file_lock.time, "sleep", lambda seconds: os.close(number))  # type: ignore[attr-defined]
    assert lock.try_acquire()


# --- processes ----------


def test_eight_processes_never_have_it_together(make: MakeLock, tmp_path: Path) -> None:
    """Each enters and leaves many times; none ever finds another one inside."""
    inside, log = tmp_path / "inside", tmp_path / "log"

    def work() -> None:
        lock = make()
        for _ in range(30):
            take(lock)
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            with log.open("a") as file:
                file.write("x")
            inside.unlink()
            lock.release()

    children = [fork(work) for _ in range(8)]
    assert [ended(child) for child in children] == [0] * 8
    assert log.read_text() == "x" * 240


def test_a_killed_holder_holds_nothing(make: MakeLock, tmp_path: Path) -> None:
    """The kernel gives it back for a process that is killed with SIGKILL; the file stays."""
    ready = tmp_path / "ready"

    def work() -> None:
        assert make().try_acquire()
        ready.touch()
        time.sleep(60)

    child = fork(work)
    wait_for(ready)
    lock = make()
    assert not lock.try_acquire()
    assert lock.holder().startswith(f"process {child} on ")
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert Path(lock.path).exists()
    assert lock.holder() == ""
    assert lock.try_acquire()


def test_a_forked_child_neither_holds_nor_ends_it(make: MakeLock, tmp_path: Path) -> None:
    """A child that outlives the holder does not keep the lock, and can't give it back."""
    lock, leave = make(), tmp_path / "leave"
    lock.try_acquire()

    def work() -> None:
        lock.release()
        wait_for(leave)

    child = fork(work)
    time.sleep(0.1)
    assert not make().try_acquire()
    lock.release()
    assert make().try_acquire()
    leave.touch()
    assert ended(child) == 0


def test_a_child_outlives_a_killed_holder(make: MakeLock, tmp_path: Path) -> None:
    """The lock of a killed process is free although its forked child lives on."""
    leave, number = tmp_path / "leave", tmp_path / "number"

    def work() -> None:
        assert make().try_acquire()
        grandchild = fork(lambda: wait_for(leave))
        time.sleep(0.1)
        number.write_text(str(grandchild))
        kill_self()

    assert ended(fork(work)) == -signal.SIGKILL
    try:
        os.kill(int(number.read_text()), 0)  # it is alive
        take(make())
    finally:
        leave.touch()


# --- where it can't be had ----------


def test_a_file_system_without_locks_is_named(
    make: MakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without locks nothing is migrated, and no number of an open file is left."""

    def flock(number: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    before = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else set[str]()
    monkeypatch.setattr(file_lock.fcntl, "flock", flock)  # type: ignore[attr-defined]
    with pytest.raises(MigrationError, match=r"can't be locked: No locks available"):
        make().try_acquire()
    monkeypatch.undo()
    if before:
        assert set(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_may_not_be_written_is_named() -> None:
    """The message names the folder and what to allow."""
    folder = Path(tempfile.mkdtemp())

    def work() -> None:
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        lock = FileLock(f"{folder}/shop.db.migrating", like=f"{folder}/shop.db")
        assert lock.holder() == ""
        with pytest.raises(NotAllowed, match=rf"Permission denied.*let it write '{folder}'"):
            lock.try_acquire()

    try:
        (folder / "shop.db").touch()
        folder.chmod(0o555)
        assert ended(fork(work)) == 0
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
