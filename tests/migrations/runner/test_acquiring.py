"""Waiting for the right to migrate a database."""

from __future__ import annotations

import pytest

from flask_retort.errors import RunnerBusy
from flask_retort.migrations.backends import Unlocked
from flask_retort.migrations.progress import Event, WaitingForRunner
from flask_retort.migrations.runner.acquiring import held


class _Taken(Unlocked):
    """A lock that comes free after some questions."""

    def __init__(self, questions: int) -> None:
        self.questions = questions
        self.released = 0

    def try_acquire(self) -> bool:
        self.questions -= 1
        return self.questions < 0

    def holder(self) -> str:
        return "process 7 on web-1"

    def release(self) -> None:
        self.released += 1


def test_it_waits_and_says_once_for_whom() -> None:
    """A short wait is told of once, and the lock is given back after the block."""
    lock = _Taken(2)
    events: list[Event] = []
    with held(lock, "far", 30, events.append):
        assert lock.released == 0
    assert [(type(told), getattr(told, "holder", "")) for told in events] == [
        (WaitingForRunner, "process 7 on web-1")
    ]
    assert lock.released == 1


def test_it_does_not_wait_longer_than_allowed() -> None:
    """After the time is over, the error names the holder."""
    lock = _Taken(1000)
    with (
        pytest.raises(RunnerBusy, match="database 'far', which still goes on: process 7"),
        held(lock, "far", 0.1, lambda _: None),
    ):
        pass
    assert lock.released == 1


def test_it_is_given_back_after_an_error() -> None:
    """An exception in the block does not keep the lock."""
    lock = _Taken(0)
    with pytest.raises(ZeroDivisionError), held(lock, "", 1, lambda _: None):
        raise ZeroDivisionError
    assert lock.released == 1
