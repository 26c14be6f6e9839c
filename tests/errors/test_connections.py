"""Errors of connections and of the pool."""

from __future__ import annotations

import pickle

import pytest
from sqlalchemy import exc

from flask_retort import errors

KINDS = [errors.Disconnected, errors.CannotConnect, errors.CommitOutcomeUnknown]


@pytest.mark.parametrize("kind", KINDS)
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


def test_an_unknown_outcome_asks_its_resolver(driver_error: exc.OperationalError) -> None:
    """Without one the answer is None: not known."""
    error = errors.CommitOutcomeUnknown("Lost.", driver_error)
    assert error.resolve() is None
    error.resolver = lambda: True
    assert error.resolve() is True


def test_an_exhausted_pool_survives_pickling() -> None:
    """An error raised in a worker process arrives whole."""
    exhausted = pickle.loads(pickle.dumps(errors.PoolExhausted("None left.")))
    assert isinstance(exhausted, exc.TimeoutError)
    assert str(exhausted) == "None left. [retort:pool-exhausted]"
