"""PostgreSQL: the SQLSTATE says what has failed, the diagnostics which constraint.

Codes: appendix A of PostgreSQL's manual. psycopg and psycopg2 give both by the same names.
"""

from __future__ import annotations

import re
from typing import Any

from flask_retort import errors

from .diagnosis import Diagnosis, Direction, one_line

_KINDS: dict[str, type[errors.StatementFailure | errors.BrokenSession]] = {
    "23505": errors.UniqueViolation,
    "23503": errors.ForeignKeyViolation,
    "23001": errors.ForeignKeyViolation,  # ON DELETE RESTRICT, since PostgreSQL 18
    "23502": errors.NotNullViolation,
    "23514": errors.CheckViolation,
    "23P01": errors.ExclusionViolation,
    "22001": errors.ValueTooLong,
    "22003": errors.OutOfRange,
    "22007": errors.OutOfRange,
    "22008": errors.OutOfRange,
    "22012": errors.OutOfRange,
    "22021": errors.OutOfRange,
    "22P02": errors.OutOfRange,
    "22P05": errors.OutOfRange,
    "40P01": errors.Deadlock,
    "40001": errors.SerializationFailure,
    "55P03": errors.LockTimeout,
    "57014": errors.StatementTimeout,
    "25006": errors.ReadOnlyViolation,
    "25P02": errors.BrokenSession,
}
_KEY = re.compile(r"\((.+?)\)=\(")
"""The columns in "Key (a, b)=(1, 2) already exists.", in whatever language the rest is."""
_QUOTED_VALUE = re.compile(r': ".*"', re.DOTALL)


def diagnose(error: BaseException) -> Diagnosis | None:
    """What a driver's error says; None for one that is not of a kind of ours."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    kind = _KINDS.get(state) if isinstance(state, str) else _kind_without_state(error)
    if kind is None:
        return None
    diag = getattr(error, "diag", None)
    primary = one_line(getattr(diag, "message_primary", None) or error)
    detail = getattr(diag, "message_detail", None) or ""
    # The details of other kinds hold the whole row.
    key = _KEY.search(detail)
    direction = _direction(kind, diag)
    is_of_this_table = kind is not errors.ForeignKeyViolation or direction == "missing"
    return Diagnosis(
        kind,
        f"{primary} DETAIL: {one_line(detail)}" if key else primary,
        _QUOTED_VALUE.sub("", primary),
        getattr(diag, "schema_name", None),
        getattr(diag, "table_name", None),
        _columns(diag, key if is_of_this_table else None),
        getattr(diag, "constraint_name", None),
        direction,
    )


def _kind_without_state(error: BaseException) -> type[errors.StatementFailure] | None:
    """Raised by the driver itself: psycopg's own DataError, and psycopg2's ValueError."""
    return errors.OutOfRange if "NUL (0x00)" in str(error) else None


def _columns(diag: Any, key: re.Match[str] | None) -> tuple[str, ...]:
    column = getattr(diag, "column_name", None)
    if column:
        return (column,)
    return tuple(name.strip('"') for name in key[1].split(", ")) if key else ()


def _direction(kind: type[Exception], diag: Any) -> Direction | None:
    """Which of the two statements the server has found wrong; None in another language.

    The diagnostics name the table that has the foreign key in both cases. Only the message of a
    row that others refer to names it behind the constraint.
    """
    constraint = f'"{getattr(diag, "constraint_name", None)}"'
    primary = getattr(diag, "message_primary", None) or ""
    if kind is not errors.ForeignKeyViolation or constraint not in primary:
        return None
    behind = primary.rpartition(constraint)[2]
    return "referenced" if f'"{diag.table_name}"' in behind else "missing"
