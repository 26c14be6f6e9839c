"""Eight who place orders at the same time, in processes or in threads, in short turns a way."""

from __future__ import annotations

import math
import multiprocessing
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from sqlalchemy import exc

from shop.services.placing.submission import Line

from .market import BUYERS, PRODUCTS
from .ways import Place


class Burst(NamedTuple):
    """What one buyer has done in a turn; seconds, on the clock that all processes share."""

    start: float
    end: float
    latencies: list[float]
    failed: Counter[str]


@dataclass
class Turns:
    """What all buyers have done in one way, one entry a turn.

    :param rates: orders a second, all buyers together.
    :param evenness: orders of the slowest buyer to those of the fastest.
    """

    rates: list[float] = field(default_factory=list[float])
    evenness: list[float] = field(default_factory=list[float])
    tails: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=list[float])
    failed: Counter[str] = field(default_factory=Counter[str])
    lost_units: int = 0

    def add(self, bursts: list[Burst]) -> None:
        """Take in a turn."""
        latencies = [seconds for burst in bursts for seconds in burst.latencies]
        elapsed = max(burst.end for burst in bursts) - min(burst.start for burst in bursts)
        counts = [len(burst.latencies) for burst in bursts]
        self.rates.append(len(latencies) / elapsed)
        self.evenness.append(min(counts) / max(*counts, 1))
        if latencies:
            self.tails.append(percentile(latencies, 99) / statistics.median(latencies))
        self.latencies += latencies
        for burst in bursts:
            self.failed += burst.failed


class Crowd:
    """Buyers who wait for their next turn; made before this process opens any connection.

    :param ways: by name, what makes a way; each buyer makes its own.
    :param threads: whether the buyers are threads of one process.
    """

    def __init__(self, ways: Mapping[str, Callable[[], Place]], *, threads: bool) -> None:
        fork = multiprocessing.get_context("fork")
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        buyers = range(1, BUYERS + 1)
        for users in [list(buyers)] if threads else [[user] for user in buyers]:
            here, there = fork.Pipe()
            process = fork.Process(target=_work, args=(there, ways, users), daemon=True)
            process.start()
            self._pipes.append(here)
            self._processes.append(process)
        self._ask(None)

    def turn(self, way: str, seconds: float) -> list[Burst]:
        """Let all of them place orders in this way for so long."""
        return [burst for bursts in self._ask((way, seconds)) for burst in bursts]

    def close(self) -> None:
        """Send them home."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            process.terminate()
            process.join()
            pipe.close()

    def _ask(self, question: Any) -> list[Any]:
        for pipe in self._pipes:
            pipe.send(question)
        answers = [pipe.recv() for pipe in self._pipes]
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


def take_turns(
    crowd: Crowd, ways: Iterable[str], *, rounds: int, seconds: float, lost: Callable[[], int]
) -> dict[str, Turns]:
    """Give each way a turn, in a new random order each round.

    :param lost: how many pieces the database has lost or doubled so far.
    """
    turns = {way: Turns() for way in ways}
    order = list(turns)
    before = 0
    for _ in range(rounds):
        random.shuffle(order)
        for way in order:
            turns[way].add(crowd.turn(way, seconds))
            now = lost()
            turns[way].lost_units += abs(now - before)
            before = now
    return turns


def percentile(values: list[float], share: int) -> float:
    """The value that so many of a hundred do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * share / 100) - 1)]


def _work(pipe: Connection, ways: Mapping[str, Callable[[], Place]], users: list[int]) -> None:
    buyers = [_Buyer(user, ways) for user in users]
    while True:
        question = pipe.recv()
        with ThreadPoolExecutor(len(buyers)) as pool:
            acts = [pool.submit(buyer.act, question) for buyer in buyers]
        errors = [error for act in acts if (error := act.exception()) is not None]
        pipe.send(errors[0] if errors else [act.result() for act in acts])


class _Buyer:
    def __init__(self, user: int, ways: Mapping[str, Callable[[], Place]]) -> None:
        self.user, self.ways = user, ways
        self.random = random.Random(user)
        self.places: dict[str, Place] = {}

    def act(self, question: tuple[str, float] | None) -> Burst | None:
        if question is None:
            self.places = {name: make() for name, make in self.ways.items()}
            return None
        way, seconds = question
        place = self.places[way]
        clock = time.monotonic
        latencies: list[float] = []
        failed: Counter[str] = Counter()
        start = clock()
        while (before := clock()) < start + seconds:
            try:
                place(self.user, self._cart())
            except exc.DBAPIError as error:
                failed[_kind(error)] += 1
            else:
                latencies.append(clock() - before)
        return Burst(start, clock(), latencies, failed)

    def _cart(self) -> list[Line]:
        chosen = self.random.sample(range(1, PRODUCTS + 1), self.random.randint(3, 5))
        return [Line(product, self.random.randint(1, 3)) for product in chosen]


def _kind(error: exc.DBAPIError) -> str:
    text = str(error.orig).lower()
    kinds = ("deadlock", "database is locked")
    return next((kind for kind in kinds if kind in text), type(error).__name__)
