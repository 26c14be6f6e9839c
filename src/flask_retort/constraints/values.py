"""Which values of a row may be shown, and which can't be what their column takes."""

from __future__ import annotations

import datetime
import decimal
import enum
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

LONGEST = 200
"""Characters of a value that is shown."""

_SCALARS = (
    str,
    int,
    float,
    decimal.Decimal,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    enum.Enum,
)
_SECRET_PARTS = re.compile(r"passw|secret|token|credential|iban|private|signature", re.I)
_SECRET_WORDS = {
    *("auth", "card", "cookie", "cvc", "cvv", "digest", "hash", "key", "mfa", "otp", "pan", "pass"),
    *("passphrase", "pin", "pwd", "salt", "session", "ssn", "totp"),
}
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def is_secret(column: sa.Column[Any], *names: str) -> bool:
    """Whether the column holds what nobody may read in a log.

    ``info={"sensitive": True}``, or False, says so; else its name does, or one of the others.
    """
    said = column.info.get("sensitive")
    if said is not None:
        return bool(said)
    return any(is_secret_name(name) for name in (column.name, *names))


def is_secret_name(name: str) -> bool:
    """Whether one of the words in a name is that of a secret."""
    words = {word.lower() for word in _WORDS.findall(name)}
    return bool(_SECRET_PARTS.search(name) or words & _SECRET_WORDS)


def shown(value: Any) -> Any:
    """The value if it is short and no binary, else None."""
    return value if isinstance(value, _SCALARS) and len(str(value)) <= LONGEST else None


def shown_of(columns: Iterable[sa.Column[Any]], row: Mapping[str, Any]) -> Any:
    """The values of these columns in a row, a tuple if there are several.

    None where one is not in the row or can't be shown.
    """
    values = tuple(shown(row.get(column.key)) for column in columns)
    if not values or None in values:
        return None
    return values[0] if len(values) == 1 else values


def unfit(
    columns: Iterable[sa.Column[Any]], rows: Iterable[Mapping[str, Any]], *, backend: str
) -> tuple[sa.Column[Any], ...]:
    """The one column that has a value which its type does not take; empty if there are others.

    For back ends that say that a value is too long, or no number, and not which.
    """
    columns, rows = tuple(columns), tuple(rows)
    for fits in (_is_sendable, _fits):  # in this order: what can't be sent, no server has seen
        found = {
            column.key: column
            for row in rows
            for column in columns
            if column.key in row and not fits(column.type, row[column.key], backend)
        }
        if found:
            return tuple(found.values()) if len(found) == 1 else ()
    return ()


def _is_sendable(type_: Any, value: Any, backend: str) -> bool:
    """Whether it is no text with half of a surrogate pair, or on PostgreSQL with a NUL."""
    if not isinstance(value, str) or isinstance(type_, sa.JSON):  # which escapes both
        return True
    return not _SURROGATE.search(value) and not (backend == "postgresql" and "\0" in value)


def _fits(type_: Any, value: Any, backend: str) -> bool:
    if isinstance(type_, sa.Integer):
        return _fits_integer(64 if backend == "sqlite" else _bits(type_), value)
    if isinstance(type_, sa.Numeric):
        return _fits_numeric(type_.precision, type_.scale or 0, value)
    if isinstance(type_, sa.String):
        return not isinstance(value, str) or type_.length is None or len(value) <= type_.length
    if isinstance(type_, sa.Date | sa.DateTime | sa.Time | sa.Uuid):
        return not isinstance(value, str)
    return True


def _bits(type_: sa.Integer) -> int:
    return (
        64 if isinstance(type_, sa.BigInteger) else 16 if isinstance(type_, sa.SmallInteger) else 32
    )


def _fits_integer(bits: int, value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"\s*[-+]?\d+\s*", value) is not None
    limit: int = 1 << (bits - 1)
    return not isinstance(value, int) or -limit <= value < limit


def _fits_numeric(precision: int | None, scale: int, value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", value, re.I) is not None
    if precision is None or not isinstance(value, int | float | decimal.Decimal):
        return True
    return bool(abs(value) < 10 ** (precision - scale))
