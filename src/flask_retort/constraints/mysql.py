"""MySQL and MariaDB: the error number says what has failed, the message which column or key.

PyMySQL and mysqlclient give the same two: ``args`` is number and message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flask_retort import errors

from .diagnosis import Diagnosis, one_line

_KINDS: dict[int, type[errors.StatementFailure]] = {
    1062: errors.UniqueViolation,
    1586: errors.UniqueViolation,
    1216: errors.ForeignKeyViolation,
    1217: errors.ForeignKeyViolation,
    1451: errors.ForeignKeyViolation,
    1452: errors.ForeignKeyViolation,
    1048: errors.NotNullViolation,
    1364: errors.NotNullViolation,
    3819: errors.CheckViolation,
    4025: errors.CheckViolation,
    1406: errors.ValueTooLong,
    1264: errors.OutOfRange,
    1265: errors.OutOfRange,
    1292: errors.OutOfRange,
    1365: errors.OutOfRange,
    1366: errors.OutOfRange,
    1690: errors.OutOfRange,
    1213: errors.Deadlock,
    1020: errors.SerializationFailure,
    1205: errors.LockTimeout,
    3572: errors.LockTimeout,
    1317: errors.StatementTimeout,
    1969: errors.StatementTimeout,
    3024: errors.StatementTimeout,
    1792: errors.ReadOnlyViolation,
    1290: errors.ReadOnlyViolation,
}
_ANY_OPTION = 1290
"""The server runs with an option that forbids the statement; the message says which."""

_FOREIGN_KEY = re.compile(
    r"\((?:`(?P<schema>[^`]+)`\.)?`(?P<table>[^`]+)`, CONSTRAINT `(?P<name>(?:[^`]|``)+)`"
    r" FOREIGN KEY \((?P<columns>[^)]+)\)"
)
_CHECK = re.compile(r"`(?P<name>(?:[^`]|``)+)`.*`(?P<schema>[^`]+)`\.`(?P<table>[^`]+)`")
_COLUMN_OF_VALUE = re.compile(r"(`(?:[^`]|``)+`\.`(?:[^`]|``)+`\.`(?:[^`]|``)+`|column '[^']+')")
_BACKQUOTED = re.compile(r"`((?:[^`]|``)+)`")
_QUOTED = re.compile(r"'([^']*)'")


def diagnose(error: BaseException) -> Diagnosis | None:
    """What a driver's error says; None for one that is not of a kind of ours."""
    number, text = (*error.args, None, None)[:2]
    if not isinstance(number, int) or not isinstance(text, str):
        return None
    kind = _KINDS.get(number)
    if kind is None or (number == _ANY_OPTION and not re.search("read.only", text)):
        return None
    found = Diagnosis(kind, f"({number}, {one_line(text)!r})")
    names = _NAMES.get(kind)
    return names(found, number, text) if names else found


def _of_unique(found: Diagnosis, number: int, text: str) -> Diagnosis:
    """As in "Duplicate entry 'x' for key 'users.email'"; MariaDB leaves the table out."""
    head, is_english, name = text.rpartition(" for key '")
    if not is_english:
        name = "".join(_QUOTED.findall(text)[-1:])
    name = name.removesuffix("'")
    bare = f"({number}, \"Duplicate entry for key '{name}'\")"
    entry = head.removeprefix("Duplicate entry '").removesuffix("'") if is_english else None
    return replace(found, constraint=name or None, said_without_values=bare, entry=entry)


def _of_foreign_key(found: Diagnosis, number: int, text: str) -> Diagnosis:
    found = replace(found, direction="missing" if number in (1216, 1452) else "referenced")
    key = _FOREIGN_KEY.search(text)
    if key is None:
        return found
    return replace(
        found,
        schema=key["schema"],
        table=key["table"],
        columns=tuple(_BACKQUOTED.findall(key["columns"])),
        constraint=key["name"].replace("``", "`"),
    )


def _of_check(found: Diagnosis, number: int, text: str) -> Diagnosis:
    """As in "CONSTRAINT `name` failed for `db`.`t`"; MySQL: "Check constraint 'n' is violated"."""
    check = _CHECK.search(text)
    if check:
        name = check["name"].replace("``", "`")
        return replace(found, schema=check["schema"], table=check["table"], constraint=name)
    quoted = re.search("'(.*)'", text)
    return replace(found, constraint=quoted[1]) if quoted else found


def _of_column(found: Diagnosis, number: int, text: str) -> Diagnosis:
    """As in "Column 'a' cannot be null", "Data too long for column 'a' at row 1"."""
    quoted = _QUOTED.findall(text)
    return replace(found, columns=tuple(quoted[-1:]))


def _of_value(found: Diagnosis, number: int, text: str) -> Diagnosis:
    """As in "Incorrect integer value: 'x' for column `db`.`t`.`a` at row 1", value first."""
    columns = _COLUMN_OF_VALUE.findall(text)
    if not columns:
        return found
    names = [*_BACKQUOTED.findall(columns[-1]), *_QUOTED.findall(columns[-1])]
    table = names[-2] if len(names) > 1 else None
    bare = None if number == 1264 else f"({number}, 'Incorrect value for column {names[-1]}')"
    return replace(found, table=table, columns=(names[-1],), said_without_values=bare)


_NAMES: dict[type[Any], Callable[[Diagnosis, int, str], Diagnosis]] = {
    errors.UniqueViolation: _of_unique,
    errors.ForeignKeyViolation: _of_foreign_key,
    errors.CheckViolation: _of_check,
    errors.NotNullViolation: _of_column,
    errors.ValueTooLong: _of_column,
    errors.OutOfRange: _of_value,
}
