"""What each kind of database can and can't do while its schema changes."""

from __future__ import annotations

import enum
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import RevisionFailed, RunnerBusy

INTERNAL = "retort_migrations"
"""Execution option of the runner's own statements, which are not steps of a revision."""


def own(
    connection: sa.Connection, statement: str, parameters: Mapping[str, Any] | None = None
) -> sa.CursorResult[Any]:
    """Execute a statement of the runner's own; named parameters are written ``:name``."""
    return connection.execute(
        sa.text(statement), parameters or {}, execution_options={INTERNAL: True}
    )


def pauses() -> Iterator[float]:
    """Seconds to sleep between questions for what somebody else holds.

    Short at first, since most are quick, then about a second; jittered, so that many who wait do
    not ask at once. One asks, and does not wait in the server, because a session that waits there
    keeps a concurrent index from being built.
    """
    longest = 0.05
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - spreads runners, no secret
        longest = min(longest * 1.5, 1.0)


def take_mark(
    connection: sa.Connection, wait: float, take: Callable[[], bool], whose: Callable[[], str]
) -> None:
    """Take the mark that a working session has, as soon as a killed run's session has ended.

    Waits outside a transaction, for which the other session may be waiting.

    :raises RunnerBusy: it goes on for longer than ``wait`` seconds.
    """
    deadline = time.monotonic() + wait
    pause = pauses()
    while not take():
        who = whose() or "a session that has ended by now"
        connection.commit()
        if time.monotonic() >= deadline:
            raise RunnerBusy(
                f"Waited {wait:g} s for {who}. Two at once would get in each other's way. Let it"
                " come to its end or end it, then run the command again; RETORT_MIGRATIONS ="
                " {'wait': seconds} lets it wait longer."
            )
        time.sleep(next(pause))
    connection.commit()


def cannot_be_found_out(statement: str) -> RevisionFailed:
    """For a statement that was interrupted and may neither be skipped nor repeated."""
    return RevisionFailed(
        f"The statement '{' '.join(statement.split())[:200]}' was running when an earlier run"
        " ended. Whether it took effect, or a part of it, can't be found out here, and a second"
        " run could do harm. Look whether it did, make by hand what is left of the revision, and"
        " write 'flask db stamp REVISION'."
    )


class Kind(enum.Enum):
    """How a statement stands to transactions."""

    READ = "read"
    """Changes nothing: never skipped, never counted."""
    WRITE = "write"
    """Is rolled back with its transaction."""
    ALONE = "alone"
    """Can't be in a transaction, or commits it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What another connection sees of a worker."""

    blockers: tuple[str, ...] = ()
    """Who keeps it waiting, each in words for people; empty when it does not wait."""
    detail: str = ""
    """How far a long statement is; empty where the server does not tell."""


class Lock(Protocol):
    """The right to migrate one database, held by one process. Lies beside the migration itself."""

    def try_acquire(self) -> bool:
        """Take it if it is free. Never waits.

        :raises flask_retort.errors.BehindPooler: sessions do not stay with their connections.
        """
        ...

    def holder(self) -> str:
        """Who has it, in words for people; empty where it is free or that is not known."""
        ...

    def observe(self, worker: int | None) -> Observed:
        """What the worker, named by :meth:`Backend.worker_id`, is doing. Costs a round trip."""
        ...

    def cancel(self, worker: int | None) -> None:
        """End what the worker's session does in the server: its process was told to end."""
        ...

    def release(self) -> None:
        """Give it back and close what was opened for it. Does nothing a second time."""
        ...


class Backend:
    """One kind of database. This class is for those that are not known, and takes no chances."""

    ddl_commits: ClassVar[bool] = False
    """Whether a change of the schema commits the transaction it stands in."""
    begin_word: ClassVar[str] = "BEGIN"
    """What begins a transaction where the driver is in autocommit."""

    def __init__(self, settings: MigrationsConfig) -> None:
        self.settings = settings

    def kind(self, statement: str) -> Kind:
        """How this statement stands to transactions."""
        first = statement.split(None, 1)[0].upper() if statement.strip() else ""
        return Kind.READ if first in ("SELECT", "SHOW", "EXPLAIN") else Kind.WRITE

    def lock(self, engine: sa.Engine, version_table: str) -> Lock:
        """The lock of this engine's database, not yet taken. No connection is made yet."""
        return Unlocked()

    @contextmanager
    def session(self, connection: sa.Connection, version_table: str) -> Generator[None]:
        """Settings of the connection for a whole run: timeouts and what else has to be.

        Entered and left outside a transaction, after the lock is taken; leaving puts back what was.
        """
        yield

    def worker_id(self, connection: sa.Connection) -> int | None:
        """The server's number of this connection."""
        return None

    def limit(self, connection: sa.Connection) -> None:
        """Set the time limits anew, before each revision: the one before may have changed them."""

    def begin(self, connection: sa.Connection) -> None:
        """Called when SQLAlchemy has begun a transaction: the driver may need to be told."""

    def before_commit(self, connection: sa.Connection) -> None:
        """Last look inside the transaction of a finished revision; may raise to undo it."""

    def before_statement(self, connection: sa.Connection, statement: str) -> None:
        """Called before each statement of a revision that is not a READ."""

    def after_statement(self, connection: sa.Connection, statement: str) -> None:
        """Called after each statement of a revision that is not a READ and did not fail."""

    def before_alone(self, connection: sa.Connection, statement: str) -> str:
        """Prepare for a statement that can't be rolled back.

        :return: a fingerprint of what it changes, to find out later whether it took effect; empty
            where there is none.
        """
        return ""

    def after_alone(self, connection: sa.Connection, statement: str) -> None:
        """Look whether a statement that can't be rolled back did what it says."""

    def alone_ended(self, connection: sa.Connection, statement: str) -> None:
        """Put back what :meth:`before_alone` has set. Called after success and after an error."""

    def was_done(self, connection: sa.Connection, statement: str, fingerprint: str) -> bool:
        """Whether a statement, during which an earlier run was killed, took effect.

        False where it has to be run, and running it is safe.
        """
        return False

    def fails_whole(self, statement: str) -> bool:
        """Whether nothing of an ALONE statement has taken effect when it has failed."""
        return True

    def is_done_already(self, error: exc.DBAPIError) -> bool:
        """Whether the error of a statement, run after :meth:`was_done`, says it was done before."""
        return False

    def is_transient(self, error: exc.DBAPIError) -> bool:
        """Whether the same revision can succeed later: a lock timeout, a deadlock."""
        return False

    def is_denied(self, error: exc.DBAPIError) -> bool:
        """Whether the database's user lacks a permission."""
        return False


class Unlocked:
    """A lock that does not lock, for databases that only one process can reach."""

    def try_acquire(self) -> bool:
        """Always succeeds."""
        return True

    def holder(self) -> str:
        """Nobody."""
        return ""

    def observe(self, worker: int | None) -> Observed:
        """Nothing."""
        return Observed()

    def cancel(self, worker: int | None) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""


def backend_for(dialect: sa.Dialect, settings: MigrationsConfig) -> Backend:
    """The back end of a dialect."""
    from .mysql import MySQL
    from .postgresql import PostgreSQL
    from .sqlite import SQLite

    kinds: dict[str, type[Backend]] = {
        "mariadb": MySQL,
        "mysql": MySQL,
        "postgresql": PostgreSQL,
        "sqlite": SQLite,
    }
    return kinds.get(dialect.name, Backend)(settings)
