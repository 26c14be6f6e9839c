"""SQLite: the extended result code says what has failed, the message which columns."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace

from flask_retort import errors

from .diagnosis import Diagnosis, one_line

_CONSTRAINTS = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: errors.UniqueViolation,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: errors.UniqueViolation,
    sqlite3.SQLITE_CONSTRAINT_ROWID: errors.UniqueViolation,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: errors.ForeignKeyViolation,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: errors.NotNullViolation,
    sqlite3.SQLITE_CONSTRAINT_CHECK: errors.CheckViolation,
    3091: errors.OutOfRange,  # SQLITE_CONSTRAINT_DATATYPE, which Python 3.11 has no name for
    sqlite3.SQLITE_BUSY_SNAPSHOT: errors.SerializationFailure,
}
_PRIMARY = {
    sqlite3.SQLITE_TOOBIG: errors.ValueTooLong,
    sqlite3.SQLITE_MISMATCH: errors.OutOfRange,
    sqlite3.SQLITE_BUSY: errors.LockTimeout,
    sqlite3.SQLITE_LOCKED: errors.LockTimeout,
    sqlite3.SQLITE_INTERRUPT: errors.StatementTimeout,
    sqlite3.SQLITE_READONLY: errors.ReadOnlyViolation,
}
_INDEX = re.compile(r"index '(.*)'")
_STRICT = re.compile(r"cannot store .* value in .* column ([^.]+)\.(.+)")


def diagnose(error: BaseException) -> Diagnosis | None:
    """What a sqlite3 error says; None for one that is not of a kind of ours."""
    said = one_line(error)
    if isinstance(error, OverflowError):
        # Raised by the driver itself, before SQLite sees the number.
        return Diagnosis(errors.OutOfRange, said)
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(code, int):
        return None
    kind = _CONSTRAINTS.get(code) or _PRIMARY.get(code & 0xFF)
    return None if kind is None else _with_names(Diagnosis(kind, said))


def _with_names(found: Diagnosis) -> Diagnosis:
    if found.kind is errors.OutOfRange:
        strict = _STRICT.fullmatch(found.said)
        return replace(found, table=strict[1], columns=(strict[2],)) if strict else found
    if found.kind not in _CONSTRAINTS.values():
        return found
    subject = found.said.partition("constraint failed: ")[2]
    if found.kind is errors.CheckViolation:
        return replace(found, constraint=subject or None)
    index = _INDEX.fullmatch(subject)
    if index:
        return replace(found, constraint=index[1].replace("''", "'"))
    parts = [part.partition(".") for part in subject.split(", ") if "." in part]
    if not parts:
        return found
    return replace(found, table=parts[0][0], columns=tuple(column for _, _, column in parts))
