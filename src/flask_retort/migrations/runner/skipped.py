"""The result of a statement that an earlier run has made: it is not known any more."""

from __future__ import annotations

from typing import Any, NoReturn

from sqlalchemy.engine import CursorResult

from flask_retort.errors import CannotResume


def refuse(result: CursorResult[Any], revision: str, statement: str) -> None:
    """Let the result raise where the script asks it for anything.

    An invented result, such as a row count of 0, would be taken for the truth: a script that
    updates in batches until none is left would stop at once, and leave rows behind.
    """
    result.__class__ = _Unknown
    _MESSAGES[id(result.context)] = result.context, _message(revision, statement)


def forget_all() -> None:
    """The run is over, and nobody asks any more."""
    _MESSAGES.clear()


def _message(revision: str, statement: str) -> str:
    return (
        f"Revision {revision} can't go on by itself: its script asks for the result of"
        f" '{statement}', which an earlier run has made, and results are not kept. Do by hand what"
        f" is missing of the revision and write 'flask db stamp {revision}'; or let the script do"
        " without the result, for example by asking with a SELECT, which is always run again."
    )


# By the execution context, which is kept too so that its number is not given to another one.
_MESSAGES: dict[int, tuple[Any, str]] = {}


def _refused(result: CursorResult[Any], *_: Any, **__: Any) -> NoReturn:
    raise CannotResume(_MESSAGES[id(result.context)][1])


_VALUES = (
    "inserted_primary_key",
    "inserted_primary_key_rows",
    "lastrowid",
    "returned_defaults",
    "returned_defaults_rows",
    "rowcount",
)
_ROWS = (
    "__iter__",
    "all",
    "fetchall",
    "fetchmany",
    "fetchone",
    "first",
    "mappings",
    "one",
    "one_or_none",
    "partitions",
    "scalar",
    "scalar_one",
    "scalar_one_or_none",
    "scalars",
    "tuples",
)
_REFUSING: dict[str, Any] = {
    "__slots__": (),  # or an object that exists could not become one of this class
    **dict.fromkeys(_VALUES, property(_refused)),
    **dict.fromkeys(_ROWS, _refused),
}
_Unknown: Any = type("_Unknown", (CursorResult,), _REFUSING)
