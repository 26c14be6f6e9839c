"""The drivers' texts in one line."""

from __future__ import annotations

from flask_retort.constraints.diagnosis import one_line


def test_a_message_of_several_lines_becomes_one() -> None:
    """PostgreSQL's drivers break lines and point at the place in the statement."""
    assert one_line(ValueError("bad\nLINE 1: x\n        ^\n")) == "bad LINE 1: x ^"
