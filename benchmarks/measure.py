"""Times of several ways to do one thing, taken in turns, so that all meet the same machine load."""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

WARM_UP = 2
"""Untimed calls before each turn: the caches hold the code of the row before."""


@dataclass
class Samples:
    """What one row took, in microseconds a call, one value a round in the order of the rounds.

    :param fastest: the fastest call of each turn. Whatever interrupts the process, another process
        or the collector of reference cycles, rarely meets all calls of a turn.
    :param mean: the mean of each turn, with all interruptions.
    :param cpu: processor time of this process, mean of each turn; no waiting for a server.
    """

    fastest: list[float] = field(default_factory=list[float])
    mean: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])

    @property
    def typical(self) -> float:
        """The middle of the fastest calls."""
        return statistics.median(self.fastest)

    @property
    def loaded(self) -> float:
        """The middle of the means: what it took on this machine with its load."""
        return statistics.median(self.mean)

    @property
    def best_cpu(self) -> float:
        """The least processor time of a turn."""
        return min(self.cpu)

    def ratio_to(self, other: Samples, *, above: Samples | None = None) -> Estimate:
        """The middle of the rounds' ratios; rounds of both rows ran side by side.

        :param above: what both do besides, taken off both.
        """
        less = [0.0] * len(self.fastest) if above is None else above.fastest
        rounds = zip(self.fastest, other.fastest, less, strict=True)
        return middle([(own - same) / (others - same) for own, others, same in rounds])

    def more_than(self, other: Samples) -> Estimate:
        """The middle of the rounds' differences, in microseconds a call."""
        pairs = zip(self.fastest, other.fastest, strict=True)
        return middle([own - others for own, others in pairs])


class Estimate(NamedTuple):
    """A median of rounds, and the bounds between which 95 of 100 repetitions would find it."""

    value: float
    low: float
    high: float


def take_turns(
    rows: Mapping[str, Callable[[], object]], *, seconds: float, calls: int
) -> dict[str, Samples]:
    """Give each row a turn, in a new random order each round, until the time is over.

    The collector of reference cycles stays on, as in an application, but does not look at what was
    made before: otherwise each row would pay for the applications of all others.

    :param rows: by name, a function that does the work once.
    :param calls: how many calls make a turn.
    """
    samples = {name: Samples() for name in rows}
    order = list(rows)
    for call in rows.values():
        for _ in range(calls):
            call()
    gc.collect()
    gc.freeze()
    try:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            random.shuffle(order)
            for name in order:
                _take_turn(rows[name], calls, samples[name])
    finally:
        gc.unfreeze()
    return samples


def _take_turn(call: Callable[[], object], calls: int, samples: Samples) -> None:
    for _ in range(WARM_UP):
        call()
    clock = time.perf_counter
    times: list[float] = []
    cpu = time.process_time()
    for _ in range(calls):
        start = clock()
        call()
        times.append(clock() - start)
    cpu = time.process_time() - cpu
    samples.fastest.append(min(times) * 1e6)
    samples.mean.append(statistics.fmean(times) * 1e6)
    samples.cpu.append(cpu * 1e6 / calls)


def middle(values: list[float]) -> Estimate:
    """The bounds are order statistics: the rank of the median is binomial, whatever the noise."""
    ordered = sorted(values)
    middle, half = len(ordered) / 2, 0.98 * math.sqrt(len(ordered))
    low = ordered[max(0, math.floor(middle - half))]
    high = ordered[min(len(ordered) - 1, math.ceil(middle + half))]
    return Estimate(statistics.median(ordered), low, high)
