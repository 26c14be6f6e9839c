"""The operating system's lock on a file: one process has it, and its end gives it back."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path

from flask_retort.errors import MigrationError, NotAllowed

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_HELD_BY_ANOTHER = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_ATTEMPTS = 3
_BETWEEN = 0.002
_FAR_BEHIND_THE_TEXT = 1 << 30


class FileLock:
    """Who has the file locked, has the right that it stands for. The file alone means nothing.

    So a file that was left by a killed process is in nobody's way. Works between processes,
    threads, and computers whose shared file system has locks.

    :param path: the file, which is made and removed.
    :param like: a file whose owner and permissions the new one gets, so that who may write that
        file can take the lock too.
    """

    def __init__(self, path: str, like: str) -> None:
        self.path = path
        self._like = like
        self._number: int | None = None

    def try_acquire(self) -> bool:
        """Take it if it is free. Never waits for another one to give it back.

        :raises NotAllowed: the file can't be made or opened.
        :raises MigrationError: the file system has no locks.
        """
        if self._number is not None:
            return True
        for attempt in range(_ATTEMPTS):
            if attempt:
                # Someone may have looked at the holder, which takes the lock for an instant.
                time.sleep(_BETWEEN)
            number = self._opened()
            if number is not None and self._take(number):
                return True
        return False

    def holder(self) -> str:
        """Who has it, such as "process 123 on web-7, since 12 s"; empty where nobody has."""
        try:
            number = os.open(self.path, os.O_RDONLY)
        except (FileNotFoundError, PermissionError):
            return ""
        try:
            return _shown(os.read(number, 1000)) if _is_locked(number) else ""
        finally:
            os.close(number)

    def release(self) -> None:
        """Give it back and remove the file. Does nothing a second time."""
        number, self._number = self._number, None
        _held.discard(self)
        if number is not None:
            try:
                self._remove(number)
                _unlock(number)
            finally:
                os.close(number)

    def _opened(self) -> int | None:
        """The file's number; None where another process was quicker in making it."""
        try:
            try:
                return os.open(self.path, _FLAGS)
            except FileNotFoundError:
                return self._made()
        except FileExistsError:
            return None
        except OSError as error:
            raise self._not_allowed(error) from error

    def _made(self) -> int:
        number = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        if sys.platform != "win32":
            like = os.stat(self._like)
            if os.geteuid() == 0:
                os.fchown(number, like.st_uid, like.st_gid)
            os.fchmod(number, 0o600 | (like.st_mode & 0o666))
        return number

    def _take(self, number: int) -> bool:
        try:
            if _lock(number) and self._is_current(number):
                self._number = number
                self._sign(number)
                _held.add(self)
                return True
        except OSError as error:
            raise _without_locks(self.path, error) from error
        finally:
            if self._number is None:
                os.close(number)
        return False

    def _is_current(self, number: int) -> bool:
        """Whether the path still means the open file, and no holder has removed it meanwhile."""
        try:
            return os.path.samestat(os.fstat(number), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _sign(self, number: int) -> None:
        text = f"{os.getpid()}\n{socket.gethostname()}\n{time.time()}\n"
        os.ftruncate(number, 0)
        os.lseek(number, 0, os.SEEK_SET)
        os.write(number, text.encode())

    def _remove(self, number: int) -> None:
        """While it is still locked, so that nobody can have locked what is removed here."""
        if sys.platform == "win32":
            os.ftruncate(number, 0)  # an open file can't be removed there
        elif self._is_current(number):
            with suppress(OSError):  # left behind, it is in nobody's way
                os.unlink(self.path)

    def _not_allowed(self, error: OSError) -> NotAllowed:
        return NotAllowed(
            f"The file '{self.path}', which keeps other processes from migrating the same database,"
            f" can't be written: {error.strerror}. SQLite puts its own journal into that folder, so"
            " the user of this process has to be allowed to write the folder itself, not only the"
            f" database: let it write '{Path(self.path).parent}', or run 'flask db' as a user that"
            " may."
        )


def _without_locks(path: str, error: OSError) -> MigrationError:
    return MigrationError(
        f"The file '{path}' can't be locked: {error.strerror}. Without a lock, two processes could"
        " migrate the database at once, and SQLite itself can't keep two writers apart there."
        " Usually it lies on a network or container file system without locks: put the database on"
        " a local disk."
    )


def _shown(text: bytes) -> str:
    parts = text.decode(errors="replace").splitlines()
    if len(parts) != 3:
        return ""  # it has the lock and has not signed yet
    process, host, start = parts
    return f"process {process} on {host}, since {max(time.time() - float(start), 0):.0f} s"


if sys.platform == "win32":  # pragma: no cover - the tests run on Linux

    def _lock(number: int) -> bool:
        os.lseek(number, _FAR_BEHIND_THE_TEXT, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            raise
        return True

    def _unlock(number: int) -> None:
        os.lseek(number, _FAR_BEHIND_THE_TEXT, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_UNLCK, 1)

    def _is_locked(number: int) -> bool:
        if not _lock(number):
            return True
        _unlock(number)
        os.lseek(number, 0, os.SEEK_SET)
        return False

else:

    def _lock(number: int, kind: int = fcntl.LOCK_EX) -> bool:
        # Not lockf: its locks are the process's, and closing any other file number ends them.
        try:
            fcntl.flock(number, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            raise
        return True

    def _unlock(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_UN)

    def _is_locked(number: int) -> bool:
        return not _lock(number, fcntl.LOCK_SH)


def _forget() -> None:
    """In a forked child: the locks are the parent's, who must be able to give them back alone."""
    for lock in list(_held):
        if lock._number is not None:
            os.close(lock._number)
            lock._number = None
    _held.clear()


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
