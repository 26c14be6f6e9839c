"""How PostgreSQL converts the rows when a generated script changes a column's type.

It does so by itself only where an assignment would: any type to text, one number to another. The
way back, text to a number, it refuses unless the script says how.
"""

from __future__ import annotations

from typing import Any, cast

import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql.base import PGDialect

from .compared_types import Spelling

Type = sa.types.TypeEngine[Any]

_POSTGRESQL = cast(Any, PGDialect)(paramstyle="named")  # the others write a percent sign twice
_NUMBERS = {"smallint", "integer", "bigint", "numeric", "decimal", "real", "float"}
_TEXTS = {"varchar", "char", "text", "national char", "national varchar"}


class ConvertColumnOp(ops.AlterColumnOp):
    """A change of a column's type whose ``postgresql_using`` is written into the script."""


@renderers.dispatch_for(ConvertColumnOp)
def _render(context: AutogenContext, op: ConvertColumnOp) -> str:
    text = renderers.dispatch(_plain(op))(context, _plain(op))
    argument = f"postgresql_using={op.kw['postgresql_using']!r}"
    return f"{text.removesuffix(')')},\n{' ' * 11}{argument})"


def convert(container: ops.OpContainer) -> None:
    """Have the changes of type say how to convert the rows where PostgreSQL has to be told.

    The other databases ignore it. What the user has said stays.
    """
    container.ops[:] = [_converting(op) for op in container.ops]


def _converting(op: ops.MigrateOperation) -> ops.MigrateOperation:
    if isinstance(op, ops.OpContainer):
        convert(op)
    if type(op) is not ops.AlterColumnOp:
        return op
    using = op.kw.get("postgresql_using") or _using(op)
    return _copy(op, ConvertColumnOp, postgresql_using=using) if using else op


def _using(op: ops.AlterColumnOp) -> str | None:
    """The expression that converts the column; None where PostgreSQL needs none."""
    if op.modify_type is None or op.existing_type is None:
        return None
    has, wanted = _spelling(op.existing_type), _spelling(op.modify_type)
    if has is None or wanted is None or _is_automatic(has, wanted):
        return None
    column = _POSTGRESQL.identifier_preparer.quote(op.column_name)
    # An enumeration type can be made from text only.
    through = "::text" if isinstance(_stored(op.modify_type), sa.Enum) else ""
    return f"{column}{through}::{op.modify_type.compile(dialect=_POSTGRESQL)}"


def _is_automatic(has: Spelling, wanted: Spelling) -> bool:
    if ("[]" in has.rest) != ("[]" in wanted.rest):
        return False
    return wanted.name in {has.name, *_TEXTS} or {_number(has), _number(wanted)} <= _NUMBERS


def _number(spelling: Spelling) -> str:
    return spelling.name.removeprefix("double precision") or "float"


def _spelling(type_: Type) -> Spelling | None:
    """How PostgreSQL has the type written; None for one that it does not have."""
    try:
        return Spelling.of(type_, _POSTGRESQL)
    except exc.CompileError:
        return None


def _stored(type_: Type) -> Type:
    return type_.dialect_impl(_POSTGRESQL)


def _plain(op: ops.AlterColumnOp) -> ops.AlterColumnOp:
    return _copy(op, ops.AlterColumnOp)


def _copy(op: ops.AlterColumnOp, as_: type[ops.AlterColumnOp], **kw: Any) -> ops.AlterColumnOp:
    """The same operation as another class."""
    made = as_.__new__(as_)
    vars(made).update(vars(op), kw={**op.kw, **kw})
    return made
