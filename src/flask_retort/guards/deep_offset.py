"""deep-offset: a page so far behind that the database reads ten thousand rows to skip them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from flask_retort import _sa_compat as compat

from .execution import Execution
from .hooks import Guard, Listener
from .reporting import Text

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
        write="Go on behind the last row of the page before, in the same order:"
        " .where({key} > last).order_by({order}).limit({limit}).",
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
            subject, columns = _paged(state)
            order = ", ".join(columns)
            key = order if len(columns) == 1 else f"tuple_({order})"
            self.find(subject, offset=f"{offset:,}", limit=limit, key=key, order=order)
        return result()


def _is_streamed(state: Execution) -> bool:
    return not state.execution_options.keys().isdisjoint(("yield_per", "stream_results"))


def _paged(state: Execution) -> tuple[str, list[str]]:
    """What the page is of, and its primary key as one writes it."""
    mapper = state.bind_mapper
    if mapper is not None:
        model = mapper.class_.__name__
        keys = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
        return model, [f"{model}.{key}" for key in keys]
    statement: Any = state.statement
    for table in visitors.iterate(statement):
        if isinstance(table, sa.Table):
            keys = [column.key for column in table.primary_key] or ["key"]
            return table.name, [f"{table.name}.c.{key}" for key in keys]
    return "rows", ["key"]
