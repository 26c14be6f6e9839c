"""What people and programs see of a run: on a terminal, in a log, as JSON."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest

from flask_retort.migrations.progress import (
    Event,
    NothingToDo,
    Retrying,
    RevisionFinished,
    RevisionStarted,
    StepRunning,
    WaitingForRunner,
)
from flask_retort.migrations.report import JsonReport, TextReport, duration

FINISHED = RevisionFinished("", "ae1027a6acf", "add users", downgrade=False, seconds=0.04)


def step(seconds: float, *, detail: str = "", statement: str = "CREATE INDEX ix") -> StepRunning:
    return StepRunning("", "ae1027a6acf", statement, seconds, detail)


def logged(*events: Event, databases: tuple[str, ...] = ("",), goal: str = "") -> list[str]:
    """The lines of a finished run in a file."""
    stream = io.StringIO()
    report = TextReport(stream, databases=databases, goal=goal)
    for event in events:
        report(event)
    report.finish()
    report.close()
    return stream.getvalue().splitlines()


class Screen:
    """A terminal of 40 columns: what is written to it, and what stands on it in the end."""

    def __init__(self) -> None:
        self.inner, outer = pty.openpty()
        self.stream: TextIO = os.fdopen(outer, "w", encoding="utf-8")

    def written(self) -> str:
        self.stream.flush()
        chunks: list[bytes] = []
        while select.select([self.inner], [], [], 0.1)[0]:
            chunks.append(os.read(self.inner, 65536))
        return b"".join(chunks).decode().replace("\r\n", "\n")

    def lines(self) -> list[str]:
        """What is to be seen, each line after its last carriage return was overwritten."""
        shown: list[str] = []
        for line in self.written().split("\n"):
            cells = ""
            for part in line.split("\r"):
                cells = part + cells[len(part) :]
            shown.append(cells.rstrip())
        return shown

    def close(self) -> None:
        self.stream.close()
        os.close(self.inner)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Screen()
    yield terminal
    terminal.close()


# --- in a log ----------------------------------------------------------------------


def test_each_revision_is_one_line_with_its_title_and_time() -> None:
    """The verb, the revision, the title, the time; at the end how many there were."""
    lines = logged(FINISHED, RevisionFinished("", "b2", "", downgrade=True, seconds=61))
    assert lines[0].split() == ["upgrade", "ae1027a6acf", "add", "users", "0.04", "s"]
    assert lines[1].split() == ["downgrade", "b2", "1", "min", "1", "s"]
    assert re.fullmatch(r"2 revisions, \d\.\d\d s", lines[2])


def test_of_several_databases_each_line_names_its_own_in_columns() -> None:
    """The default database has a name too; the revisions stand below each other."""
    far = RevisionFinished("far", "ae1027a6acf", "add users", downgrade=False, seconds=0.04)
    first, second, _ = logged(FINISHED, far, databases=("", "far"))
    assert first.startswith("default  upgrade")
    assert second.startswith("far      upgrade")


def test_the_only_database_is_named_unless_it_is_the_default_one() -> None:
    """Where it is a bind, one wants to see which."""
    far = RevisionFinished("far", "b2", "", downgrade=False, seconds=0)
    assert logged(far, databases=("far",))[0].startswith("far  upgrade b2")


@pytest.mark.parametrize(
    ("heads", "goal", "line"),
    [
        (("ae10",), "head", "Nothing to do: the database is at ae10 (head)"),
        (("ae10", "b2"), "", "Nothing to do: the database is at ae10, b2"),
        ((), "base", "Nothing to do: the database is at its beginning, before all revisions"),
    ],
)
def test_where_nothing_is_to_do_one_reads_where_the_database_is(
    heads: tuple[str, ...], goal: str, line: str
) -> None:
    """One line, and no summary of no revisions."""
    assert logged(NothingToDo("", heads), goal=goal) == [line]


def test_a_retry_says_what_was_met_who_held_it_and_when_it_goes_on() -> None:
    """All of it in one line."""
    retry = Retrying("", "ae10", 1, 6, "lock timeout\n", ("pid 7 (psql)", "pid 8"), 1.25)
    assert logged(retry) == [
        "ae10  attempt 1 of 6 met a lock: lock timeout. Held by pid 7 (psql);"
        " pid 8. Next attempt in 1.25 s"
    ]


def test_a_revision_that_is_resumed_says_so_and_a_fresh_one_is_told_when_it_is_done() -> None:
    """How many statements are not made again."""
    resumed = RevisionStarted("", "ae10", "add users", downgrade=False, resumed=3)
    fresh = RevisionStarted("", "ae10", "add users", downgrade=False, resumed=0)
    assert logged(resumed) == ["upgrade ae10  goes on after 3 statements made before"]
    assert logged(fresh) == []


def test_a_long_step_is_logged_at_growing_intervals() -> None:
    """An hour of telling every two seconds makes less than thirty lines."""
    lines = logged(*(step(float(seconds)) for seconds in range(2, 3600, 2)))
    told = [line.split("  ")[1] for line in lines]
    assert told[:4] == ["2.00 s", "4.00 s", "8.00 s", "16.0 s"]
    assert 10 < len(told) < 30


def test_another_step_is_logged_at_once() -> None:
    """The silence belongs to one statement, not to the run."""
    lines = logged(step(100.0), step(2.0, statement="ALTER TABLE a"), step(2.0))
    assert len(lines) == 3


def test_waiting_says_for_whom_at_growing_intervals() -> None:
    """The holder in the back end's words, or at least that there is one."""
    waits = [WaitingForRunner("", "process 7 on web-1", 10.0 * n) for n in range(61)]
    lines = logged(*waits)
    assert lines[0] == "waiting for process 7 on web-1"
    assert len(lines) < 12
    assert logged(WaitingForRunner("", "", 0.0)) == ["waiting for another process"]


# --- on a terminal -----------------------------------------------------------------


def test_on_a_terminal_a_long_step_is_one_line_that_is_gone_when_it_is_done(
    screen: Screen,
) -> None:
    """Rewritten in place, shorter texts over longer ones, and then the revision's own line."""
    report = TextReport(screen.stream)
    report(step(2.0, detail="45 % of the table"))
    assert screen.lines() == ["ae1027a6acf  2.00 s  45 % of the table"]
    report(step(4.0, detail="9 %", statement="A"))
    report(FINISHED)
    shown, empty = screen.lines()
    assert re.fullmatch(r"upgrade ae1027a6acf  add users +0\.04 s", shown)
    assert empty == ""


def test_the_line_in_progress_never_fills_the_terminal(screen: Screen) -> None:
    """It is cut, counting characters of double width: a wrapped line could not be written over."""
    report = TextReport(screen.stream)
    report(step(2.0, statement="A" * 200))
    assert len(screen.written()) == 39
    report.close()
    screen.written()
    report(step(2.0, statement="表" * 200))
    assert len(screen.written().encode("utf-16-le")) // 2 == 21 + (39 - 21) // 2


def test_closed_in_the_middle_it_leaves_an_empty_line(screen: Screen) -> None:
    """What is written next, such as an error, begins at the left."""
    report = TextReport(screen.stream)
    report(step(2.0))
    report.close()
    screen.stream.write("Error")
    assert screen.lines() == ["Error"]


def test_a_dumb_terminal_is_treated_as_a_log(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know how to write over a line."""
    monkeypatch.setenv("TERM", "dumb")
    report = TextReport(screen.stream)
    report(step(2.0))
    report(step(4.0))
    assert len(screen.lines()) == 3


def test_texts_of_others_can_not_steer_the_terminal(screen: Screen) -> None:
    """A detail or a title with control characters stays a line of text."""
    report = TextReport(screen.stream)
    report(RevisionFinished("", "ae10", "a\x1b[2Jb\nc", downgrade=False, seconds=0))
    assert "a?[2Jb c" in screen.written()


# --- as JSON -----------------------------------------------------------------------


def test_as_json_each_event_is_an_object_of_one_line() -> None:
    """The event's name with hyphens, and its fields under their own names."""
    stream = io.StringIO()
    report = JsonReport(stream)
    report(FINISHED)
    report(Retrying("far", "b2", 1, 6, "locked\nout", ("pid 7",), 1.23456))
    report.finish()
    first, second, last = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first == {
        "event": "revision-finished",
        "database": "",
        "revision": "ae1027a6acf",
        "title": "add users",
        "downgrade": False,
        "seconds": 0.04,
    }
    assert second == {
        "event": "retrying",
        "database": "far",
        "revision": "b2",
        "attempt": 1,
        "attempts": 6,
        "reason": "locked\nout",
        "blockers": ["pid 7"],
        "delay": 1.235,
    }
    assert last == {"event": "finished", "revisions": 1, "seconds": last["seconds"]}


# --- everywhere --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TextReport, JsonReport])
def test_lines_of_two_threads_never_mix(kind: type[TextReport] | type[JsonReport]) -> None:
    """The worker and the thread that watches it tell at the same time."""

    class Slow(io.StringIO):
        """Gives other threads a chance after each write."""

        def write(self, text: str) -> int:
            for character in text:
                super().write(character)
                os.sched_yield()
            return len(text)

    stream = Slow()
    report = kind(stream)
    events = (NothingToDo("", ("a" * 50,)), NothingToDo("", ("b" * 50,)))

    def tell(event: Event) -> None:
        for _ in range(50):
            report(event)

    threads = [threading.Thread(target=tell, args=[event]) for event in events]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 100
    assert all(("a" * 50 in line) != ("b" * 50 in line) for line in lines)


@pytest.mark.parametrize("kind", [TextReport, JsonReport])
def test_a_reader_that_goes_away_does_not_stop_the_run(
    kind: type[TextReport] | type[JsonReport],
) -> None:
    """``flask db upgrade | head -1`` leaves no migration half done."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", encoding="utf-8")
    report = kind(stream)
    report(FINISHED)
    report(FINISHED)
    report.finish()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_title_that_the_stream_can_not_write_is_escaped() -> None:
    """A revision does not fail because the terminal is not UTF-8."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    TextReport(stream)(RevisionFinished("", "ae10", "größer", downgrade=False, seconds=0))
    stream.seek(0)
    assert r"gr\xf6\xdfer" in stream.read()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.004, "0.00 s"),
        (9.999, "10.0 s"),
        (59.96, "1 min 0 s"),
        (125, "2 min 5 s"),
        (4321, "1 h 12 min"),
    ],
)
def test_a_duration_is_as_exact_as_people_need(seconds: float, text: str) -> None:
    """Three digits at most."""
    assert duration(seconds) == text
