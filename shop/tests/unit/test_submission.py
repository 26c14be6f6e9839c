"""Submissions before any database sees them."""

from __future__ import annotations

import uuid

from shop.services.placing.submission import Line, submit


def test_a_submission_does_not_depend_on_the_order_of_its_lines() -> None:
    """Two carts with the same lines are the same, and lie in the order in which rows are locked."""
    one, other = (
        submit(1, lines, "k") for lines in ([Line(2, 1), Line(1, 3)], [Line(1, 3), Line(2, 1)])
    )
    assert one.lines == other.lines == (Line(1, 3), Line(2, 1))
    assert one.fingerprint == other.fingerprint


def test_another_quantity_is_another_submission() -> None:
    """What is bought, and how many, make the fingerprint; the key makes the hash."""
    lines = ([Line(1, 3)], [Line(1, 4)], [Line(2, 3)], [Line(1, 3), Line(2, 1)])
    assert len({submit(1, cart, "k").fingerprint for cart in lines}) == 4
    assert len({submit(1, lines[0], key).key_hash for key in ("k", "K", "k ")}) == 3


def test_numbers_are_unique_and_grow() -> None:
    """A number is a UUID of version 7, whose beginning is the time."""
    numbers = [submit(1, [Line(1, 1)], "k").number for _ in range(1000)]
    assert len(set(numbers)) == 1000
    assert [n[:13] for n in numbers] == sorted(n[:13] for n in numbers)
    assert {(u.version, u.variant) for u in map(uuid.UUID, numbers)} == {(7, uuid.RFC_4122)}
