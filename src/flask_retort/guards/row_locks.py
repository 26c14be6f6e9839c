"""The rows that a transaction has locked, as far as its statements tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from numbers import Number
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import InstanceState, Mapper, Session
from sqlalchemy.sql import operators

from flask_retort._sa_compat import (
    conditions,
    has_joins,
    has_options,
    locks_rows,
    parts_of,
    row_lock,
)

if TYPE_CHECKING:
    from .execution import Execution

Key = tuple[Any, ...]
"""Values of the primary key's columns."""

Keys = dict[Any, set[Key]]
"""Keys by table."""

Rows = dict[Any, set[Key] | None]
"""Keys by table; None where the rows are not known."""

_LOCKING_TEXT = re.compile(r"\bFOR\s+(NO\s+KEY\s+)?UPDATE\b|\bLOCK\s+TABLE|_LOCK\s*\(", re.I)


@dataclass
class RowLocks:
    """What one transaction holds.

    :param read: keys of the rows it has read with a lock, by table.
    :param written: keys of the rows it has inserted, updated or deleted, by table.
    :param unknown: tables of which it has locked rows that are not known.
    :param everything: whether anything may be locked.
    """

    read: Keys = field(default_factory=Keys)
    written: Keys = field(default_factory=Keys)
    unknown: set[Any] = field(default_factory=set[Any])
    everything: bool = False

    def __deepcopy__(self, memo: object) -> Self:
        return type(self)(
            {table: set(keys) for table, keys in self.read.items()},
            {table: set(keys) for table, keys in self.written.items()},
            set(self.unknown),
            self.everything,
        )

    def holds(self, table: Any, key: Key) -> bool:
        """Whether nobody else can change the row before the end of the transaction."""
        return self.is_blind(table) or key in self.held(table)

    def held(self, table: Any) -> set[Key]:
        """The keys of its rows that are locked and known."""
        return self.read.get(table, set()) | self.written.get(table, set())

    def is_blind(self, table: Any) -> bool:
        """Whether there are locked rows of which nothing is known."""
        return self.everything or table in self.unknown

    def holds_parent(self, state: InstanceState[Any]) -> bool:
        """Whether a row that it points to was read with a lock, as the root of an aggregate is."""
        return any(
            (state.dict.get(name),) in self.read.get(parent, ()) or parent in self.unknown
            for name, parent in _parents(state.mapper)
        )

    def note_read(self, rows: Rows) -> None:
        """The rows were locked by a SELECT."""
        self._note(self.read, rows)

    def note_written(self, rows: Rows) -> None:
        """The rows were locked by a statement that changes them."""
        self._note(self.written, rows)

    def _note(self, known: Keys, rows: Rows) -> None:
        for table, keys in rows.items():
            if keys is None:
                self.unknown.add(table)
            else:
                known.setdefault(table, set()).update(keys)


def rows_of(executed: Execution) -> Rows | None:
    """The rows that a statement is about to lock; None where that may be any.

    Empty where it locks none, and for an INSERT, whose new rows nobody else can see.
    """
    statement: Any = executed.statement
    text = getattr(statement, "element", statement)
    if isinstance(text, sa.TextClause):
        return None if _LOCKING_TEXT.search(text.text) else {}
    if isinstance(text, (sa.Update, sa.Delete)):
        return _rows_by_key([statement.table], statement.whereclause, executed.parameters)
    lock = row_lock(statement)
    if lock is None:
        if isinstance(text, sa.Select) and locks_inside(statement):
            return None
        return None if not executed.is_orm_statement and _calls_lock(statement) else {}
    if not hasattr(statement, "get_final_froms"):  # a union
        return None
    if lock.of:
        tables = [getattr(element, "table", element) for element in lock.of]
        return _rows_by_key(tables, statement.whereclause, executed.parameters)
    if has_options(statement):
        return None
    return dict.fromkeys(_joined_tables(executed)) | rows_named(executed)


def locks_inside(select: sa.Select[Any]) -> bool:
    """Whether a sub-select of its WHERE clause or of its joins locks rows; costs a short walk."""
    for part in parts_of(select) if has_joins(select) else conditions(select):
        if _is_locking(part):  # a loop, as any() costs each statement more
            return True
    return False


def _is_locking(part: Any) -> bool:
    """Of a condition, what it compares with: a value, as most do, or a sub-select."""
    if isinstance(part, sa.BinaryExpression):
        part = part.right
        if isinstance(part, sa.BindParameter):
            return False
    if isinstance(part, sa.BooleanClauseList):
        return any(map(_is_locking, part.clauses))
    if isinstance(part, sa.ColumnClause):
        part = part.table
    return isinstance(part, _SUB_SELECTS) and locks_rows(part.element)


_SUB_SELECTS = (sa.ScalarSelect, sa.Subquery, sa.CTE, sa.Lateral)


def _calls_lock(statement: Any) -> bool:
    """Whether it calls such as ``pg_advisory_xact_lock()`` or ``get_lock()``."""
    columns = getattr(statement, "selected_columns", (statement,))
    return any("lock" in column.name for column in columns if isinstance(column, sa.Function))


def rows_named(executed: Execution) -> Rows:
    """The rows that a SELECT is about, whether it locks them or not."""
    statement: Any = executed.statement
    if not hasattr(statement, "get_final_froms"):
        return {}
    criteria = statement.whereclause
    if isinstance(getattr(criteria, "right", None), sa.BindParameter) and not has_joins(statement):
        # Of one table, then; working out the FROM list would compile the statement again.
        tables = [table for mapper in executed.all_mappers for table in mapper.tables]
    else:
        tables = _tables(statement.get_final_froms())
    return _rows_by_key(tables, criteria, executed.parameters)


def _joined_tables(executed: Execution) -> Iterable[Any]:
    """Those of relationships that models always join."""
    for mapper in executed.all_mappers:
        for relationship in mapper.relationships:
            if relationship.lazy == "joined":
                yield relationship.mapper.local_table


def row_of(state: InstanceState[Any]) -> tuple[Any, Key]:
    """The table and key of an object that is in the database."""
    assert state.key is not None
    return state.mapper.base_mapper.local_table, tuple(state.key[1])


def rows_inserted(session: Session) -> Rows:
    """The rows of the new objects of a flush that has sent its statements."""
    rows: Rows = {}
    for new in session.new:
        mapper: Mapper[Any] = sa.inspect(new).mapper
        keys = rows.setdefault(mapper.base_mapper.local_table, set())
        assert keys is not None
        keys.add(tuple(mapper.primary_key_from_instance(new)))
    return rows


def rows_changed(session: Session) -> Rows:
    """The rows that the next flush will update or delete."""
    rows: Rows = {}
    changed = (one for one in session.dirty if session.is_modified(one, include_collections=False))
    for instance in (*changed, *session.deleted):
        table, key = row_of(sa.inspect(instance))
        keys = rows.setdefault(table, set())
        assert keys is not None
        keys.add(key)
    return rows


_Columns = tuple[sa.ColumnElement[Any], ...]


def _rows_by_key(tables: Iterable[Any], criteria: Any, parameters: Any) -> Rows:
    given: dict[str, Any] = parameters if hasattr(parameters, "keys") else {}
    values: dict[_Columns, list[Key]] = {}
    for columns, keys in _comparisons(criteria, given):
        values.setdefault(columns, keys)
    return {table: _keys(table, values) for table in tables}


def _keys(table: Any, values: Mapping[_Columns, list[Key]]) -> set[Key] | None:
    columns = tuple(table.primary_key) if isinstance(table, sa.Table) else ()
    keys = values.get(columns)
    if keys is None:
        one_by_one = [values.get((column,), []) for column in columns]
        if not columns or any(len(found) != 1 for found in one_by_one):
            return None
        keys = [tuple(value for found in one_by_one for (value,) in found)]
    try:
        return {tuple(map(_as_loaded, columns, key)) for key in keys}
    except (ValueError, ArithmeticError, NotImplementedError):
        return None


_FROM_TEXT: Mapping[Any, Callable[[str], Any]] = {
    int: int,
    float: float,
    Decimal: Decimal,
    UUID: UUID,
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
}


def _as_loaded(column: sa.Column[Any], value: Any) -> Any:
    """A value as the object has it that is loaded by it: of a form, it is a text.

    :raises ValueError: only the database can tell.
    :raises ArithmeticError: the same, from Decimal.
    :raises NotImplementedError: the same, from a type that was written for SQLAlchemy 2.0.
    """
    kind = column.type.python_type  # object where it does not tell
    is_text = isinstance(value, str)
    if isinstance(value, kind) and not (kind is object and is_text):
        return value
    if is_text and kind in _FROM_TEXT:
        return _FROM_TEXT[kind](value)
    if isinstance(value, Number) and issubclass(kind, Number):
        return value  # 3 and Decimal(3) are equal
    raise ValueError(value)


def _comparisons(
    criteria: Any, parameters: Mapping[str, Any]
) -> Iterable[tuple[_Columns, list[Key]]]:
    """What columns are compared with: ``=`` and ``IN`` of values, joined by AND."""
    if isinstance(criteria, sa.BooleanClauseList) and criteria.operator is operators.and_:
        for part in criteria.clauses:
            yield from _comparisons(part, parameters)
    elif isinstance(criteria, sa.BinaryExpression):
        left, bound = criteria.left, criteria.right
        if isinstance(bound, sa.BindParameter):
            value: Any = parameters.get(bound.key, bound.effective_value)
            if criteria.operator is operators.eq and value is not None:
                yield (left,), [(value,)]
            elif criteria.operator is operators.in_op and isinstance(value, (list, tuple)):
                keys = cast("Iterable[Any]", value)
                if isinstance(left, sa.Tuple):
                    yield tuple(left.clauses), [tuple(key) for key in keys]
                else:
                    yield (left,), [(key,) for key in keys]


def _tables(froms: Iterable[Any]) -> list[Any]:
    tables: list[Any] = []
    for element in froms:
        if isinstance(element, sa.Join):
            tables += _tables([element.left, element.right])
        else:
            # An alias locks rows of its table.
            tables.append(getattr(element, "element", element))
    return tables


def _parents(mapper: Mapper[Any]) -> Iterable[tuple[str, Any]]:
    """The attributes that point to other rows, and the tables of these."""
    for column in mapper.local_table.c:
        for foreign_key in column.foreign_keys:
            yield mapper.get_property_by_column(column).key, foreign_key.column.table
