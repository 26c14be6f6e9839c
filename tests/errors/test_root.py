"""What every error and warning of the package promises."""

from __future__ import annotations

import inspect

from flask_retort import errors

ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.RetortError)
]


def test_every_error_has_its_own_code() -> None:
    """No two errors share a code, which names a page; DatabaseFailure is never raised itself."""
    codes = [kind.code for kind in ERRORS if kind is not errors.DatabaseFailure]
    assert len(set(codes)) == len(codes)


def test_every_error_can_be_imported_from_the_package() -> None:
    """``flask_retort.errors`` exports all that its modules define."""
    assert {kind.__name__ for kind in _all(errors.RetortError)} <= {*errors.__all__}


def _all(kind: type[Exception]) -> set[type[Exception]]:
    below = {sub for sub in kind.__subclasses__() if not vars(sub).get("_is_made")}
    return {kind}.union(*map(_all, below)) if kind.__module__.startswith(errors.__name__) else set()


def test_the_text_ends_in_the_code() -> None:
    """The code in brackets is the last word of every message, also one given for this error."""
    assert str(errors.RetortError("It broke.")) == "It broke. [retort:error]"
    assert str(errors.GuardError("It broke.", code="other")) == "It broke. [retort:other]"


def test_a_warning_can_be_filtered_by_its_code() -> None:
    """The text of a warning ends in its code."""
    warning = errors.RetortWarning("Look out.", code="n-plus-one")
    assert str(warning) == "Look out. [retort:n-plus-one]"
    assert warning.code == "n-plus-one"
