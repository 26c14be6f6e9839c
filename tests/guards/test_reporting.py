"""What happens with a finding: modes, the allow-list, the report."""

from __future__ import annotations

import logging
import threading
import warnings
from typing import Any

import pytest

from flask_retort.errors import GuardError, RetortWarning
from flask_retort.guards import Reports, Text, allow, reporting
from flask_retort.guards.places import Places

CODE = "lost-update"
TEXT = Text(
    what="{subject} was changed at {where}.", why="It {hurts}.", write="Write it like this."
)
MESSAGE = (
    "Product.stock was changed at {where}. It hurts. Write it like this. Allow it on purpose with"
    " db.allow('lost-update', 'Product.stock', reason=...)."
)


def reports(mode: str | None = "raise", **options: Any) -> Reports:
    return Reports({CODE: mode}, **options)


def find(found: Reports, subject: str = "Product.stock", **names: Any) -> None:
    found.report(CODE, TEXT, subject, **{"hurts": "hurts", **names})


def test_a_message_has_four_parts_and_a_code() -> None:
    """What happened, why it hurts, what to write, how to allow it; then the code."""
    with pytest.raises(GuardError) as raised:
        find(reports(), where="shop/orders.py:41")
    assert str(raised.value) == f"{MESSAGE.format(where='shop/orders.py:41')} [retort:lost-update]"


def test_a_place_is_the_line_of_the_application() -> None:
    """Where the guard does not know better."""
    found = reports(places=Places(__name__))
    with pytest.raises(GuardError, match=r"changed at .*test_reporting\.py:\d+ \(find\)"):
        find(found)


def test_a_warning_stands_at_the_line_of_the_user() -> None:
    """So that filters by module work, and the default one shows each place once."""
    found = reports("warn", places=Places(__name__))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        find(found)
        find(found)
    assert [(one.filename, one.category) for one in caught] == [(__file__, RetortWarning)]


def test_counting_logs_the_first_of_each_kind(caplog: pytest.LogCaptureFixture) -> None:
    """At the level that is seen without any set-up of logging; the others cost next to nothing."""
    found = reports("count")
    for subject in ("Product.stock", "Product.views", "Product.stock"):
        find(found, subject)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert found.found == {(CODE, "Product.stock"): 2, (CODE, "Product.views"): 1}


def test_off_is_nothing() -> None:
    """Neither raised nor counted, nor is the text filled."""
    found = reports("off")
    find(found)
    assert not found.is_on(CODE)
    assert not found.found


def test_the_default_is_that_of_the_moment() -> None:
    """TESTING is often set on an application that is complete."""
    now = ["off"]
    found = reports(None, default=lambda: now[0])
    find(found)
    now[0] = "raise"
    with pytest.raises(GuardError):
        find(found)


def test_modes_by_code() -> None:
    """One for all, or by code with one for the rest; None is the application's own."""
    codes = ["lost-write", "lost-update"]
    assert reporting.modes(None, codes) == dict.fromkeys(codes)
    assert reporting.modes("warn", codes) == dict.fromkeys(codes, "warn")
    by_code = {"lost-write": "off", "default": "count"}
    assert reporting.modes(by_code, codes) == {"lost-write": "off", "lost-update": "count"}
    assert reporting.modes({"lost-write": "off"}, codes)["lost-update"] is None


@pytest.mark.parametrize(
    ("code", "subject", "passes"),
    [
        (CODE, "Product.stock", True),
        (CODE, "*", True),
        (CODE, "Product.views", False),
        ("lost-write", "Product.stock", False),
    ],
)
def test_the_configuration_allows_by_code_and_subject(
    code: str, subject: str, *, passes: bool
) -> None:
    """A star is any subject; what is allowed is not counted."""
    found = reports("count", allowed=[(code, subject, "a guess is enough")])
    find(found)
    assert bool(found.found) is not passes


def test_a_block_allows_while_it_runs() -> None:
    """Also as a decorator, one within the other, and in this thread only."""
    found = reports("count")

    @allow(CODE, "Product.stock", reason="a guess is enough")
    def guess() -> None:
        with allow(CODE, "Product.views", reason="so is this"):
            find(found, "Product.views")
        find(found)
        other = threading.Thread(target=find, args=(found, "of a thread"))
        other.start()
        other.join()

    guess()
    guess()
    assert found.found == {(CODE, "of a thread"): 2}
    find(found)
    assert found.found[CODE, "Product.stock"] == 1


def test_a_block_that_raises_allows_no_longer() -> None:
    """The exception is not swallowed."""
    found = reports()
    with pytest.raises(KeyError), allow(CODE, reason="a guess is enough"):
        raise KeyError
    with pytest.raises(GuardError):
        find(found)


def test_an_allowance_needs_a_guard_and_a_reason() -> None:
    """Already where it is written, not when the decorated function runs."""
    with pytest.raises(ValueError, match="nearest one is 'lost-write'"):
        allow("lost-writes", reason="a typo")
    with pytest.raises(ValueError, match="needs a reason"):
        allow(CODE, reason=" ")


def test_the_report_names_findings_and_allowances_without_use() -> None:
    """What is found most comes first, with the message of the first time."""
    allowed = [(CODE, "Product.stock", "counted at night"), (CODE, "Product.size", "of old")]
    found = reports("count", allowed=allowed)
    for subject in ("Product.stock", "Product.views", "Product.likes", "Product.likes"):
        find(found, subject)
    with allow(CODE, "Product.weight", reason="of old, too"):
        pass
    allow(CODE, "Product.colour", reason="on a view that nobody has called")
    report = found.report_so_far()
    assert [(one.subject, one.times) for one in report.findings] == [
        ("Product.likes", 2),
        ("Product.views", 1),
    ]
    assert report.findings[0].message.startswith("Product.likes was changed")
    unused = {allowance.subject for allowance in report.unused}
    assert {"Product.size", "Product.weight"} <= unused
    assert not {"Product.stock", "Product.colour"} & unused


def test_subjects_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may run for a year."""
    monkeypatch.setattr(reporting, "MOST_SUBJECTS", 2)
    found = reports("count")
    for subject in ("a", "b", "c", "d", "a"):
        find(found, subject)
    assert found.found == {(CODE, "a"): 2, (CODE, "b"): 1, (CODE, "*"): 2}


def test_threads_lose_no_count() -> None:
    """Many find the same at once."""
    found = reports("count")

    def many() -> None:
        for _ in range(200):
            find(found)

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.found == {(CODE, "Product.stock"): 800}
