"""Waiting for the right to migrate a database."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from flask_retort.errors import RunnerBusy
from flask_retort.migrations.backends import Lock, pauses
from flask_retort.migrations.progress import Report, WaitingForRunner

TELL_EVERY = 10.0
"""Seconds between two reports that another one is at work."""


@contextmanager
def held(lock: Lock, database: str, wait: float, report: Report) -> Generator[None]:
    """Hold the lock for the ``with`` block; asks again and again, at most ``wait`` seconds long.

    :raises RunnerBusy: another process had it all the time.
    """
    try:
        _acquire(lock, database, wait, report)
        yield
    finally:
        lock.release()


def _acquire(lock: Lock, database: str, wait: float, report: Report) -> None:
    start = time.monotonic()
    tell_at = start
    pause = pauses()
    while not lock.try_acquire():
        now = time.monotonic()
        if now - start >= wait:
            raise _busy(lock, database, wait)
        if now >= tell_at:
            report(WaitingForRunner(database, lock.holder(), now - start))
            tell_at = now + TELL_EVERY
        time.sleep(min(next(pause), wait - (now - start)))


def _busy(lock: Lock, database: str, wait: float) -> RunnerBusy:
    who = lock.holder() or "another process"
    which = f"database {database!r}" if database else "the default database"
    return RunnerBusy(
        f"Waited {wait:g} s for another run on {which}, which still goes on: {who}. Usually that is"
        " a long revision of another instance, and there is nothing to do but to run the command"
        " again later; RETORT_MIGRATIONS = {'wait': seconds} or --wait lets it wait longer."
    )
