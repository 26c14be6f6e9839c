"""Names for constraints that the models leave without one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from sqlalchemy.sql.elements import conv

from flask_retort.migrations._alembic import knows_what_it_drops

LONGEST = 63
"""Bytes of a name that every engine takes: PostgreSQL cuts at 63, MariaDB refuses over 64."""

CONVENTION = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
}
"""The names as a ``naming_convention``. A CHECK's needs its text, which no convention can hold."""

AddOp = ops.CreateUniqueConstraintOp | ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp


class ModifyNameless(ops.ModifyTableOps):
    """Changes of a table whose constraints have no names in the database either.

    That is SQLite's: there, the names are given to them as the table is read to be rebuilt.
    """


@renderers.dispatch_for(ModifyNameless)
def _render(context: AutogenContext, op: ModifyNameless) -> list[str]:
    plain = ops.ModifyTableOps(op.table_name, op.ops, schema=op.schema)
    first, *others = renderers.dispatch(plain)(context, plain)
    end = ") as batch_op:"
    return [first.replace(end, f", naming_convention={CONVENTION!r}{end}"), *others]


def name_all(container: ops.OpContainer, *, checks_of_types: bool = True) -> None:
    """Name what has no name in these operations: without one it can't be dropped again.

    What the user has named, or the metadata's own ``naming_convention``, stays. The tables of the
    models are not changed: operations that create one get a copy first.

    :param checks_of_types: whether the CHECK that a Boolean or an Enum brings is named too; not
        where a convention of the metadata's does that as the table is created.
    """
    for position, op in enumerate(container.ops):
        match op:
            case ops.CreateTableOp():
                _name_in_table(op, checks_of_types=checks_of_types)
            case ops.AddColumnOp() if checks_of_types:
                _name_in_column(op)
            case ops.CreateUniqueConstraintOp() | ops.CreateForeignKeyOp():
                _name_added(op)
            case ops.CreateCheckConstraintOp():
                _name_added(op)
            case ops.DropConstraintOp():
                _name_dropped(op)
            case ops.ModifyTableOps():
                if isinstance(container, ops.UpgradeOps) and _drops_nameless(op):
                    container.ops[position] = ModifyNameless(
                        op.table_name, op.ops, schema=op.schema
                    )
                name_all(op, checks_of_types=checks_of_types)
            case _:
                pass


def constraint_name(constraint: sa.Constraint) -> conv | None:
    """The name by convention of a constraint that belongs to a table; None for other kinds."""
    table = constraint.table.name
    match constraint:
        case sa.PrimaryKeyConstraint():
            return _name("pk", table) if constraint.columns else None
        case sa.UniqueConstraint():
            return _name("uq", table, *_column_names(constraint.columns))
        case sa.ForeignKeyConstraint():
            columns = [element.parent.name for element in constraint.elements]
            return _name("fk", table, *columns, constraint.referred_table.name)
        case sa.CheckConstraint():
            return _name("ck", table, _digest(_text(constraint)))
        case _:
            return None


def _name_in_table(op: ops.CreateTableOp, *, checks_of_types: bool) -> None:
    table = op.to_table()
    for constraint in table.constraints:
        if not isinstance(constraint.name, str):
            constraint.name = constraint_name(constraint)
    if checks_of_types:
        for column in table.columns:
            _name_check(column)
    op.columns = [*table.columns, *table.constraints]


def _name_in_column(op: ops.AddColumnOp) -> None:
    if _has_nameless_check(op.column):
        table = ops.CreateTableOp(op.table_name, [op.column]).to_table()
        op.column = table.columns[op.column.key]
        _name_check(op.column)


def _name_check(column: sa.Column[Any]) -> None:
    """Have the CHECK that comes with the column's type named after the column."""
    if _has_nameless_check(column):
        type_: Any = column.type
        type_.name = _name("ck", column.table.name, column.name)


def _has_nameless_check(column: sa.Column[Any]) -> bool:
    type_: Any = column.type
    is_checked = isinstance(type_, sa.Boolean) or (
        isinstance(type_, sa.Enum) and not type_.native_enum
    )
    return is_checked and type_.create_constraint and type_.name is None


def _name_added(op: AddOp) -> None:
    if op.constraint_name is None:
        op.constraint_name = constraint_name(op.to_constraint())


def _drops_nameless(change: ops.ModifyTableOps) -> bool:
    drops = (op for op in change.ops if isinstance(op, ops.DropConstraintOp))
    return any(op.constraint_name is None for op in drops)


def _name_dropped(op: ops.DropConstraintOp) -> None:
    if op.constraint_name is None and knows_what_it_drops(op):
        op.constraint_name = constraint_name(op.to_constraint())


def _name(*parts: str) -> conv:
    """The parts joined; where that is too long, its beginning and a digest of the whole."""
    whole = "_".join(parts)
    encoded = whole.encode()
    if len(encoded) <= LONGEST:
        return conv(whole)
    digest = _digest(whole)
    kept = encoded[: LONGEST - len(digest) - 1].decode(errors="ignore")
    return conv(f"{kept}_{digest}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _column_names(columns: Iterable[sa.Column[object]]) -> Sequence[str]:
    return [column.name for column in columns]


def _text(constraint: sa.CheckConstraint) -> str:
    compiled = constraint.sqltext.compile()
    return f"{compiled} {sorted(compiled.params.items())}" if compiled.params else str(compiled)
