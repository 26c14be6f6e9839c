"""What is said of each kind of failure: to the developer, and to a user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """The parts of a message that one kind has for its own.

    :param cause: what happened, behind the names of model and fields.
    :param write: what to write.
    :param reason: what a user may be told, without a subject.
    """

    cause: str
    write: str
    reason: str


_CATCH = "Check it before, or catch {name} and tell the user error.reason."
_AGAIN = "db.transaction(retry=3) around a function runs the unit of work again."

TEXTS: Mapping[str, Text] = {
    "unique": Text(
        "another row has the same value already, and it must be unique",
        "Catch {name} and tell the user error.reason; to look for the row before does not help"
        " against another request that does the same.",
        "is already taken",
    ),
    "foreign-key": Text(
        "the row refers to one that does not exist, or others still refer to it",
        "Catch {name} and tell the user error.reason.",
        "does not exist, or is still in use",
    ),
    "foreign-key-missing": Text(
        "the row that it refers to does not exist",
        "Write that row first, or catch {name} and tell the user error.reason.",
        "does not exist",
    ),
    "foreign-key-referenced": Text(
        "rows still refer by it to the row that was to be deleted, or to get another key",
        "Delete or change those rows first, or give the relationship cascade='all, delete-orphan'"
        " and the foreign key ondelete='CASCADE'.",
        "is still in use",
    ),
    "not-null": Text(
        "there is no value, and the column must have one",
        "Give it a value, or its column a default or nullable=True.",
        "is required",
    ),
    "not-null-reference": Text(
        "it was to refer to nothing any more, and the column must have a value. SQLAlchemy sends"
        " that where the object that it refers to is deleted, or this one is taken out of its"
        " collection",
        "If it goes with the other, give the relationship cascade='all, delete-orphan', or"
        " passive_deletes='all' and the foreign key ondelete='CASCADE'. If it stays, delete or"
        " change it first, or give its column nullable=True.",
        "is required",
    ),
    "check": Text("the row does not satisfy a check constraint", _CATCH, "is not allowed"),
    "exclusion": Text(
        "the row overlaps another one, which an exclusion constraint forbids",
        "Catch {name} and tell the user error.reason.",
        "overlaps another one",
    ),
    "too-long": Text("the value is longer than its column takes", _CATCH, "is too long"),
    "out-of-range": Text(
        "the value is none that its column can hold", _CATCH, "is not a possible value"
    ),
    "deadlock": Text(
        "two transactions waited for each other, and the database has ended this one",
        f"{_AGAIN} Transactions that lock the same rows in the same order never wait so:"
        " db.lock(Model, keys) does.",
        "is in use at the moment",
    ),
    "serialization": Text(
        "another transaction has changed what this one has read", _AGAIN, "is in use at the moment"
    ),
    "lock-timeout": Text(
        "another transaction held a lock for longer than this one may wait",
        f"End transactions soon: commit before waiting for anything else. {_AGAIN}",
        "is in use at the moment",
    ),
    "statement-timeout": Text(
        "the statement ran for longer than it may, or was cancelled",
        "Look at its plan with EXPLAIN, or give it more time.",
        "took too long",
    ),
    "read-only": Text(
        "the transaction, or the database, is read only",
        "Write outside of db.read_only(), to the database that takes writes. With"
        " RETORT_REQUEST_TRANSACTION a GET only reads: write in a POST, or take the view out with"
        " @request_transactions.exempt.",
        "can't be changed",
    ),
    "stale-version": Text(
        "the row was changed or deleted by someone else since it was read",
        f"Read it again and let the user decide, or {_AGAIN}",
        "was changed in the meantime",
    ),
    "broken-session": Text(
        "an earlier statement of the transaction has failed and its error was caught, so that the"
        " database takes nothing but a rollback",
        "Put what may fail into a savepoint, and catch its error outside of that: try: with"
        " db.transaction(): ... except UniqueViolation: ... Outside of a block"
        " db.session.rollback() where it is caught does too.",
        "could not be saved",
    ),
    "invalid-value": Text("the value is refused by the model", "", "is not allowed"),
}
"""By code; what foreign keys are in has more than one."""
