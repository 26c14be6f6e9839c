"""What every error of the package promises."""

from __future__ import annotations

import inspect
import pickle

import pytest
from sqlalchemy import exc

from flask_retort import errors

ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.RetortError)
]


@pytest.fixture
def driver_error() -> exc.OperationalError:
    return exc.OperationalError(
        "SELECT ?", (1,), ValueError("gone"), hide_parameters=True, connection_invalidated=True
    )


def test_every_error_has_its_own_code() -> None:
    """No two errors share a code: it names one page of the documentation."""
    codes = [kind.code for kind in ERRORS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", [errors.ConfigurationError, errors.PoolExhausted])
def test_the_text_ends_in_the_code(kind: type[errors.RetortError]) -> None:
    """The code in brackets is the last word of every message."""
    assert str(kind("It broke.")) == f"It broke. [retort:{kind.code}]"
    assert str(kind("It broke.", code="other")) == "It broke. [retort:other]"


def test_a_missing_database_is_told_in_the_contract_s_words() -> None:
    """The predecessor's text is kept to the letter, so it carries no code."""
    error = errors.MissingDatabase("Set it.")
    assert str(error) == "Set it."
    assert isinstance(error, RuntimeError)


@pytest.mark.parametrize("kind", [errors.Disconnected, errors.CannotConnect])
def test_a_connection_error_is_sqlalchemy_s_with_all_it_knows(
    kind: type[errors.Disconnected], driver_error: exc.OperationalError
) -> None:
    """Statement, parameters, the driver's error and the invalidation are kept; the text is ours."""
    error = kind("The server left.", driver_error)
    assert isinstance(error, exc.OperationalError)
    assert (error.statement, error.params, error.orig) == ("SELECT ?", (1,), driver_error.orig)
    assert error.connection_invalidated
    assert error.hide_parameters
    assert str(error) == f"The server left. [retort:{kind.code}]"


def test_errors_survive_pickling(driver_error: exc.OperationalError) -> None:
    """An error raised in a worker process arrives whole."""
    raised = errors.CannotConnect("No.", driver_error)
    there = pickle.loads(pickle.dumps(raised))
    assert type(there) is errors.CannotConnect
    assert str(there) == str(raised)
    assert there.statement == "SELECT ?"
    exhausted = pickle.loads(pickle.dumps(errors.PoolExhausted("None left.")))
    assert str(exhausted) == "None left. [retort:pool-exhausted]"


def test_a_warning_can_be_filtered_by_its_code() -> None:
    """The text of a warning ends in its code."""
    warning = errors.RetortWarning("Look out.", code="n-plus-one")
    assert str(warning) == "Look out. [retort:n-plus-one]"
    assert warning.code == "n-plus-one"
