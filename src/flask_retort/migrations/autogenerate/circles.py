"""Lets Alembic compare tables that reference each other without a warning.

Its comparison wants the models' tables sorted, and where there are circles the sort of SQLAlchemy's
metadata warns that it "may raise an error in a future release". Which order the comparison gets is
no matter: :mod:`.table_order` finds one for the script, circles included.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.util import PriorityDispatchResult


def sort(context: AutogenContext, *_: Any) -> PriorityDispatchResult:
    """Sort the tables before Alembic does, which then finds them in the context."""
    context.sorted_tables = [
        table for metadata in _metadatas(context) for table in _sorted(metadata)
    ]
    return PriorityDispatchResult.CONTINUE


def _sorted(metadata: sa.MetaData) -> list[sa.Table]:
    tables = sorted(metadata.tables.values(), key=lambda table: table.key)
    # The public sort that takes the keys that close a circle apart, instead of warning of them.
    pairs = cast(Any, sa.schema).sort_tables_and_constraints(tables)
    return [table for table, _ in pairs if table is not None]


def _metadatas(context: AutogenContext) -> list[sa.MetaData]:
    found = context.metadata
    if found is None:
        return []
    return [found] if isinstance(found, sa.MetaData) else list(found)
