"""The thread that looks at a migration from outside."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from sqlalchemy import exc

from flask_retort.migrations.backends import Observed, Unlocked
from flask_retort.migrations.progress import Event, StepRunning
from flask_retort.migrations.runner import watch


class _Statement:
    """Steps that have been running one statement for a while."""

    def __init__(self, seconds: float) -> None:
        self.current: tuple[float, str] | None = (time.monotonic() - seconds, "ALTER TABLE users")


class _Observing(Unlocked):
    """A lock that tells one thing after another, then nothing more."""

    def __init__(self, *tells: Observed | Exception) -> None:
        self.tells = list(tells)
        self.asked_all = threading.Event()

    def observe(self, worker: int | None) -> Observed:
        assert worker == 4711
        if not self.tells:
            self.asked_all.set()
            return Observed()
        told = self.tells.pop(0)
        if isinstance(told, Exception):
            raise told
        return told


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.01)
    monkeypatch.setattr(watch, "TELL_AFTER", 0.05)


def _watched(lock: _Observing, steps: Any) -> tuple[watch.Watch, list[Event]]:
    events: list[Event] = []
    with watch.Watch(lock, 4711, steps, events.append, "far", "ae10") as watching:
        assert lock.asked_all.wait(10)
        time.sleep(0.1)
    return watching, events


def test_who_blocked_last_is_remembered() -> None:
    """The blocker is known after it has gone, when the statement has failed."""
    lock = _Observing(Observed(blockers=("session 1",)), Observed(blockers=("session 2",)))
    watching, _ = _watched(lock, _Statement(0))
    assert watching.blockers == ("session 2",)


def test_a_long_statement_is_told_with_what_the_server_says() -> None:
    """Who is waited for, or how far it is, comes with the seconds."""
    lock = _Observing(*[Observed(blockers=("session 1",))] * 3, *[Observed(detail="42 %")] * 50)
    _, events = _watched(lock, _Statement(7))
    told = [event for event in events if isinstance(event, StepRunning)]
    assert told[0].detail == "waits for session 1"
    assert "42 %" in {event.detail for event in told}
    assert (told[0].database, told[0].revision, told[0].statement) == (
        "far",
        "ae10",
        "ALTER TABLE users",
    )
    assert told[0].seconds >= 7


def test_a_short_statement_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes less than the time to tell makes no noise, though it is looked at."""
    monkeypatch.setattr(watch, "TELL_AFTER", 60)
    watching, events = _watched(_Observing(Observed(blockers=("session 1",))), _Statement(7))
    assert watching.blockers == ("session 1",)
    assert events == []


def test_a_lost_lock_connection_does_not_end_the_watch() -> None:
    """An error of the lock's connection is told, and the next look is made."""
    lost = exc.OperationalError("SELECT 1", None, Exception("gone"))
    lock = _Observing(lost, Observed(blockers=("session 3",)))
    watching, events = _watched(lock, _Statement(7))
    assert watching.blockers == ("session 3",)
    first = next(event for event in events if isinstance(event, StepRunning))
    assert first.detail == "not observed any more: OperationalError"
