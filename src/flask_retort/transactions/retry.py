"""How often, and how soon, a transaction that has met another one is run again."""

from __future__ import annotations

from dataclasses import dataclass
from random import SystemRandom

from flask_retort.errors import Deadlock, LockTimeout, SerializationFailure, StaleVersion

RETRYABLE: tuple[type[Exception], ...] = (
    Deadlock,
    SerializationFailure,
    LockTimeout,
    StaleVersion,
)
"""Errors after which the same work may succeed, and of which it is known that nothing was kept."""

_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class Retry:
    """Run a transaction again that failed because of another one, after a random pause.

    The pause before the n-th repetition is drawn evenly from 0 to ``base * 2**(n-1)`` seconds, at
    most ``cap`` ("full jitter": those who collided once don't meet again).

    :param times: repetitions at most; the first run is not one.
    :param base: seconds.
    :param cap: seconds.
    :param on: classes of errors. Never include a lost connection: after
        :class:`~flask_retort.errors.CommitOutcomeUnknown` the work may have been done.
    """

    times: int = 3
    base: float = 0.01
    cap: float = 1.0
    on: tuple[type[Exception], ...] = RETRYABLE

    def __post_init__(self) -> None:
        if type(self.times) is not int or self.times < 0:
            raise ValueError(f"retry is {self.times!r}; it is a whole number, 0 or more.")

    def pause(self, repetition: int) -> float:
        """Seconds to wait before this repetition; the first is 1."""
        return _random.uniform(0, min(self.cap, self.base * 2.0 ** min(repetition - 1, 60)))
