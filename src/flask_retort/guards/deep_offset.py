"""deep-offset: a page so far behind that the database reads ten thousand rows to skip them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors
from sqlalchemy.sql.operators import asc_op, desc_op

from flask_retort import _sa_compat as compat

from .execution import Execution
from .hooks import Guard, Listener
from .reporting import Text

Names = Mapping[Any, str]
"""How one writes a column, by the column."""

DEEP = 10_000
"""Rows skipped, from which on a page is deep."""


class DeepOffset(Guard):
    """Finds pages, by ``db.paginate`` or by ``limit()`` and ``offset()``, that skip many rows.

    A page behind the last row skips nothing and is not found. Results that are streamed are not
    looked at.
    """

    code = "deep-offset"
    text = Text(
        what="A page of {subject} at {where} skips {offset} rows.",
        why="The database reads all of them and throws them away, for each visit of the page: its"
        " time grows with its number.",
        write="Go on behind the last row of the page before: {write}.",
    )

    def listeners(self) -> Mapping[str, Listener]:
        """A statement of the session, which is then executed here if it skips many rows."""
        return {"executes": self._executed}

    def _executed(self, state: Execution) -> Any:
        """The result, which stands for executing the statement, or None."""
        statement = state.statement
        if not isinstance(statement, sa.GenerativeSelect):
            return None
        try:
            limit, offset = compat.limit_and_offset(statement)
        except TypeError:  # an expression, whose number is not known here
            return None
        if limit is None or offset < DEEP or _is_streamed(state):
            return None
        result = state.execute().freeze()
        if result.data:
            subject, key, named = _paged(state)
            write = _next_page(_order(statement, key, named), limit)
            self.find(subject, offset=f"{offset:,}", write=write)
        return result()


def _is_streamed(state: Execution) -> bool:
    return not state.execution_options.keys().isdisjoint(("yield_per", "stream_results"))


def _paged(state: Execution) -> tuple[str, list[Any], Names]:
    """What the page is of, the columns of its key, and how one writes a column of it."""
    mapper = state.bind_mapper
    if mapper is not None:
        model = mapper.class_.__name__
        names = {prop.columns[0]: f"{model}.{prop.key}" for prop in mapper.column_attrs}
        return model, list(mapper.primary_key), names
    statement: Any = state.statement
    elements: Any = visitors.iterate(statement)
    for table in elements:
        if getattr(table, "__visit_name__", "") == "table":
            names = {column: f"{table.name}.c.{column.key}" for column in table.columns}
            return table.name, list(table.primary_key), names
    return "rows", [], {}


def _order(statement: Any, key: list[Any], names: Names) -> list[tuple[str, bool]] | None:
    """The columns of the order and then of the key, each with whether it descends.

    None where an expression, or a column of another table, is among them.
    """
    order: dict[str, bool] = {}
    clauses: Sequence[Any] = compat.order_of(statement)
    for clause in clauses:
        modifier = getattr(clause, "modifier", None)
        is_descending = modifier is desc_op
        column = clause.element if modifier in (desc_op, asc_op) else clause
        if not isinstance(column, sa.ColumnElement):  # text()
            return None
        name = next((names[one] for one in names if one.shares_lineage(column)), None)
        if name is None:
            return None
        order.setdefault(name, is_descending)
    is_descending = next(reversed(order.values()), False)
    for column in key:
        order.setdefault(names.get(column, column.key), is_descending)
    return [*order.items()]


def _next_page(order: list[tuple[str, bool]] | None, limit: int) -> str:
    if not order or len({is_descending for _, is_descending in order}) > 1:
        return _COMPARE_ALL
    columns, (is_descending, *_) = zip(*order, strict=True)
    key = columns[0] if len(columns) == 1 else f"tuple_({', '.join(columns)})"
    sorted_by = ", ".join(f"{column}.desc()" if is_descending else column for column in columns)
    sign = "<" if is_descending else ">"
    return f".where({key} {sign} last).order_by({sorted_by}).limit({limit})"


_COMPARE_ALL = (
    "end the order with the primary key, and in where() compare all that it names with the last"
    " row's, by > where it ascends and by < where it descends"
)
