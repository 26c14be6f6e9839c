"""Looks at a migration from outside while its statements run: who blocks it, how far it is."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from sqlalchemy import exc

from flask_retort.migrations.backends import Lock, Observed
from flask_retort.migrations.progress import Report, StepRunning

from .steps import Steps

EVERY = 0.5
"""Seconds between two looks. Shorter than any lock timeout, so that who blocks is seen in time."""

TELL_AFTER = 2.0
"""Seconds a statement runs before it is told of, and between two tellings."""


class Watch:
    """A thread that lives as long as the ``with`` block and uses the lock's connection.

    Nobody else may use that connection meanwhile.
    """

    def __init__(
        self,
        lock: Lock,
        worker: int | None,
        steps: Steps,
        report: Report,
        database: str,
        revision: str,
    ) -> None:
        self._lock = lock
        self._worker = worker
        self._steps = steps
        self._report = report
        self._place = (database, revision)
        self._seen: Observed | None = None
        self._told = 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, name="flask-retort-watch", daemon=True)

    @property
    def blockers(self) -> tuple[str, ...]:
        """Who kept the last statement waiting that was seen to wait."""
        return self._seen.blockers if self._seen else ()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ends.wait(EVERY):
            current = self._steps.current
            if current is None:
                continue
            since, statement = current
            try:
                observed = self._lock.observe(self._worker)
            except exc.SQLAlchemyError as error:
                # The lock's connection is lost. The worker's own mark still keeps others away.
                observed = Observed(detail=f"not observed any more: {type(error).__name__}")
            if observed.blockers:
                self._seen = observed
            self._tell(statement, time.monotonic() - since, observed)

    def _tell(self, statement: str, seconds: float, observed: Observed) -> None:
        now = time.monotonic()
        if seconds < TELL_AFTER or now - self._told < TELL_AFTER:
            return
        self._told = now
        waits = f"waits for {'; '.join(observed.blockers)}" if observed.blockers else ""
        detail = observed.detail or waits
        database, revision = self._place
        self._report(StepRunning(database, revision, statement, seconds, detail))
