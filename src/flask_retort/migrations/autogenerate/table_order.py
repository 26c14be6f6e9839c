"""The order in which generated operations create, change and drop tables.

Alembic drops tables in any order and before it changes others, so one can still be referenced; it
drops indexes before the foreign keys that need them, which MariaDB refuses; and of two tables that
reference each other it creates the first with a key to nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.sql.elements import conv

from .constraint_names import constraint_name

Key = tuple[str | None, str]
"""Schema and name of a table."""
ForeignKeys = list[sa.ForeignKeyConstraint]


def arrange(container: ops.OpContainer, *, circles: bool = True) -> None:
    """Have what is referenced created earlier, and dropped later, than what references it.

    Where operations are among them that Alembic has not made, the tables stay where they are.

    :param circles: whether a foreign key can be added to a table, and dropped, by itself.
    """
    creates = {_key(op): op for op in container.ops if isinstance(op, ops.CreateTableOp)}
    drops = {_key(op): op for op in container.ops if isinstance(op, ops.DropTableOp)}
    changes = [op for op in container.ops if isinstance(op, ops.ModifyTableOps)]
    for change in changes:
        change.ops[:] = sorted(_needed(change, drops), key=_rank)
    if len(creates) + len(drops) + len(changes) == len(container.ops):
        container.ops[:] = [
            *_created(creates, circles=circles),
            *changes,
            *_dropped(drops, circles=circles, is_reverse=isinstance(container, ops.DowngradeOps)),
        ]


def _needed(
    change: ops.ModifyTableOps, drops: Mapping[Key, ops.DropTableOp]
) -> Iterable[ops.MigrateOperation]:
    """Without the indexes that go with their table."""
    is_dropped = _key(change) in drops
    return [op for op in change.ops if not (is_dropped and isinstance(op, ops.DropIndexOp))]


def _rank(op: ops.MigrateOperation) -> int:
    """Foreign keys leave before their indexes and columns, and come after them."""
    if isinstance(op, ops.DropConstraintOp) and op.constraint_type == "foreignkey":
        return 0
    return 2 if isinstance(op, ops.CreateForeignKeyOp) else 1


def _created(
    creates: Mapping[Key, ops.CreateTableOp], *, circles: bool
) -> Iterable[ops.MigrateOperation]:
    tables = {key: op.to_table() for key, op in creates.items()}
    order = _sorted(tables)
    late: list[ops.MigrateOperation] = []
    for key, closing in _closing(tables, order).items() if circles else ():
        kept = [one for one in tables[key].constraints if one not in closing]
        creates[key].columns = [*tables[key].columns, *kept]
        late.append(_change(key, [_addition(one) for one in closing]))
    return [*(creates[key] for key in order), *late]


def _dropped(
    drops: Mapping[Key, ops.DropTableOp], *, circles: bool, is_reverse: bool
) -> Iterable[ops.MigrateOperation]:
    tables = {key: op.to_table() for key, op in drops.items()}
    order = _sorted(tables)
    early: list[ops.MigrateOperation] = []
    for key, closing in _closing(tables, order).items() if circles else ():
        # What the database has without a name, SQLite's, needs not be dropped before its table.
        names = [name for one in closing if (name := _name(one, by_convention=is_reverse))]
        if names:
            early.append(_change(key, [_removal(name, key) for name in names]))
    return [*early, *(drops[key] for key in reversed(order))]


def _sorted(tables: Mapping[Key, sa.Table]) -> list[Key]:
    """The tables, each after those it references as far as there are no circles."""
    waiting = {key: _references(table) for key, table in tables.items()}
    order: list[Key] = []
    while waiting:
        free = [key for key, needs in waiting.items() if not (needs - {key}) & waiting.keys()]
        for key in free or [next(iter(waiting))]:
            del waiting[key]
            order.append(key)
    return order


def _references(table: sa.Table) -> set[Key]:
    return {_target(one) for one in _keys(table) if not one.use_alter}


def _closing(tables: Mapping[Key, sa.Table], order: Sequence[Key]) -> dict[Key, ForeignKeys]:
    """The foreign keys to tables that come later, and those that are marked with ``use_alter``."""
    found: dict[Key, ForeignKeys] = {}
    for position, key in enumerate(order):
        later = order[position + 1 :]
        closing = [one for one in _keys(tables[key]) if one.use_alter or _target(one) in later]
        if closing:
            found[key] = closing
    return found


def _keys(table: sa.Table) -> ForeignKeys:
    return sorted(table.foreign_key_constraints, key=lambda one: list(one.column_keys))


def _target(constraint: sa.ForeignKeyConstraint) -> Key:
    return constraint.referred_table.schema, constraint.referred_table.name


def _key(op: ops.CreateTableOp | ops.DropTableOp | ops.ModifyTableOps) -> Key:
    return op.schema, op.table_name


def _name(constraint: sa.ForeignKeyConstraint, *, by_convention: bool) -> str | None:
    if isinstance(constraint.name, str):
        return constraint.name
    return constraint_name(constraint) if by_convention else None


def _change(key: Key, operations: Sequence[ops.MigrateOperation]) -> ops.ModifyTableOps:
    return ops.ModifyTableOps(key[1], operations, schema=key[0])


def _addition(constraint: sa.ForeignKeyConstraint) -> ops.CreateForeignKeyOp:
    op = ops.CreateForeignKeyOp.from_constraint(constraint)
    op.constraint_name = _name(constraint, by_convention=True)
    op.kw.pop("use_alter", None)
    return op


def _removal(name: str, key: Key) -> ops.DropConstraintOp:
    return ops.DropConstraintOp(conv(name), key[1], "foreignkey", schema=key[0])
