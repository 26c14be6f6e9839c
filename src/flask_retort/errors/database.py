"""What a database refuses or gives up: one class for each kind, the same on every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import exc
from sqlalchemy.orm.exc import StaleDataError

from .root import RetortError

RolledBack = Literal["savepoint", "transaction"]


@dataclass(frozen=True, slots=True)
class About:
    """What an error is about, in the words of the models.

    :param model: the mapped class, None where the table has none or is unknown.
    :param fields: names of its attributes; of columns, where there is no model.
    :param constraint: the name that the database knows.
    :param table: the table's name, without schema.
    :param value: what was refused, a tuple for several fields; None where it is not known, or is
        not safe to show: long, binary, or of a column whose name or ``info`` says it is a secret.
    :param reason: what a user may be told, without a subject: "is already taken".
    """

    model: type[Any] | None = None
    fields: tuple[str, ...] = ()
    constraint: str | None = None
    table: str | None = None
    value: Any = None
    reason: str = ""


_NOTHING = About()


class DatabaseFailure(RetortError):  # noqa: N818 - names the state
    """What all errors of a database have in common; each is also of SQLAlchemy's own class."""

    about: About = _NOTHING
    rolled_back: RolledBack | None = None
    """What the session has rolled back because of the error, back to where it began."""

    @property
    def model(self) -> type[Any] | None:
        """The mapped class that the error is about, where that is known."""
        return self.about.model

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the attributes that the error is about, in the constraint's order."""
        return self.about.fields

    @property
    def constraint(self) -> str | None:
        """The constraint's name in the database."""
        return self.about.constraint

    @property
    def value(self) -> Any:
        """What was refused, where it is known and safe to show; a tuple for several fields."""
        return self.about.value

    @property
    def reason(self) -> str:
        """What a user may be told of it; nothing of the database is in it."""
        return self.about.reason

    def __str__(self) -> str:
        said = "" if self.rolled_back is None else f" The {self.rolled_back} was rolled back."
        return f"{self.message}{said} [retort:{self.code}]"


def first_sentence(error: BaseException) -> str:
    """What has happened, without what to write: for the message of an error that came of it."""
    said = str(getattr(error, "message", error)).partition("\n")[0]
    return said.partition(". The database says ")[0].rstrip(".")


class StatementFailure(DatabaseFailure, exc.DBAPIError):
    """An error that the driver reported.

    :param message: the sentence shown; no SQL is added to it.
    :param error: SQLAlchemy's own error, whose statement, parameters, driver's error and
        ``connection_invalidated`` are taken over.
    :param about: what it is about.
    """

    code: str = "statement"

    def __init__(self, message: str, error: exc.DBAPIError, about: About = _NOTHING) -> None:
        exc.DBAPIError.__init__(
            self,
            error.statement,
            error.params,
            error.orig or error,
            hide_parameters=error.hide_parameters,
            connection_invalidated=error.connection_invalidated,
            ismulti=error.ismulti,
        )
        self.message = message
        self.args = (message,)
        self.about = about
        self._error = error

    @classmethod
    def of(cls, message: str, error: exc.DBAPIError, about: About = _NOTHING) -> StatementFailure:
        """This error, and SQLAlchemy's class for what the driver raised, where that is another.

        The drivers do not agree: PyMySQL raises an ``OperationalError`` for a check constraint,
        which is an ``IntegrityError`` everywhere else. Handlers of either class catch it.
        """
        return _also(cls, type(error))(message, error, about)

    def __reduce__(self) -> Any:
        kind = next(cls for cls in type(self).__mro__ if not vars(cls).get("_is_made"))
        return _restore, (kind, self.message, self._error, self.about, self.rolled_back)


_made: dict[tuple[type, type], type[StatementFailure]] = {}
"""Classes that are both of ours and of another one of SQLAlchemy's, each made once."""


def _also(kind: type[StatementFailure], other: type[exc.DBAPIError]) -> type[StatementFailure]:
    if issubclass(kind, other) or other.__module__ != exc.__name__:
        return kind
    if (kind, other) not in _made:
        names = {"__module__": kind.__module__, "__doc__": kind.__doc__, "_is_made": True}
        _made.setdefault((kind, other), type(kind.__name__, (kind, other), names))
    return _made[kind, other]


def _restore(
    kind: type[StatementFailure],
    message: str,
    error: exc.DBAPIError,
    about: About,
    rolled_back: RolledBack | None,
) -> StatementFailure:
    restored = kind.of(message, error, about)
    restored.rolled_back = rolled_back
    return restored


class UniqueViolation(StatementFailure, exc.IntegrityError):
    """Another row has the same value, or values, under a unique constraint or index."""

    code: str = "unique"


class ForeignKeyViolation(StatementFailure, exc.IntegrityError):
    """A row refers to one that is not there, or one that others refer to was to go.

    ``direction`` tells which: ``"missing"``, the row that ``fields`` refer to does not
    exist; ``"referenced"``, rows of ``model`` still refer by them to one that was to be deleted
    or to get another key. None where it can't be known, as at a COMMIT on SQLite.
    """

    code: str = "foreign-key"
    direction: Literal["missing", "referenced"] | None = None

    def __reduce__(self) -> Any:
        restore, arguments = super().__reduce__()
        return restore, arguments, {"direction": self.direction}


class NotNullViolation(StatementFailure, exc.IntegrityError):
    """A column that must have a value got none."""

    code: str = "not-null"


class CheckViolation(StatementFailure, exc.IntegrityError):
    """A row does not satisfy a check constraint."""

    code: str = "check"


class ExclusionViolation(StatementFailure, exc.IntegrityError):
    """A row overlaps another one under an exclusion constraint; PostgreSQL alone has them."""

    code: str = "exclusion"


class ValueTooLong(StatementFailure, exc.DataError):
    """A text or binary value has more characters or bytes than its column takes."""

    code: str = "too-long"


class OutOfRange(StatementFailure, exc.DataError):
    """A value is beyond what the column's type holds, or is none of that type at all."""

    code: str = "out-of-range"


class Deadlock(StatementFailure, exc.OperationalError):
    """Two transactions waited for each other; the database has ended this one."""

    code: str = "deadlock"


class SerializationFailure(StatementFailure, exc.OperationalError):
    """Another transaction has changed what this one has read; it can be run again."""

    code: str = "serialization"


class LockTimeout(StatementFailure, exc.OperationalError):
    """A lock was not free within the time one may wait, or at once where one may not."""

    code: str = "lock-timeout"


class StatementTimeout(StatementFailure, exc.OperationalError):
    """A statement ran longer than it may, or was cancelled."""

    code: str = "statement-timeout"


class ReadOnlyViolation(StatementFailure, exc.OperationalError):
    """A write in a transaction, or to a database, that is read only."""

    code: str = "read-only"


class BrokenSession(DatabaseFailure, exc.PendingRollbackError):
    """A statement after an earlier one has failed whose error was caught, in the same transaction.

    The database, or the session, has given the transaction up; it takes nothing but a rollback.
    """

    code: str = "broken-session"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None


class StaleVersion(DatabaseFailure, StaleDataError):  # noqa: N818 - names the state
    """The row was changed or deleted by someone else since it was read.

    :param message: the sentence shown.
    :param about: what it is about.
    """

    code: str = "stale-version"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None

    def __init__(self, message: str, about: About = _NOTHING) -> None:
        super().__init__(message)
        self.about = about


class NotFound(DatabaseFailure, exc.NoResultFound):
    """There is no row with this key.

    :param message: the sentence shown.
    :param about: the model, its key's attributes as fields, and the key as value.
    """

    code: str = "not-found"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None

    def __init__(self, message: str, about: About = _NOTHING) -> None:
        super().__init__(message)
        self.about = about


class InvalidValue(DatabaseFailure, ValueError):  # noqa: N818 - names the state
    """What a model's ``@validates`` method has refused, with the model and the field.

    Its text is the method's own, without a code: applications show it.

    :param message: the method's own text.
    :param about: what it is about; the reason is the same text.
    """

    code = "invalid-value"

    def __init__(self, message: str, about: About = _NOTHING) -> None:
        super().__init__(message)
        self.about = about

    def __str__(self) -> str:
        return self.message


class FailedAssertion(InvalidValue, AssertionError):  # noqa: N818 - names the state
    """What a model's ``@validates`` method has refused by ``assert``."""

    code = "failed-assertion"


class RetryInTransaction(RetortError, exc.InvalidRequestError):  # noqa: N818 - names the state
    """A function that may be run again was called inside a transaction, which can't begin anew."""

    code: str = "retry-in-transaction"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None


class TransactionOpen(RetortError, exc.InvalidRequestError):  # noqa: N818 - names the state
    """A transaction with options of its own can't begin: one with changes is open already."""

    code: str = "transaction-open"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None
