"""What a database says of its own schema, for comparison."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def catalog(engine: sa.Engine) -> dict[str, Any]:
    """Everything an inspector tells of a database's tables and types, but of the version table."""
    inspector = sa.inspect(engine)
    found: dict[str, Any] = {
        name: _table(inspector, name)
        for name in inspector.get_table_names()
        if not name.startswith("alembic_version")
    }
    if engine.dialect.name == "postgresql":
        found["types"] = _in_order(getattr(inspector, "get_enums")())  # noqa: B009 - not typed
    return found


def _table(inspector: sa.Inspector, name: str) -> dict[str, Any]:
    columns = [
        {**column, "type": column["type"].compile(dialect=inspector.dialect)}
        for column in inspector.get_columns(name)
    ]
    return {
        "columns": columns,
        "primary key": inspector.get_pk_constraint(name),
        "foreign keys": _in_order(inspector.get_foreign_keys(name)),
        "unique": _in_order(inspector.get_unique_constraints(name)),
        "checks": _in_order(inspector.get_check_constraints(name)),
        "indexes": _in_order(inspector.get_indexes(name)),
        "comment": inspector.dialect.supports_comments and inspector.get_table_comment(name),
    }


def _in_order(items: Any) -> list[Any]:
    return sorted(items, key=repr)
