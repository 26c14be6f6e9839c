"""The right to migrate a SQLite database: a locked file beside it, or a lock of this process."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

import sqlalchemy as sa

from flask_retort.migrations.connections import own_connection

from . import Observed
from .file_lock import FileLock
from .sqlite_driver import Driver

SUFFIX = ".migrating"
"""Behind the database file's name: the name of the file that is locked."""


class SQLiteLock:
    """The lock of an engine's database. Asks a connection once where the database is."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock: FileLock | _MemoryLock | None = None

    def try_acquire(self) -> bool:
        """Take it if it is free. Never waits."""
        return self._found().try_acquire()

    def holder(self) -> str:
        """Who has it, in words for people."""
        return self._found().holder()

    def observe(self, worker: int | None) -> Observed:
        """Nothing: SQLite does not tell who writes."""
        return Observed()

    def cancel(self, worker: int | None) -> None:
        """Nothing: the statement runs in this process."""

    def release(self) -> None:
        """Give it back."""
        if self._lock is not None:
            self._lock.release()

    def _found(self) -> FileLock | _MemoryLock:
        if self._lock is None:
            path = _path(self._engine)
            self._lock = (
                FileLock(path + SUFFIX, like=path) if path else _MemoryLock(_of(self._engine))
            )
        return self._lock


class _MemoryLock:
    """For a database that no other process can reach."""

    def __init__(self, mutex: threading.Lock) -> None:
        self._mutex = mutex
        self._has_it = False

    def try_acquire(self) -> bool:
        self._has_it = self._has_it or self._mutex.acquire(blocking=False)
        return self._has_it

    def holder(self) -> str:
        return "another thread of this process" if self._mutex.locked() else ""

    def release(self) -> None:
        if self._has_it:
            self._has_it = False
            self._mutex.release()


def _path(engine: sa.Engine) -> str:
    """The database file, by the one path that all ways to it lead to; empty for one in memory.

    A connection knows it; a URL does not where there is a ``creator``, ``uri=true`` or a listener.
    """
    with own_connection(engine) as connection:
        databases = Driver(connection).rows("PRAGMA database_list")
    path = next((path for _, name, path in databases if name == "main"), "")
    # A database in memory that is shared by its name has a path too, and no file. SQLite before
    # 3.39 follows a symbolic link at the end of a path only.
    return os.path.realpath(path) if path and os.path.exists(path) else ""


def _of(engine: sa.Engine) -> threading.Lock:
    with _making:
        return _mutexes.setdefault(engine.pool, threading.Lock())


_making = threading.Lock()
_mutexes: weakref.WeakKeyDictionary[Any, threading.Lock] = weakref.WeakKeyDictionary()


def _forget() -> None:
    """In a forked child: whoever had them is a thread of the parent."""
    global _making
    _making = threading.Lock()
    _mutexes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
