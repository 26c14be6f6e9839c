"""What a failed statement was to write, or to lock: verb, table and values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import ExceptionContext

from flask_retort._sa_compat import locks_rows

Verb = Literal["INSERT", "UPDATE", "DELETE"]

_NAME = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[\w$]+)'
_WRITE = re.compile(
    rf"\b(?:(?P<INSERT>INSERT\s+(?:(?:OR\s+)?\w+\s+)?INTO|REPLACE\s+INTO)"
    rf"|(?P<DELETE>DELETE\s+FROM)|(?P<UPDATE>(?<!\bFOR\s)(?<!\bKEY\s)UPDATE))\s+(?:ONLY\s+)?"
    rf"(?:(?P<schema>{_NAME})\.)?(?P<table>{_NAME})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement that writes, or locks rows of one table, as far as it is known.

    :param verb: None for a statement that does not write, or none at all, as at COMMIT.
    :param table: the table object of a Core or ORM statement.
    :param schema: as written in the text of any other statement.
    :param table_name: likewise.
    :param rows: the values of a Core or ORM statement, by the columns' keys, before they are
        converted for the driver. WHERE clauses have names of their own.
    """

    verb: Verb | None = None
    table: sa.Table[Any] | None = None
    schema: str | None = None
    table_name: str | None = None
    rows: Sequence[Mapping[str, Any]] = ()


def sent(context: ExceptionContext) -> Sent:
    """What the statement of a failure was to write, or to lock."""
    execution: Any = context.execution_context
    compiled = getattr(execution, "compiled", None)
    statement: Any = getattr(compiled, "statement", None)
    verb = _verb(statement)
    if verb is not None and _is_table(statement.table):
        return Sent(verb, statement.table, rows=execution.compiled_parameters or ())
    found = _WRITE.search(context.statement or "")
    if found is None or found.lastgroup is None:
        return Sent(table=_locked_table(statement))
    groups = found.groupdict()
    written: Verb = "INSERT" if groups["INSERT"] else "DELETE" if groups["DELETE"] else "UPDATE"
    return Sent(written, None, _plain(groups["schema"]), _plain(groups["table"]))


def _locked_table(statement: Any) -> sa.Table[Any] | None:
    """That of a locking SELECT, None if it reads others too."""
    if not isinstance(statement, sa.Select) or not locks_rows(statement):
        return None
    tables: Sequence[Any] = statement.get_final_froms()
    if len(tables) != 1 or not _is_table(tables[0]):
        return None
    metadata: sa.MetaData = tables[0].metadata  # a table in an ORM statement is a copy
    return metadata.tables.get(tables[0].key)


def _is_table(target: object) -> bool:
    return isinstance(target, sa.Table)


def _verb(statement: object) -> Verb | None:
    if isinstance(statement, sa.Insert):
        return "INSERT"
    if isinstance(statement, sa.Update):
        return "UPDATE"
    return "DELETE" if isinstance(statement, sa.Delete) else None


def _plain(name: str | None) -> str | None:
    """A name without its quotes."""
    if not name or name[0] not in '"`[':
        return name
    return name[1:-1].replace(name[-1] * 2, name[-1])
