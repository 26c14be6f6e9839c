"""From what a driver names to the constraint or index of a table, and its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Dialect

from flask_retort import errors

from .diagnosis import Diagnosis

Rule = sa.Constraint | sa.Index
Columns = tuple[sa.Column[Any], ...]

_GENERATED_CHECK = re.compile(r"CONSTRAINT_\d+|[^.]*(?:_chk_\d+|_check\d*)")
_POSTGRESQL_LONGEST = 63
"""Bytes of a name; the server cuts longer ones."""


def match(
    table: sa.Table[Any],
    found: Diagnosis,
    dialect: Dialect,
    rows: Iterable[Mapping[str, Any]] = (),
) -> tuple[Rule | None, Columns]:
    """The rule that a row has broken, and its columns.

    None where the rule is not in the metadata, or may be one of several about the same columns.

    :param rows: that were sent, by the columns' keys.
    """
    rules = list(_rules_of(table, found.kind))
    name = found.constraint
    for rules_called_so in (
        [rule for rule in rules if name and _is_called(rule, name, dialect)],
        _with_entry(
            _called_by_default(table, rules, name) if name else [], found.entry, list(rows)
        ),
        [rule for rule in rules if found.columns and _names(rule) == {*found.columns}],
        [rule for rule in rules if name and _is_text_of_check(rule, name)],
        [rule for rule in rules if name and _is_numbered_check(rule, name)],
    ):
        columns = {columns_of(rule) for rule in rules_called_so}
        if len(columns) == 1:
            return rules_called_so[0] if len(rules_called_so) == 1 else None, columns.pop()
    by_name = {column.name: column for column in table.columns}
    if all(column in by_name for column in found.columns) and found.columns:
        return None, tuple(by_name[column] for column in found.columns)
    is_check = found.kind is errors.CheckViolation
    return None, _columns_of_check(table, name) if is_check and name else ()


def is_of_another_table(table: sa.Table[Any], found: Diagnosis, dialect: Dialect) -> bool:
    """Whether a unique key is told, without its table, that this one does not have by the models.

    A trigger of the table that a statement writes may write another.
    """
    name = found.constraint
    if found.kind is not errors.UniqueViolation or name is None or found.table or found.columns:
        return False
    if name.startswith(f"{table.name}."):  # MySQL
        return False
    names = {name} | _without_number(name)
    return not any(
        _is_called(rule, name, dialect) or names & _default_names(table, rule)
        for rule in _rules_of(table, found.kind)
    )


def columns_of(rule: Rule) -> Columns:
    """The columns that the rule is about, in its order."""
    columns: Columns = tuple(getattr(rule, "columns", ()))
    if isinstance(rule, sa.CheckConstraint) and not columns:
        parent: Any = getattr(rule, "parent", None)
        return (parent,) if _is_column(parent) else _columns_in(parent, str(rule.sqltext))
    return columns


def _is_column(parent: object) -> bool:
    return isinstance(parent, sa.Column)


def _rules_of(table: sa.Table[Any], kind: type[Exception]) -> Iterator[Rule]:
    if kind is errors.UniqueViolation:
        yield from (index for index in table.indexes if index.unique)
    if kind is errors.ExclusionViolation:
        yield from (rule for rule in table.constraints if not isinstance(rule, _STANDARD))
    elif kind in _RULES:
        of_columns = (rule for column in table.columns for rule in column.constraints)
        for rule in (*table.constraints, *of_columns):
            if isinstance(rule, _RULES[kind]):
                yield rule


_RULES: dict[type[Exception], Any] = {
    errors.UniqueViolation: sa.UniqueConstraint | sa.PrimaryKeyConstraint,
    errors.ForeignKeyViolation: sa.ForeignKeyConstraint,
    errors.CheckViolation: sa.CheckConstraint,
}
_STANDARD = (
    sa.UniqueConstraint,
    sa.PrimaryKeyConstraint,
    sa.ForeignKeyConstraint,
    sa.CheckConstraint,
)


def _is_called(rule: Rule, name: str, dialect: Dialect) -> bool:
    """Whether the rule has this name in the database.

    Both names are written as the dialect writes them, which shortens those of a naming convention.
    """
    if rule.name is None:
        return False
    cut = str(rule.name).encode()[:_POSTGRESQL_LONGEST].decode(errors="ignore")
    if name in (str(rule.name), cut):
        return True
    preparer = dialect.identifier_preparer
    try:
        return preparer.format_constraint(rule) == preparer.quote(name)
    except exc.IdentifierError:  # too long a name
        return False


def _called_by_default(table: sa.Table[Any], rules: list[Rule], name: str) -> list[Rule]:
    """Those without a name, else those that the database may have got without theirs.

    A number behind the name counts only where the models have several that would be called alike.
    """
    found = [rule for rule in rules if name in _default_names(table, rule)]
    numbered = [rule for rule in rules if _without_number(name) & _default_names(table, rule)]
    found += numbered if len(numbered) > 1 else []
    return [rule for rule in found if not isinstance(rule.name, str)] or found


def _without_number(name: str) -> set[str]:
    """What a server may have put a number behind, as the name was taken."""
    return {re.sub(number, "", name) for number in (r"\d+$", r"_\d+$")} - {name}


def _default_names(table: sa.Table[Any], rule: Rule) -> set[str]:
    """The names that servers give to a rule that has none."""
    if isinstance(rule, sa.PrimaryKeyConstraint):
        return {f"{table.name}_pkey", "PRIMARY"}
    columns = [column.name for column in columns_of(rule)]
    if not columns:
        return set()
    if isinstance(rule, sa.CheckConstraint):
        # PostgreSQL counts the columns in the condition; MariaDB calls a check that stands at a
        # column after it.
        used = [column.name for column in _columns_in(table, str(rule.sqltext))]
        owner = f"{table.name}_{used[0]}" if len(used) == 1 else table.name
        return {f"{owner}_check"} | ({f"{table.name}.{columns[0]}"} if len(columns) == 1 else set())
    joined = "_".join([table.name, *columns])
    # MySQL and MariaDB call an index after its first column.
    return {columns[0], *(f"{joined}_{end}" for end in ("key", "fkey", "excl"))}


def _with_entry(rules: list[Rule], entry: str | None, rows: list[Mapping[str, Any]]) -> list[Rule]:
    """Of rules that begin alike, those of whose values the entry may be made."""
    if len(rules) < 2 or entry is None or not rows:
        return rules
    return [r for r in rules if any(_may_be_entry(entry, columns_of(r), row) for row in rows)]


def _may_be_entry(entry: str, columns: Columns, row: Mapping[str, Any]) -> bool:
    """False only where it is certain: for plain numbers and texts."""
    if any(column.key in row and row[column.key] is None for column in columns):
        return False
    is_plain = all(_is_plain(column.type, row.get(column.key)) for column in columns)
    return not is_plain or entry == "-".join(str(row[column.key]) for column in columns)


def _is_plain(type_: Any, value: object) -> bool:
    if isinstance(type_, sa.Integer):
        return type(value) is int
    return isinstance(type_, sa.String) and not isinstance(type_, sa.Enum) and type(value) is str


def _is_text_of_check(rule: Rule, text: str) -> bool:
    """SQLite names a check without a name by its text."""
    if not isinstance(rule, sa.CheckConstraint):
        return False
    return "".join(str(rule.sqltext).split()) == "".join(text.split())


def _is_numbered_check(rule: Rule, name: str) -> bool:
    is_unnamed = isinstance(rule, sa.CheckConstraint) and not isinstance(rule.name, str)
    return is_unnamed and _GENERATED_CHECK.fullmatch(name) is not None


def _columns_of_check(table: sa.Table[Any], name: str) -> Columns:
    """Of one that is not in the metadata, as that of MariaDB's JSON, called after its column."""
    at_column = (column for column in table.columns if name == f"{table.name}.{column.name}")
    return tuple(at_column) or _columns_in(table, name)


def _names(rule: Rule) -> set[str]:
    return {column.name for column in columns_of(rule)}


def _columns_in(table: sa.Table[Any], text: str) -> Columns:
    """The table's columns whose names stand in a condition, outside of its quoted values."""
    words = re.findall(r"\w+", re.sub(r"'(?:[^']|'')*'", "", text))
    by_name = {column.name: column for column in table.columns}
    return tuple(by_name[word] for word in dict.fromkeys(words) if word in by_name)
