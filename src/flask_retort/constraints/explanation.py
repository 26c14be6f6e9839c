"""A diagnosis in the words of the models: the error to raise, with its message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

from flask_retort.errors import (
    About,
    CheckViolation,
    ForeignKeyViolation,
    NotNullViolation,
    OutOfRange,
    UniqueViolation,
    ValueTooLong,
)

from .diagnosis import Diagnosis
from .matching import Columns, Rule, columns_of, is_of_another_table, match
from .schema import Schema
from .statement import Sent
from .texts import TEXTS, Text
from .values import is_secret, is_secret_name, shown_of, unfit

_LONGEST_SAID = 500
"""Characters of a driver's message that is shown with the values in it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A diagnosis, completed by what statement and models tell.

    :param found: the diagnosis, with a foreign key's direction.
    :param about: what the error is about.
    :param may_show: whether the driver's message may be shown with its values.
    :param text: None: that of the diagnosis's kind.
    """

    found: Diagnosis
    about: About
    may_show: bool
    text: Text | None = None

    def message(self) -> str:
        """What happened, what the database says, and what to write; without a code."""
        said = self.found.said
        if said.endswith("[retort:database-locked]"):  # ours already, inside a driver's error
            return said
        text = self.text or text_of(self.found)
        write = text.write.format(name=self.found.kind.__name__)
        if not self.may_show or len(said) > _LONGEST_SAID:
            said = self.found.said_without_values or said
        subject = _subject(self.about)
        return f"{subject}{text.cause}. The database says {_quoted(said)}. {write}"


def explain(
    found: Diagnosis, sent: Sent, schema: Schema, dialect: Dialect, *, hide_values: bool
) -> Explanation:
    """Find table, constraint, model and attributes, and the value that the caller sent.

    :param hide_values: show no value at all.
    """
    found = _with_whole_name(found, sent)
    table = _table(found, sent, schema)
    found = _with_direction(found, sent, table, schema)
    if table is None:
        return _of_unknown_table(found, sent, hide_values)
    if is_of_another_table(table, found, dialect):
        about = About(constraint=found.constraint, reason=text_of(found).reason)
        return Explanation(found, about, may_show=False)
    found = _without_table(found, table)
    table, rule, columns = _rule(found, sent, table, schema, dialect)
    model, fields = schema.mapped(table, columns)
    is_hidden = hide_values or _is_any_secret(table, columns, fields)
    about = About(
        model,
        fields,
        _name(found, rule, dialect),
        table.name,
        None if is_hidden else _value(sent, table, columns),
        _own_message(found, rule, columns) or text_of(found).reason,
    )
    text = TEXTS["not-null-reference"] if _is_reference_to_none(found, sent, columns) else None
    return Explanation(found, about, not is_hidden, text)


def _of_unknown_table(found: Diagnosis, sent: Sent, hide_values: bool) -> Explanation:
    name = found.table or sent.table_name
    reason = text_of(found).reason
    about = About(None, found.columns, found.constraint, name, reason=reason)
    names = found.columns or (found.constraint or "",)
    return Explanation(found, about, not (hide_values or any(map(is_secret_name, names))))


def text_of(found: Diagnosis) -> Text:
    """The texts of the diagnosis's kind."""
    code = str(found.kind.code)
    return TEXTS[f"{code}-{found.direction}" if found.direction else code]


def _with_whole_name(found: Diagnosis, sent: Sent) -> Diagnosis:
    """Table and column of SQLite's ``table.column``, where there are dots in the table's name."""
    name = sent.table.name if sent.table is not None else sent.table_name
    if found.table is None or name is None or not name.startswith(f"{found.table}."):
        return found
    rest = name.removeprefix(f"{found.table}.") + "."
    if not (found.columns and all(column.startswith(rest) for column in found.columns)):
        return found
    columns = tuple(column.removeprefix(rest) for column in found.columns)
    return replace(found, table=name, columns=columns)


def _table(found: Diagnosis, sent: Sent, schema: Schema) -> sa.Table[Any] | None:
    if found.table is not None:
        table = schema.table(found.table, found.schema, hint=sent.table)
        return sent.table if table is None and _is_partition(found, sent) else table
    if sent.table is not None or sent.table_name is None:
        return sent.table
    return schema.table(sent.table_name, sent.schema)


def _is_partition(found: Diagnosis, sent: Sent) -> bool:
    """Whether the table that the driver names, and the models don't, is part of the statement's."""
    if sent.table is None or not found.columns:
        return False
    return {column.name for column in sent.table.columns}.issuperset(found.columns)


def _without_table(found: Diagnosis, table: sa.Table[Any]) -> Diagnosis:
    """MySQL puts the table in front of the name of a unique key."""
    if found.kind is not UniqueViolation or found.constraint is None:
        return found
    return replace(found, constraint=found.constraint.removeprefix(f"{table.name}."))


def _with_direction(
    found: Diagnosis, sent: Sent, table: sa.Table[Any] | None, schema: Schema
) -> Diagnosis:
    """Where the database does not tell, the statement may."""
    if found.kind is not ForeignKeyViolation or found.direction is not None:
        return found
    if sent.verb == "INSERT":
        return replace(found, direction="missing")
    if sent.verb == "DELETE":
        return replace(found, direction="referenced")
    if sent.verb == "UPDATE" and table is not None:
        refers = bool(table.foreign_key_constraints)
        if not (refers and schema.referring(table)):
            return replace(found, direction="missing" if refers else "referenced")
        if sent.rows:
            keys = {column.key for key in table.foreign_key_constraints for column in key.columns}
            writes = any(keys & row.keys() for row in sent.rows)
            return replace(found, direction="missing" if writes else "referenced")
    return found


def _rule(
    found: Diagnosis, sent: Sent, table: sa.Table[Any], schema: Schema, dialect: Dialect
) -> tuple[sa.Table[Any], Rule | None, Columns]:
    """The rule that was broken, its table, and the columns concerned."""
    if found.kind is ForeignKeyViolation and not (found.constraint or found.columns):
        key = _only_foreign_key(found, sent, table, schema)
        return (table, None, ()) if key is None else (key.table, key, columns_of(key))
    rule, columns = match(table, found, dialect, sent.rows if sent.table is table else ())
    if not columns and found.kind in (ValueTooLong, OutOfRange):
        columns = unfit(table.columns, sent.rows, backend=dialect.name)
    return table, rule, columns


def _only_foreign_key(
    found: Diagnosis, sent: Sent, table: sa.Table[Any], schema: Schema
) -> sa.ForeignKeyConstraint | None:
    """The foreign key that it must have been, for SQLite, which does not say."""
    if found.direction == "referenced":
        keys = schema.referring(table)
    else:
        keys = list(table.foreign_key_constraints)
        if len(keys) > 1 and len(sent.rows) == 1:
            row = sent.rows[0]
            keys = [k for k in keys if all(row.get(c.key) is not None for c in k.columns)]
    return keys[0] if len(keys) == 1 else None


def _is_reference_to_none(found: Diagnosis, sent: Sent, columns: Columns) -> bool:
    """Whether a foreign key was to be set to NULL, as by a flush that deletes what it refers to."""
    return (
        found.kind is NotNullViolation
        and sent.verb == "UPDATE"
        and any(column.foreign_keys for column in columns)
        and any(row.get(column.key, column) is None for row in sent.rows for column in columns)
    )


def _name(found: Diagnosis, rule: Rule | None, dialect: Dialect) -> str | None:
    """The constraint's name: as the database gives it, else from the metadata."""
    if found.constraint is not None and not _is_text_of_check(found):
        return found.constraint
    if rule is None or not isinstance(rule.name, str):
        return None
    return str(rule.name)


def _is_text_of_check(found: Diagnosis) -> bool:
    """Whether SQLite gives the condition in place of a name."""
    is_nameless = found.kind is CheckViolation and found.table is None
    return is_nameless and not str(found.constraint).isidentifier()


def _is_any_secret(table: sa.Table[Any], columns: Columns, fields: tuple[str, ...]) -> bool:
    """Whether a value may be a secret; where the column is not known, any of the table may."""
    if columns:
        return any(is_secret(c, field) for c, field in zip(columns, fields, strict=True))
    return any(is_secret(column, column.key) for column in table.columns)


def _value(sent: Sent, table: sa.Table[Any], columns: Columns) -> Any:
    """What was sent for these columns, if it was one row of their table."""
    is_that_row = sent.table is table and sent.verb != "DELETE" and len(sent.rows) == 1
    return shown_of(columns, sent.rows[0]) if is_that_row else None


def _own_message(found: Diagnosis, rule: Rule | None, columns: Columns) -> str | None:
    """The developer's words: beside the constraint, its foreign key, or the one column."""
    infos = [rule.info] if rule is not None else []
    if isinstance(rule, sa.ForeignKeyConstraint):
        infos += [element.info for element in rule.elements]
    own = [info["message"] for info in infos if "message" in info]
    if not own and len(columns) == 1:
        messages = columns[0].info.get("messages", {})
        own = [messages[found.kind.code]] if found.kind.code in messages else []
    return str(own[0]) if own else None


def _subject(about: About) -> str:
    owner = about.model.__name__ if about.model is not None else about.table
    if not about.fields:
        name = f" ({about.constraint})" if about.constraint else ""
        return f"{owner}{name}: " if owner else ""
    return ", ".join(f"{owner}.{field}" if owner else field for field in about.fields) + ": "


def _quoted(said: str) -> str:
    """In single quotes without escapes: programs search for the text."""
    return f"'{said}'"
