"""Creates and drops PostgreSQL's enumeration types in generated scripts.

Creating a table creates the types of its columns. Nothing else does: a column that is added finds
no type, a second table finds it there, a dropped table leaves it behind for the next upgrade to
meet. So a script creates a type once, before its first use, and drops it when nothing uses it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.postgresql import CreateEnumType, DropEnumType
from sqlalchemy.dialects.postgresql.base import PGDialect

from flask_retort._sa_compat import set_type_variants, type_variants

Type = sa.types.TypeEngine[Any]
Key = tuple[str | None, str]
"""Schema and name of a type."""
Place = tuple[str | None, str, str]
"""Schema, table and name of a column."""

_POSTGRESQL = cast(Any, PGDialect)(paramstyle="named")  # the others write a percent sign twice


class OnPostgreSQL(ops.ExecuteSQLOp):
    """A statement for PostgreSQL alone, in a script that may run on other databases too."""


@renderers.dispatch_for(OnPostgreSQL)
def _render(context: AutogenContext, op: OnPostgreSQL) -> list[str]:
    prefix = context.opts["alembic_module_prefix"]
    return [
        f'if {prefix}get_context().dialect.name == "postgresql":',
        f"{prefix}execute({op.sqltext!r})",
        "",  # ends the block
    ]


def manage(
    upgrade: ops.OpContainer, downgrade: ops.OpContainer, tables: Iterable[sa.Table]
) -> None:
    """Add what creates and drops types to both directions of a script.

    :param upgrade: what the script does; changed in place.
    :param downgrade: the same backwards; changed in place.
    :param tables: those of the models.
    """
    modelled = {place: enum for table in tables for place, enum in _of_table(table)}
    made, unmade = dict(_made_by(upgrade)), dict(_made_by(downgrade))
    kept = {_key(enum) for place, enum in modelled.items() if place not in made}
    new = {_key(enum): enum for enum in made.values() if _key(enum) not in kept}
    used = {_key(enum) for enum in modelled.values()}
    gone = {_key(enum): enum for enum in unmade.values() if _key(enum) not in used}
    _create(upgrade, new)
    _create(downgrade, gone)
    upgrade.ops.extend(_drop(enum) for enum in gone.values())
    downgrade.ops.extend(_drop(enum) for enum in new.values())


def keep_flags(container: ops.OpContainer) -> None:
    """Have what the models say of an Enum survive that Alembic copies their tables.

    SQLAlchemy's Enum forgets ``create_type`` and ``with_variant()`` when its column is copied.
    """
    for op in container.ops:
        if isinstance(op, ops.CreateTableOp):
            table = op.to_table()
            columns: list[Any] = [item for item in op.columns if isinstance(item, sa.Column)]
            for column in columns:
                if isinstance(column.type, sa.Enum):
                    table.columns[column.key].type = _lasting(column.type)
            op.columns = [*table.columns, *table.constraints]


def _lasting(type_: Any) -> Any:
    """The same type in an object that stays itself when its column is copied."""
    lasting = copy.copy(type_)

    def itself(**_: Any) -> Any:
        return lasting

    lasting.copy = itself
    return lasting


def _create(container: ops.OpContainer, enums: dict[Key, sa.Enum]) -> None:
    """Have each of these types created once, and no other."""
    pending = dict(enums)
    operations: list[ops.MigrateOperation] = []
    for op in container.ops:
        if isinstance(op, ops.CreateTableOp):
            _create_with_table(op, pending)
        else:
            found = {_key(enum): enum for _, enum in _made_by_one(op)}
            new = [key for key in found if pending.pop(key, None) is not None]
            operations.extend(_statement(CreateEnumType(_native(found[key]))) for key in new)
        operations.append(op)
    container.ops[:] = operations


def _create_with_table(op: ops.CreateTableOp, pending: dict[Key, sa.Enum]) -> None:
    """Leave the first use of a type to create it, and tell the others that it is there."""
    table = op.to_table()
    there = [
        column
        for column in table.columns
        if (enum := _enum(column.type)) is not None and pending.pop(_key(enum), None) is None
    ]
    for column in there:
        column.type = _without_creation(column.type)
    if there:
        op.columns = [*table.columns, *table.constraints]


def _without_creation(type_: Any) -> Any:
    variants = type_variants(type_)
    if isinstance(type_, sa.types.TypeDecorator) and "postgresql" not in variants:
        return _without_creation(type_.load_dialect_impl(_POSTGRESQL))
    changed: Any = _lasting(type_)
    if "postgresql" in variants:
        native = _without_creation(variants["postgresql"])
        set_type_variants(changed, {**variants, "postgresql": native})
    elif isinstance(type_, sa.ARRAY):
        changed.item_type = _without_creation(changed.item_type)
    else:
        changed.create_type = False
    return changed


def _drop(enum: sa.Enum) -> OnPostgreSQL:
    return _statement(DropEnumType(_native(enum)))


def _native(enum: sa.Enum) -> Any:
    return enum.dialect_impl(_POSTGRESQL)


def _statement(statement: CreateEnumType | DropEnumType) -> OnPostgreSQL:
    text = str(statement.compile(dialect=_POSTGRESQL)).strip()
    # A label may look like a parameter to op.execute().
    return OnPostgreSQL(re.sub(r"(?<![:\w\\]):(?=\w)", r"\\:", text))


def _made_by(container: ops.OpContainer) -> Iterator[tuple[Place, sa.Enum]]:
    """The columns of such a type that the operations make, or give this type."""
    for op in container.ops:
        yield from _made_by_one(op)


def _made_by_one(op: ops.MigrateOperation) -> Iterator[tuple[Place, sa.Enum]]:
    match op:
        case ops.CreateTableOp():
            yield from _of_table(op.to_table())
        case ops.AddColumnOp():
            yield from _of(op.schema, op.table_name, op.column.name, op.column.type)
        case ops.AlterColumnOp() if op.modify_type is not None and not _is_same(op):
            yield from _of(op.schema, op.table_name, op.column_name, op.modify_type)
        case ops.OpContainer():
            yield from _made_by(op)
        case _:
            pass


def _is_same(op: ops.AlterColumnOp) -> bool:
    """Whether the column has its PostgreSQL type before: only the labels, or NULL, change."""
    if isinstance(op.existing_type, mysql.ENUM):
        return True  # as MariaDB has it, without a name
    has = _enum(op.existing_type) if op.existing_type is not None else None
    wanted = _enum(op.modify_type) if op.modify_type is not None else None
    return has is not None and wanted is not None and _key(has) == _key(wanted)


def _of_table(table: sa.Table) -> Iterator[tuple[Place, sa.Enum]]:
    for column in table.columns:
        yield from _of(table.schema, table.name, column.name, column.type)


def _of(
    schema: str | None, table: str, column: str, type_: Type
) -> Iterator[tuple[Place, sa.Enum]]:
    enum = _enum(type_)
    if enum is not None:
        yield (schema, table, column), enum


def _enum(type_: Type) -> sa.Enum | None:
    """The type to create in PostgreSQL for a column of this type, if one is needed."""
    used: Type = type_variants(type_).get("postgresql", type_)
    match used:
        case sa.types.TypeDecorator():
            return _enum(used.load_dialect_impl(_POSTGRESQL))
        case sa.ARRAY():
            return _enum(cast(Any, used).item_type)
        case mysql.ENUM():
            return None
        case sa.Enum():
            return used if used.native_enum and used.name and used.create_type else None
        case _:
            return None


def _key(enum: sa.Enum) -> Key:
    assert enum.name is not None  # _enum() lets no other through
    return cast(Any, enum).schema, enum.name
