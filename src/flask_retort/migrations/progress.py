"""What a run of migrations tells while it goes on, as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WaitingForRunner:
    """Another process migrates this database. Told when waiting begins, then every ten seconds."""

    database: str
    holder: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RevisionStarted:
    """A revision begins, or goes on after the ``resumed`` statements that an earlier run left."""

    database: str
    revision: str
    title: str
    downgrade: bool
    resumed: int


@dataclass(frozen=True, slots=True)
class StepRunning:
    """A statement has been running for some seconds. Told every two seconds, from another thread.

    ``detail`` is what the server tells: how far it is, or for whom it waits; it can be empty.
    """

    database: str
    revision: str
    statement: str
    seconds: float
    detail: str


@dataclass(frozen=True, slots=True)
class Retrying:
    """A revision met a lock and is tried again after ``delay`` seconds.

    It was rolled back; where the statement stood in no transaction, it alone is tried again.
    """

    database: str
    revision: str
    attempt: int
    attempts: int
    reason: str
    blockers: tuple[str, ...]
    delay: float


@dataclass(frozen=True, slots=True)
class RevisionFinished:
    """A revision is whole and committed."""

    database: str
    revision: str
    title: str
    downgrade: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """The database is where it should be. ``heads`` are its revisions."""

    database: str
    heads: tuple[str, ...]


Event = WaitingForRunner | RevisionStarted | StepRunning | Retrying | RevisionFinished | NothingToDo
"""Everything a run tells. ``database`` is the bind key; the default database's is empty."""

Report = Callable[[Event], None]
"""Takes the events of a run. May be called from two threads."""


def silent(event: Event) -> None:
    """A report for nobody."""
