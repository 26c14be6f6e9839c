"""From what a driver names to the constraint or index of a table, and its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Dialect

from flask_retort import errors

from .diagnosis import Diagnosis

Rule = sa.Constraint | sa.Index
Columns = tuple[sa.Column[Any], ...]

_GENERATED_CHECK = re.compile(r"CONSTRAINT_\d+|.*_chk_\d+|.*_check\d*")
_POSTGRESQL_LONGEST = 63
"""Bytes of a name; the server cuts longer ones."""


def match(table: sa.Table[Any], found: Diagnosis, dialect: Dialect) -> tuple[Rule | None, Columns]:
    """The rule that a row has broken, None where it is not in the metadata, and its columns."""
    rules = list(_rules_of(table, found.kind))
    name = found.constraint
    for rules_called_so in (
        [rule for rule in rules if name and _is_called(rule, name, dialect)],
        [rule for rule in rules if name and name in _default_names(table, rule)],
        [rule for rule in rules if found.columns and _names(rule) == {*found.columns}],
        [rule for rule in rules if name and _is_text_of_check(rule, name)],
        [rule for rule in rules if name and _is_numbered_check(rule, name)],
    ):
        if len(rules_called_so) == 1:
            return rules_called_so[0], columns_of(rules_called_so[0])
    by_name = {column.name: column for column in table.columns}
    if all(column in by_name for column in found.columns) and found.columns:
        return None, tuple(by_name[column] for column in found.columns)
    is_check = found.kind is errors.CheckViolation
    return None, _columns_in(table, name) if is_check and name else ()


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


def _default_names(table: sa.Table[Any], rule: Rule) -> set[str]:
    """The names that servers give to a rule that has none."""
    if isinstance(rule, sa.PrimaryKeyConstraint):
        return {f"{table.name}_pkey", "PRIMARY"}
    columns = [column.name for column in columns_of(rule)]
    if not columns:
        return set()
    joined = "_".join([table.name, *columns])
    # MySQL and MariaDB call an index after its first column, and number those that are the same;
    # MariaDB calls a check that stands at a column after it.
    names = {f"{joined}_{end}" for end in ("key", "fkey", "check", "excl")}
    if isinstance(rule, sa.CheckConstraint):
        return names | ({f"{table.name}.{columns[0]}"} if len(columns) == 1 else set())
    return names | {columns[0]}


def _is_text_of_check(rule: Rule, text: str) -> bool:
    """SQLite names a check without a name by its text."""
    if not isinstance(rule, sa.CheckConstraint):
        return False
    return "".join(str(rule.sqltext).split()) == "".join(text.split())


def _is_numbered_check(rule: Rule, name: str) -> bool:
    is_unnamed = isinstance(rule, sa.CheckConstraint) and not isinstance(rule.name, str)
    return is_unnamed and _GENERATED_CHECK.fullmatch(name) is not None


def _names(rule: Rule) -> set[str]:
    return {column.name for column in columns_of(rule)}


def _columns_in(table: sa.Table[Any], text: str) -> Columns:
    """The table's columns whose names stand in a condition, outside of its quoted values."""
    words = re.findall(r"\w+", re.sub(r"'(?:[^']|'')*'", "", text))
    by_name = {column.name: column for column in table.columns}
    return tuple(by_name[word] for word in dict.fromkeys(words) if word in by_name)
