"""Writers of one SQLite database, within this process, take turns in the order they came."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable


class WriteLock:
    """A lock for the writing connections of one database: first come, first served.

    SQLite itself lets waiting writers ask again and again at growing intervals, so that under load
    one can lose every time until its timeout. A lock is owned by a connection, not by a thread; a
    connection that is collected gives it back.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[_Turn] = deque()
        self._current: _Turn | None = None
        self._given_back: deque[_Turn] = deque()

    def acquire(self, owner: sqlite3.Connection, timeout: float) -> None:
        """Take the lock for a connection that does not have it.

        :param timeout: seconds to wait.
        :raises sqlite3.OperationalError: it did not come free; or this thread itself has it through
            another connection, so that waiting could not end.
        """
        turn = _Turn(owner, self._give_back)
        try:
            self._queue(turn)
            has_come = turn.has_come.acquire(timeout=max(timeout, 0))
        except BaseException:
            self._give_back(turn)
            raise
        if not has_come:
            self._give_back(turn)
            raise _locked(
                f"other connections of this process have been writing for {timeout:g} s. Usually a"
                " transaction is kept open while waiting for something else: commit before that"
            )

    def release(self, owner: sqlite3.Connection) -> None:
        """Give the lock to the next in line, if this connection has it."""
        turn = self._current
        if turn is not None and turn.owner() is owner:
            self._give_back(turn)

    def _queue(self, turn: _Turn) -> None:
        with self._mutex:
            self._end_given_back()
            current = self._current
            if current is None:
                self._current = turn
                turn.has_come.release()
            elif current.thread != turn.thread:
                self._waiting.append(turn)
            else:
                raise _locked(
                    "this thread has begun to write through another connection, which it must"
                    " commit or roll back first. Usually two sessions are open in one place: use"
                    " one, or commit the first before the second writes"
                )
        self._pass_on()

    def _give_back(self, turn: _Turn) -> None:
        """End a turn, whether it has come or not. Never blocks.

        The garbage collector calls this at any place, also inside the sections that hold the
        mutex; so the turn is only noted where the mutex is taken, and whoever has it passes on.
        """
        self._given_back.append(turn)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._given_back and self._mutex.acquire(blocking=False):
            try:
                self._end_given_back()
            finally:
                self._mutex.release()

    def _end_given_back(self) -> None:
        while self._given_back:
            turn = self._given_back.popleft()
            if turn is self._current:
                self._current = self._waiting.popleft() if self._waiting else None
                if self._current is not None:
                    self._current.has_come.release()
            elif turn in self._waiting:
                self._waiting.remove(turn)


class _Turn:
    def __init__(self, owner: sqlite3.Connection, give_back: Callable[[_Turn], None]) -> None:
        self.owner = weakref.ref(owner, lambda _: give_back(self))
        self.thread = threading.get_ident()
        self.has_come = threading.Lock()
        self.has_come.acquire()


def lock_for(path: str) -> WriteLock:
    """The lock of the database file at this path, the same one as long as anyone refers to it."""
    path = os.path.realpath(path)
    with _mutex:
        lock = _locks.get(path)
        if lock is None:
            lock = _locks[path] = WriteLock()
        return lock


def _forget() -> None:
    """In a forked child: the turns belong to the parent's threads."""
    global _mutex
    _mutex = threading.Lock()
    _locks.clear()


def _locked(reason: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(f"database is locked: {reason}. [retort:database-locked]")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    error.sqlite_errorname = "SQLITE_BUSY"
    return error


_mutex = threading.Lock()
_locks: weakref.WeakValueDictionary[str, WriteLock] = weakref.WeakValueDictionary()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
