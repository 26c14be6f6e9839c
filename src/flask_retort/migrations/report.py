"""Tells a run of migrations as it goes: on a terminal, in a log, or as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import threading
import time
import unicodedata
from collections.abc import Collection
from typing import TextIO

from .bindings import DEFAULT
from .progress import (
    Event,
    NothingToDo,
    Retrying,
    RevisionFinished,
    RevisionStarted,
    StepRunning,
    WaitingForRunner,
)

LONGEST_SILENCE = 300.0
"""Seconds after which a log hears of a long step again, at the latest."""


class TextReport:
    """A line a revision, and one that is rewritten while a step is long. Called from any thread.

    Where the stream is not a terminal, long steps are told in lines at growing intervals.

    :param databases: the bind keys of all databases of the run; names are shown if it is several.
    :param goal: how the revision is called that the run goes to, such as "head"; can be empty.
    """

    def __init__(
        self, stream: TextIO, *, databases: Collection[str] = ("",), goal: str = ""
    ) -> None:
        self._paper = Terminal(stream) if _is_terminal(stream) else Log(stream)
        self._width = max((len(_name(key)) for key in databases), default=0)
        self._is_several = len(databases) > 1
        self._goal = goal
        self._start = time.monotonic()
        self._revisions = 0
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Tell one event."""
        with self._lock:
            match event:
                case RevisionFinished():
                    self._revisions += 1
                    self._paper.line(self._finished(event))
                case RevisionStarted() if event.resumed:
                    self._paper.line(self._resumed(event))
                case RevisionStarted():
                    pass  # told when it is finished, or fails
                case StepRunning():
                    self._paper.progress(self._running(event), event.statement, event.seconds)
                case WaitingForRunner():
                    self._paper.progress(self._waiting(event), "", event.seconds)
                case Retrying():
                    self._paper.line(self._retrying(event))
                case NothingToDo():
                    self._paper.line(self._nothing(event))

    def finish(self) -> None:
        """The run has succeeded: say how much it was and how long it took."""
        with self._lock:
            if self._revisions:
                noun = "revision" if self._revisions == 1 else "revisions"
                taken = duration(time.monotonic() - self._start)
                self._paper.line(f"{self._revisions} {noun}, {taken}")

    def close(self) -> None:
        """Leave no unfinished line behind, so that others can write."""
        with self._lock:
            self._paper.clear()

    def _finished(self, event: RevisionFinished) -> str:
        what = f"{self._revision(event)}  {_one_line(event.title):<32}"
        return f"{what} {duration(event.seconds):>9}"

    def _resumed(self, event: RevisionStarted) -> str:
        many = f"{event.resumed} statements" if event.resumed != 1 else "one statement"
        return f"{self._revision(event)}  goes on after {many} made before"

    def _running(self, event: StepRunning) -> str:
        parts = (event.revision, duration(event.seconds), event.detail, event.statement)
        return self._database(event) + "  ".join(_one_line(part) for part in parts if part)

    def _waiting(self, event: WaitingForRunner) -> str:
        who = _one_line(event.holder) or "another process"
        return f"{self._database(event)}waiting for {who}"

    def _retrying(self, event: Retrying) -> str:
        by = f" Held by {_one_line('; '.join(event.blockers))}." if event.blockers else ""
        return (
            f"{self._database(event)}{event.revision}  attempt {event.attempt} of"
            f" {event.attempts} met a lock: {_one_line(event.reason)}.{by}"
            f" Next attempt in {duration(event.delay)}"
        )

    def _nothing(self, event: NothingToDo) -> str:
        where = ", ".join(event.heads) or "its beginning, before all revisions"
        goal = f" ({self._goal})" if self._goal and event.heads else ""
        return f"{self._database(event)}Nothing to do: the database is at {where}{goal}"

    def _revision(self, event: RevisionStarted | RevisionFinished) -> str:
        verb = "downgrade" if event.downgrade else "upgrade"
        return f"{self._database(event)}{verb} {event.revision}"

    def _database(self, event: Event) -> str:
        if not self._is_several and not event.database:
            return ""
        return f"{_name(event.database):<{self._width}}  "


class JsonReport:
    """One JSON object a line for each event, with the event's name and fields as keys."""

    def __init__(self, stream: TextIO) -> None:
        self._paper = Paper(stream)
        self._start = time.monotonic()
        self._revisions = 0
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Tell one event."""
        with self._lock:
            self._revisions += isinstance(event, RevisionFinished)
            self._paper.line(json_line(_event_name(event), **dataclasses.asdict(event)))

    def finish(self) -> None:
        """The run has succeeded: say how much it was and how long it took."""
        seconds = time.monotonic() - self._start
        with self._lock:
            self._paper.line(json_line("finished", revisions=self._revisions, seconds=seconds))

    def close(self) -> None:
        """Nothing is ever unfinished."""


def json_line(event: str, **fields: object) -> str:
    """An event as a JSON object in one line; seconds are rounded to thousandths."""
    rounded = {n: round(v, 3) if isinstance(v, float) else v for n, v in fields.items()}
    return json.dumps({"event": event, **rounded})


def duration(seconds: float) -> str:
    """A time for people: ``0.04 s``, ``12.3 s``, ``2 min 5 s``, ``1 h 12 min``."""
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


class Paper:
    """A stream that takes whole lines, each at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._has_reader = True

    def line(self, text: str) -> None:
        """Write a line that stays."""
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        safe = text.encode(encoding, "backslashreplace").decode(encoding)
        if self._has_reader:
            try:
                self._stream.write(safe)
                self._stream.flush()
            except OSError:
                # A terminal or a pipe that was closed is no reason to stop halfway.
                self._has_reader = False


class Log(Paper):
    """A file or a pipe: what goes on for long is told at growing intervals."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._step: str | None = None
        self._tell_at = 0.0

    def line(self, text: str) -> None:
        """Write a line; what goes on after it is another step."""
        super().line(text)
        self._step = None

    def progress(self, text: str, step: str, seconds: float) -> None:
        """Tell of a step that has run for so long, unless it was told not long ago."""
        if step == self._step and seconds < self._tell_at:
            return
        super().line(text)
        self._step = step
        self._tell_at = seconds + min(max(seconds, 2.0), LONGEST_SILENCE)

    def clear(self) -> None:
        """Nothing is ever unfinished."""


class Terminal(Paper):
    """A terminal: what goes on for long is told in one line that is written over."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._shown = 0

    def line(self, text: str) -> None:
        """Write a line in place of the unfinished one."""
        self._write(f"{self._blank()}{text}\n")

    def progress(self, text: str, step: str, seconds: float) -> None:
        """Show how far it is in place of what was shown before."""
        # The last column stays free: some terminals go to the next line when it is filled.
        text, width = _cut(text, shutil.get_terminal_size().columns - 1)
        self._write(f"{self._blank()}{text}")
        self._shown = width

    def clear(self) -> None:
        """Take the unfinished line away."""
        if self._shown:
            self._write(self._blank())

    def _blank(self) -> str:
        blank = f"\r{' ' * self._shown}\r" if self._shown else ""
        self._shown = 0
        return blank


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _cut(text: str, columns: int) -> tuple[str, int]:
    """As much of the text as has room in so many columns, and how many it takes."""
    width = 0
    for index, character in enumerate(text):
        wide = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width + wide > columns:
            return text[:index], width
        width += wide
    return text, width


def _one_line(text: str) -> str:
    """The text without line breaks and without characters that would steer a terminal."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in words)


def _name(database: str) -> str:
    return database or DEFAULT


def _event_name(event: Event) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(event).__name__).lower()
