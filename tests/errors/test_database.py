"""Errors of the database: what they carry, what they are, and that they can be sent on."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from sqlalchemy import exc

from flask_retort import errors
from flask_retort.errors import About, StatementFailure

ABOUT = About(dict, ("mail",), "uq_mail", "users", "a@b.c", "is already taken")
OF_STATEMENTS = [
    errors.UniqueViolation,
    errors.ForeignKeyViolation,
    errors.NotNullViolation,
    errors.CheckViolation,
    errors.ExclusionViolation,
    errors.ValueTooLong,
    errors.OutOfRange,
    errors.Deadlock,
    errors.SerializationFailure,
    errors.LockTimeout,
    errors.StatementTimeout,
    errors.ReadOnlyViolation,
    errors.Disconnected,
    errors.CannotConnect,
]
OTHERS = [errors.StaleVersion, errors.NotFound, errors.InvalidValue, errors.FailedAssertion]
OTHER_CLASSES = [exc.IntegrityError, exc.OperationalError, exc.InternalError, exc.DataError]


def again(error: Exception) -> Any:
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("kind", OF_STATEMENTS)
@pytest.mark.parametrize("other", OTHER_CLASSES)
def test_an_error_is_also_of_the_class_that_the_driver_s_would_be(
    kind: type[StatementFailure], other: type[exc.DBAPIError]
) -> None:
    """It is caught by either name, and pickling keeps that, with all that it carries."""
    error = kind.of("Refused.", other("INSERT", (1,), ValueError("no")), ABOUT)
    error.rolled_back = "savepoint"
    assert isinstance(error, kind)
    assert isinstance(error, other)
    there = again(error)
    assert type(there) is type(error)
    assert (str(there), there.about, there.statement, there.params) == (
        f"Refused. The savepoint was rolled back. [retort:{kind.code}]",
        ABOUT,
        "INSERT",
        (1,),
    )


def test_no_class_is_made_where_the_driver_agrees(driver_error: exc.OperationalError) -> None:
    """The ordinary error is of the ordinary class."""
    assert type(errors.Deadlock.of("Two.", driver_error)) is errors.Deadlock


def test_the_direction_of_a_foreign_key_is_pickled(driver_error: exc.OperationalError) -> None:
    """It is an attribute of the error, and not of what it is about."""
    error = errors.ForeignKeyViolation.of("Refused.", driver_error)
    assert isinstance(error, errors.ForeignKeyViolation)
    error.direction = "missing"
    assert again(error).direction == "missing"


@pytest.mark.parametrize("kind", OTHERS)
def test_other_errors_carry_and_keep_the_same(kind: Any) -> None:
    """Model, fields, constraint, value and reason can be read of each, and are pickled."""
    there = again(kind("It is no good.", ABOUT))
    assert (there.model, there.fields, there.constraint) == (dict, ("mail",), "uq_mail")
    assert (there.value, there.reason) == ("a@b.c", "is already taken")
    assert str(there).startswith("It is no good.")


@pytest.mark.parametrize("kind", [errors.InvalidValue, errors.FailedAssertion])
def test_a_refused_value_is_told_in_the_model_s_own_words(kind: type[errors.InvalidValue]) -> None:
    """Applications show the text of their own validators: nothing is added."""
    assert str(kind("Only small letters, please")) == "Only small letters, please"
    assert isinstance(kind(""), ValueError)


def test_what_was_rolled_back_is_said() -> None:
    """The session sets it, and the text tells it in front of the code."""
    error = errors.BrokenSession("Caught.")
    assert str(error) == "Caught. [retort:broken-session]"
    error.rolled_back = "transaction"
    assert str(error) == "Caught. The transaction was rolled back. [retort:broken-session]"
    assert isinstance(error, exc.PendingRollbackError)


@pytest.mark.parametrize("kind", [errors.RetryInTransaction, errors.TransactionOpen])
def test_a_wrong_use_of_transactions_is_an_invalid_request(kind: type[errors.RetortError]) -> None:
    """As in SQLAlchemy, which says so of what its sessions can't do."""
    assert issubclass(kind, exc.InvalidRequestError)
    assert str(kind("No.")) == f"No. [retort:{kind.code}]"
