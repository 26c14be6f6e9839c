"""What to say when a revision can't go on: which one, where, why, and what is left of it."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from sqlalchemy import exc

from flask_retort.errors import (
    DatabaseAhead,
    HalfDone,
    NotAllowed,
    RevisionFailed,
    TableLocked,
)
from flask_retort.migrations._alembic import Step
from flask_retort.migrations.backends import Backend

from .journal import Mark


def ahead(head: str, database: str) -> DatabaseAhead:
    """The database is at a revision that no file has."""
    return DatabaseAhead(
        f"{_named(database).capitalize()} is at revision {head}, which this code does not have."
        " Usually an older version of the application is being deployed, or the file was not"
        " committed. Deploy the code that has it; or, to go back, run 'flask db downgrade' with"
        f" that code first. If the file of {head} was deleted for good and the schema is right,"
        " write 'flask db stamp --purge REVISION'."
    )


def denied(error: exc.DBAPIError, table: str, database: str) -> NotAllowed:
    """The version table or the journal may not be read."""
    return NotAllowed(
        f"The table {table} of {_named(database)} can't be read, the driver says {_said(error)!r}."
        " Grant the permission, or run 'flask db' with a user that has it."
    )


def half_done(left: Mark, database: str, target: str) -> HalfDone:
    """Something else has to be finished first."""
    way = "downgrade" if left.downgrade else "upgrade"
    finish = f"flask db {way} {target}"
    return HalfDone(
        f"The {way} of revision {left.revision} has run in part on {_named(database)}:"
        f" {_statements(left)}. Finish it first: '{finish}'. Or make the schema right by hand and"
        " write 'flask db stamp REVISION'."
    )


def explained(
    step: Step,
    error: Exception,
    *,
    database: str,
    left: Mark | None,
    backend: Backend,
    attempts: int,
    blockers: tuple[str, ...],
    is_lost: bool,
    is_left_known: bool,
) -> RevisionFailed:
    """The error for the user, of the class that fits the cause."""
    what = f"Revision {_titled(step)} failed on {_named(database)}{_place(step, error)}"
    rest = _what_is_left(left) if is_left_known else _NOT_KNOWN
    if is_lost:
        return RevisionFailed(
            f"{what}: the connection was lost, the driver says {_said(error)!r}. What the server"
            " had not committed is rolled back. Run the command again: it finds out how far the"
            " revision came, and goes on there. If the script does long work of its own between"
            " two statements, the server may have ended it for that: RETORT_MIGRATIONS ="
            " {'idle_timeout': seconds} allows more."
        )
    if isinstance(error, exc.DBAPIError) and backend.is_transient(error):
        who = f" It was kept waiting by {'; '.join(blockers)}." if blockers else ""
        return TableLocked(
            f"{what}: it met a lock in {attempts} of {attempts} attempts, the driver says"
            f" {_said(error)!r}.{who} {rest} Run the command again when the other transaction has"
            " ended, or end it; RETORT_MIGRATIONS = {'lock_timeout': ..., 'retries': ...} sets how"
            " long and how often it is tried."
        )
    if isinstance(error, exc.DBAPIError) and backend.is_denied(error):
        return NotAllowed(
            f"{what}: the database's user may not do that, the driver says {_said(error)!r}."
            f" {rest} Grant the permission, or run 'flask db' with a user that has it."
        )
    return RevisionFailed(f"{what}: {_said(error)}. {rest} {_advice(error)}")


ADVICE = (
    (
        r"cannot (be executed|run) (inside|within) a transaction block|from within a transaction",
        "Such a statement can't be in a transaction. Write it in a block of its own: with"
        " op.get_context().autocommit_block(): ...",
    ),
    (
        r"statement timeout|max_statement_time",
        "It took longer than a statement may. If it has to, allow more: RETORT_MIGRATIONS ="
        " {'statement_timeout': seconds}; 0 is no limit.",
    ),
)
"""Pattern in a driver's message, and what to write instead."""


def _advice(error: Exception) -> str:
    for pattern, advice in ADVICE:
        if re.search(pattern, str(error), re.IGNORECASE):
            return advice
    return "Correct the cause and run the command again."


def refused(step: Step, error: RevisionFailed, database: str) -> RevisionFailed:
    """The refusal of a back end, with the revision that it refuses."""
    return type(error)(
        f"Revision {_titled(step)} is refused on {_named(database)}. {error.message}",
        code=error.code,
    )


_NOT_KNOWN = (
    "What is left of it could not be read; 'flask db status' tells, and the next run goes on there."
)


def _what_is_left(left: Mark | None) -> str:
    if left is None:
        return "All that it did is rolled back."
    return f"Not all of it can be rolled back: {_statements(left)}, and the next run goes on there."


def _statements(left: Mark) -> str:
    made = "1 statement is made" if left.done == 1 else f"{left.done} statements are made"
    last = f" (the last one is '{left.last}')" if left.last else ""
    running = f"; '{_in_one_line(left.running)}' was begun" if left.running else ""
    return f"{made}{last}{running}"


def _in_one_line(statement: str) -> str:
    return " ".join(statement.split())[:200]


def _titled(step: Step) -> str:
    title = (step.doc or "").strip().rstrip(".")
    return f"{step.revision.revision} ({title})" if title else str(step.revision.revision)


def _place(step: Step, error: Exception) -> str:
    """File and line of the script where the error came from."""
    path = step.revision.path
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename) == Path(path):
            return f", {Path(path).name} line {frame.lineno}"
    return f", {Path(path).name}"


def _said(error: Exception) -> str:
    """The error in one line; of a driver's error, only what the driver says."""
    if isinstance(error, exc.DBAPIError) and error.orig is not None:
        said = str(error.orig)
        if len(error.orig.args) == 2 and isinstance(error.orig.args[0], int):  # MySQL's drivers
            said = f"{error.orig.args[1]} ({error.orig.args[0]})"
        return " ".join(_SHOWN_PLACE.sub("", said).split())
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


_SHOWN_PLACE = re.compile(r"^LINE \d+:.*\n\s*\^\s*$", re.MULTILINE)
"""Where PostgreSQL shows the statement's line with a mark below: useless in one line."""


def _named(database: str) -> str:
    return f"database {database!r}" if database else "the default database"
