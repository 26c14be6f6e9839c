"""The guards' precision and recall over the labelled collection."""

from __future__ import annotations

import sys
from fractions import Fraction

import pytest

from flask_retort.checks import GUARDS

from .collection import Program, collection

LEAST_PROGRAMS = 120
LEAST_OF_A_GUARD = 10
LEAST_RECALL = Fraction(95, 100)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """The findings are meant to be there; a failing test shows them by itself."""
    caplog.set_level("ERROR", "flask_retort.guards")


def programs_of(code: str) -> list[Program]:
    return [program for program in collection() if program.code == code]


@pytest.mark.parametrize("code", GUARDS)
def test_each_guard_finds_what_it_must_and_nothing_else(code: str) -> None:
    """A guard's programs are found as labelled, and no other guard says anything about them."""
    wrong = {
        f"{program.name} ({'must' if program.must_fire else 'must not'} fire)": program.found
        for program in programs_of(code)
        if program.is_missed or program.false_alarms
    }
    assert wrong == {}


@pytest.mark.parametrize("code", GUARDS)
def test_the_collection_shows_both_sides_of_each_guard(code: str) -> None:
    """Ten programs or more, at least four of them mistakes and at least four that look like one."""
    labels = [program.must_fire for program in programs_of(code)]
    assert len(labels) >= LEAST_OF_A_GUARD
    assert min(labels.count(True), labels.count(False)) >= 4


def test_precision_and_recall(capsys: pytest.CaptureFixture[str]) -> None:
    """No false alarm in all the programs, and at least 95 of 100 mistakes are found."""
    programs = collection()
    with capsys.disabled():
        sys.stdout.write(f"\n{table()}\n")
    assert len(programs) >= LEAST_PROGRAMS
    assert precision(programs) == 1
    assert recall(programs) >= LEAST_RECALL


def precision(programs: list[Program]) -> Fraction:
    """The share of findings that are as labelled."""
    right = found_of(programs)
    return Fraction(right, right + sum(len(program.false_alarms) for program in programs) or 1)


def recall(programs: list[Program]) -> Fraction:
    """The share of mistakes that are found."""
    return Fraction(found_of(programs), sum(program.must_fire for program in programs) or 1)


def found_of(programs: list[Program]) -> int:
    return sum(program.must_fire and not program.is_missed for program in programs)


def table() -> str:
    lines = [f"{'guard':20}{'programs':>10}{'mistakes':>10}{'precision':>11}{'recall':>8}"]
    groups = [*((code, programs_of(code)) for code in GUARDS), ("all", collection())]
    for name, programs in groups:
        mistakes = sum(program.must_fire for program in programs)
        lines.append(
            f"{name:20}{len(programs):>10}{mistakes:>10}"
            f"{float(precision(programs)):>11.2f}{float(recall(programs)):>8.2f}"
        )
    return "\n".join(lines)
