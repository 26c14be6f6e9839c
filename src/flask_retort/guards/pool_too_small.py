"""pool-too-small: more threads use a database than its pool may open connections."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.pool import Pool, QueuePool

from flask_retort import _sa_compat as compat

from .hooks import Guard, Listener
from .reporting import Reports, Text


class PoolTooSmall(Guard):
    """Counts the live threads that have begun a transaction on each engine; tells once an engine.

    Threads that have ended do not count: the development server starts one for each request.
    """

    code = "pool-too-small"
    text = Text(
        what="threads={threads} of this process use {database}, whose pool opens at most {most}"
        " connections: pool_size={size}, max_overflow={overflow}.",
        why="When all of them need one at once, the others wait, and fail with pool-exhausted"
        " after {timeout:g} s.",
        write="Write {setting}, or more: as many as the server has threads.",
    )

    def __init__(self, reports: Reports) -> None:
        super().__init__(reports)
        self._threads: weakref.WeakKeyDictionary[Pool, set[int]] = weakref.WeakKeyDictionary()
        self._told: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._mutex = threading.Lock()

    def listeners(self) -> Mapping[str, Listener]:
        """Beginning of a transaction: a thread takes a connection."""
        return {"after_begin": self._begun}

    def _begun(
        self, session: Session, transaction: SessionTransaction, connection: sa.Connection
    ) -> None:
        pool = connection.engine.pool
        threads = self._threads.get(pool)
        if threads is None:
            threads = self._threads.setdefault(pool, set())
        number = threading.get_ident()
        if number not in threads:
            threads.add(number)
            if isinstance(pool, QueuePool) and self._is_first_too_many(pool, threads):
                self._tell(pool, len(threads))

    def _is_first_too_many(self, pool: QueuePool, threads: set[int]) -> bool:
        """Whether there are too many, for the first time; forgets the threads that have ended."""
        overflow = compat.max_overflow(pool)
        most = pool.size() + overflow
        if overflow < 0 or len(threads) <= most:
            return False
        with self._mutex:
            threads &= {thread.ident for thread in threading.enumerate()}
            if len(threads) <= most or pool in self._told:
                return False
            self._told.add(pool)
            return True

    def _tell(self, pool: QueuePool, threads: int) -> None:
        bind_key: str | None = getattr(pool, "bind_key", None)
        options = f'"pool_size": {threads}'
        if bind_key is None:
            database, setting = "the default database", f"SQLALCHEMY_ENGINE_OPTIONS = {{{options}}}"
        else:
            database = f"database {bind_key!r}"
            setting = f'SQLALCHEMY_BINDS = {{{bind_key!r}: {{"url": ..., {options}}}}}'
        self.find(
            bind_key or "default",
            threads=threads,
            database=database,
            most=pool.size() + compat.max_overflow(pool),
            size=pool.size(),
            overflow=compat.max_overflow(pool),
            timeout=pool.timeout(),
            setting=setting,
        )
