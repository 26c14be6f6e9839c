"""Each kind of failure has its words."""

from __future__ import annotations

import re

import pytest

from flask_retort import errors
from flask_retort.constraints import mysql, postgresql, sqlite
from flask_retort.constraints.texts import TEXTS


def kinds() -> set[type[errors.DatabaseFailure]]:
    found: set[type[errors.DatabaseFailure]] = {*sqlite._CONSTRAINTS.values()}
    found |= {*sqlite._PRIMARY.values(), *postgresql._KINDS.values(), *mysql._KINDS.values()}
    return found


def test_every_kind_that_can_be_diagnosed_has_its_texts() -> None:
    """A code without them would be an error inside an error."""
    assert {kind.code for kind in kinds()} <= {*TEXTS}


@pytest.mark.parametrize("code", TEXTS)
def test_a_user_is_told_nothing_of_the_database(code: str) -> None:
    """The reason follows the name of a field, and has no word of columns or constraints."""
    reason = TEXTS[code].reason
    assert re.match(r"(is|was|does|can't|took|could|overlaps) ", reason)
    assert not re.search(r"column|constraint|row|transaction|database|lock", reason)


@pytest.mark.parametrize("code", sorted({*TEXTS} - {"invalid-value"}))
def test_a_developer_is_told_what_to_write(code: str) -> None:
    """Cause and remedy are there, and the name of the class fits in."""
    text = TEXTS[code]
    assert not text.cause.endswith(".")
    assert text.write.format(name="UniqueViolation").endswith(".")
