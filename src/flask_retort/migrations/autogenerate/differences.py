"""What the models have and the database has not, or the other way round, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops

_CHANGES = {
    "modify_type": "has the type {0} in the database and {1} in the models",
    "modify_nullable": "{0} in the database and {1} in the models",
    "modify_default": "has the server default {0} in the database and {1} in the models",
    "modify_comment": "has the comment {0} in the database and {1} in the models",
}


def lines(operations: Iterable[ops.UpgradeOps]) -> list[str]:
    """One line for each difference, without the database's name."""
    diffs = (diff for one in operations for diff in one.as_diffs())
    # Statements are not differences, but come with one: the type that a new column needs.
    return [line for diff in diffs if diff[0] != "execute" for line in _lines(diff)]


def _lines(diff: tuple[Any, ...] | list[Any]) -> list[str]:
    if isinstance(diff, list):  # the changes of one column
        return [_changed(*change) for change in diff]
    kind, *rest = diff
    if kind.endswith("_table_comment"):
        return [_comment(*rest)]
    missing = kind.startswith("add_")
    where = "is missing in the database" if missing else "is in the database and not in the models"
    describe = _DESCRIBED.get(kind.partition("_")[2])
    if describe is None or kind.partition("_")[0] not in ("add", "remove"):
        return [f"{kind.replace('_', ' ')}: {' '.join(str(part) for part in rest if part)}"]
    return [f"{describe(rest)} {where}"]


def _changed(
    kind: str, schema: str | None, table: str, column: str, _: Any, old: Any, new: Any
) -> str:
    form = _CHANGES.get(kind, f"differs ({kind}): {{0}} in the database and {{1}} in the models")
    return f"{_table(schema, table)}: column {column} " + form.format(
        _value(kind, old), _value(kind, new)
    )


def _value(kind: str, value: Any) -> str:
    if kind == "modify_nullable":
        return "may be NULL" if value else "may not be NULL"
    if value is None or value is False:
        return "none"
    if isinstance(value, sa.DefaultClause):
        return f"'{value.arg}'"
    return repr(value)


def _table(schema: str | None, name: str) -> str:
    return f"table {schema}.{name}" if schema else f"table {name}"


def _of(table: sa.Table) -> str:
    return _table(table.schema, table.name)


def _columns(columns: Iterable[Any]) -> str:
    return ", ".join(str(getattr(column, "name", None) or column) for column in columns)


def _whole_table(rest: Sequence[Any]) -> str:
    return _of(rest[0])


def _column(rest: Sequence[Any]) -> str:
    schema, table, column = rest
    return f"{_table(schema, table)}: column {column.name}"


def _index(rest: Sequence[Any]) -> str:
    index: sa.Index = rest[0]
    what = "unique index" if index.unique else "index"
    assert index.table is not None
    return f"{_of(index.table)}: {what} {index.name} on {_columns(index.expressions)}"


def _constraint(rest: Sequence[Any]) -> str:
    constraint = rest[0]
    what = {
        "unique_constraint": "unique constraint",
        "check_constraint": "check",
        "primary_key_constraint": "primary key",
    }.get(constraint.__visit_name__, "constraint")
    name = f" {constraint.name}" if isinstance(constraint.name, str) else ""
    columns = _columns(getattr(constraint, "columns", ()))
    return f"{_of(constraint.table)}: {what}{name}{f' on {columns}' if columns else ''}"


def _foreign_key(rest: Sequence[Any]) -> str:
    constraint: sa.ForeignKeyConstraint = rest[0]
    name = f" {constraint.name}" if isinstance(constraint.name, str) else ""
    targets = ", ".join(element.target_fullname for element in constraint.elements)
    columns = ", ".join(constraint.column_keys)
    return f"{_of(constraint.table)}: foreign key{name} from {columns} to {targets}"


def _comment(table: sa.Table, old: str | None = None) -> str:
    shown = _CHANGES["modify_comment"].format(
        _value("comment", old), _value("comment", table.comment)
    )
    return f"{_of(table)} {shown}"


_DESCRIBED = {
    "table": _whole_table,
    "column": _column,
    "index": _index,
    "constraint": _constraint,
    "fk": _foreign_key,
}
