"""Pauses between repetitions."""

from __future__ import annotations

import pytest

from flask_retort.errors import CommitOutcomeUnknown, Disconnected
from flask_retort.transactions import RETRYABLE, Retry


def test_pauses_grow_up_to_a_cap_and_are_random() -> None:
    """Between nothing and the doubled base, never more than the cap, seldom twice the same."""
    retry = Retry(times=10, base=0.01, cap=0.05)
    for repetition, longest in [(1, 0.01), (2, 0.02), (3, 0.04), (4, 0.05), (1000, 0.05)]:
        pauses = [retry.pause(repetition) for _ in range(200)]
        assert 0 <= min(pauses) < longest / 4
        assert longest * 3 / 4 < max(pauses) <= longest
        assert len(set(pauses)) > 190


@pytest.mark.parametrize("kind", [Disconnected, CommitOutcomeUnknown])
def test_a_lost_connection_is_not_retried(kind: type[Exception]) -> None:
    """What was sent last may have taken effect."""
    assert not issubclass(kind, RETRYABLE)
