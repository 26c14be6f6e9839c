"""The private names of SQLAlchemy that this package relies on, all, and why each is needed."""

# pyright: reportPrivateUsage=false
# They are what this file is for.

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstanceState, LoaderCriteriaOption, Mapper, QueryableAttribute
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateTableAs

from .errors import RetortWarning

_DATACLASS_ARGUMENTS = "_sa_apply_dc_transforms"


def suspend_dataclass(cls: type[Any]) -> None:
    """Let the class be mapped as an ordinary class although its base is a ``MappedAsDataclass``.

    SQLAlchemy refuses a dataclass model that brings its own ``__table__``, and has no public way
    for one class to say that it does not want to be a dataclass.
    """
    setattr(cls, _DATACLASS_ARGUMENTS, None)


def resume_dataclass(cls: type[Any]) -> None:
    """Undo :func:`suspend_dataclass`, so that subclasses are dataclasses again."""
    if vars(cls).get(_DATACLASS_ARGUMENTS, ...) is None:
        delattr(cls, _DATACLASS_ARGUMENTS)


def is_validator(member: Any) -> bool:
    """Whether a member of a class is marked by ``@validates``.

    The public ``Mapper.validators`` is filled too late for a validator to be replaced.
    """
    return hasattr(member, "__sa_validators__")


def parts_of(clause: Any) -> list[Any]:
    """The elements that a statement is made of, for a walk over all it touches.

    The public ``get_children()`` of a select also works out its FROM list, which costs more than
    the whole walk.
    """
    select = clause  # another name: narrowing by isinstance would lose the types of the columns
    if not isinstance(clause, sa.Select):
        return [*([clause.table] if clause.is_dml else []), *clause.get_children()]
    joins = [element for join in select._setup_joins for element in join[:3]]
    return [
        *select._raw_columns,
        *select._from_obj,
        *joins,
        *select._where_criteria,
        *select._having_criteria,
        *select._group_by_clauses,
        *select._order_by_clauses,
        *select._independent_ctes,
    ]


def type_variants(type_: Any) -> Mapping[str, Any]:
    """What ``with_variant()`` has said of a type, by the dialect's name; it is only written."""
    variants: Mapping[str, Any] = getattr(type_, "_variant_mapping", {})
    return variants


def set_type_variants(type_: Any, variants: Mapping[str, Any]) -> None:
    """Replace them, which ``with_variant()`` does for one that is not there yet only."""
    type_._variant_mapping = dict(variants)


def is_made_from_select(table: Any) -> bool:
    """Whether a table of a metadata is a view, or is filled from a SELECT as it is created.

    SQLAlchemy tells of views only, by ``is_view``.
    """
    return table.is_view or isinstance(getattr(table, "_creator_ddl", None), CreateTableAs)


def has_joins(statement: Any) -> bool:
    """Whether the select has ``join()`` or ``select_from()``."""
    return bool(statement._setup_joins or statement._from_obj)


def conditions(statement: Any) -> list[Any]:
    """What was given to ``where()``, as a new list; the public ``whereclause`` joins it by AND."""
    return list(statement._where_criteria)


def order_of(statement: sa.GenerativeSelect) -> Sequence[sa.ColumnElement[Any]]:
    """What the select, or union, is ordered by, as it was given.

    A statement can be given an order, but there is no public way to read it.
    """
    return statement._order_by_clauses


def limit_and_offset(statement: sa.GenerativeSelect) -> tuple[int | None, int]:
    """The numbers given to ``limit()`` or ``fetch()``, and to ``offset()``.

    There is no public way to read them.

    :raises TypeError: they are expressions, not numbers, or depend on the rows.
    """
    fetch = statement._fetch_clause
    if fetch is not None and any((statement._fetch_clause_options or {}).values()):
        raise TypeError(_UNREADABLE_LIMIT)
    limit = statement._limit_clause if fetch is None else fetch
    return _number(limit), _number(statement._offset_clause) or 0


def locks_rows(statement: Any) -> bool:
    """Whether the statement is a select ``with_for_update()``, which can be set but not asked."""
    return getattr(statement, "_for_update_arg", None) is not None


def has_writing_cte(select: Any) -> bool:
    """Whether the select reads from, joins or has an INSERT, UPDATE or DELETE as a CTE.

    Looks at its columns and tables only, as each select passes here, and not into subqueries. There
    is no public way to ask for those without working out the FROM list.
    """
    parts = [*select._independent_ctes, *select._raw_columns, *select._from_obj]
    parts += [join[0] for join in select._setup_joins]
    for part in parts:
        table = getattr(part, "table", part)
        if isinstance(table, sa.CTE) and table.element.is_dml:
            return True
    return False


def is_orm_statement(statement: Any) -> bool:
    """Whether the statement is about models, which only an event of the session tells publicly."""
    plugin: object = getattr(statement, "_propagate_attrs", {}).get("compile_state_plugin")
    return plugin == "orm"


def mapper_of(statement: Any) -> Mapper[Any] | None:
    """The mapper of the first model that the statement is about."""
    subject: Any = getattr(statement, "_propagate_attrs", {}).get("plugin_subject")
    return getattr(subject, "mapper", None)


def rereads(statement: Any, options: Mapping[str, Any] | None) -> bool:
    """Whether loaded objects get the database's values: a refresh, or ``populate_existing``.

    :param options: execution options of the call.
    """
    option = "populate_existing"
    if statement.get_execution_options().get(option) or (options and options.get(option)):
        return True
    loading = options and options.get("_sa_orm_load_options")
    if loading is not None and getattr(loading, "_populate_existing", False):
        return True
    compiling = getattr(statement, "_compile_options", None)
    return bool(getattr(compiling, "_for_refresh_state", False))


def is_plain_read(statement: Any, options: Mapping[str, Any] | None) -> bool:
    """Whether it is a select of models that locks, skips and reads again nothing: the usual case.

    :param options: execution options of the call.
    """
    return (
        isinstance(statement, sa.Select)
        and statement._for_update_arg is None
        and statement._offset_clause is None
        and statement._propagate_attrs.get("compile_state_plugin") == "orm"
        and not rereads(statement, options)
    )


def row_lock(statement: Any) -> Any:
    """The ``with_for_update()`` of a select (nowait, skip_locked, read, of), or None."""
    return getattr(statement, "_for_update_arg", None)


def has_options(statement: Any) -> bool:
    """Whether the select has ``options()``, which can bring more tables into it."""
    return bool(getattr(statement, "_with_options", ()))


def without_lock(statement: Any) -> Any:
    """The select without ``with_for_update()``, which there is no public way to take back."""
    if statement._for_update_arg is None:
        return statement
    unlocked = statement._generate()
    unlocked._for_update_arg = None
    return unlocked


def is_distinct(statement: sa.Select[Any]) -> bool:
    """Whether whole rows are distinct, as by ``distinct()`` without arguments."""
    return statement._distinct and not is_distinct_on(statement)


def is_distinct_on(statement: sa.Select[Any]) -> bool:
    """Whether the select is PostgreSQL's ``DISTINCT ON``, whose rows depend on the order."""
    # The newer spelling, an extension of the statement, stands in front of the columns.
    return bool(statement._distinct_on) or statement._pre_columns_clause is not None


def loader_criteria(statement: sa.Executable) -> list[LoaderCriteriaOption]:
    """The ``with_loader_criteria`` options; SQLAlchemy does not apply those of a subquery."""
    options: tuple[object, ...] = statement._with_options
    return [option for option in options if isinstance(option, LoaderCriteriaOption)]


Refused = Callable[[InstanceState[Any], str, DetachedInstanceError], None]


def watch_loads(attribute: QueryableAttribute[Any], refused: Refused) -> None:
    """Have a function called before the error leaves with which a detached object refuses a load.

    SQLAlchemy has no event for it, and to mark each object as its session ends would cost every
    request. This costs a call for a load, and nothing where the attribute is loaded.

    :param attribute: of a mapped class, such as ``User.posts``. May be watched already.
    :param refused: gets the object's state, the attribute's name and the error; it may raise
        another error instead.
    """
    impl: Any = getattr(attribute, "impl", None)
    kind: Any = impl.__class__
    if hasattr(kind, _LOAD) and _LOAD not in vars(kind):
        impl.__class__ = _watched(kind, refused)


_LOAD = "_fire_loader_callables"


@functools.cache
def _watched(kind: Any, refused: Refused) -> type[Any]:
    def load(self: Any, state: InstanceState[Any], key: str, passive: Any) -> Any:
        try:
            return kind._fire_loader_callables(self, state, key, passive)
        except DetachedInstanceError as error:
            refused(state, key, error)
            raise

    return type(kind.__name__, (kind,), {"__slots__": (), _LOAD: load})


def max_overflow(pool: QueuePool) -> int:
    """How many connections the pool opens beyond its size; -1 is no limit.

    A pool tells its size, and has no public way to tell this.
    """
    return pool._max_overflow


_READ = (
    "_distinct",
    "_distinct_on",
    "_fetch_clause",
    "_fetch_clause_options",
    "_for_update_arg",
    "_from_obj",
    "_generate",
    "_group_by_clauses",
    "_having_criteria",
    "_independent_ctes",
    "_limit_clause",
    "_offset_clause",
    "_order_by_clauses",
    "_pre_columns_clause",
    "_propagate_attrs",
    "_raw_columns",
    "_setup_joins",
    "_where_criteria",
    "_with_options",
)
_UNREADABLE_LIMIT = (
    "A select whose LIMIT or OFFSET is an expression, WITH TIES or a percentage can't be cut into"
    " pages. Give limit() and offset() numbers, or leave them out and use per_page."
)


def _number(clause: Any) -> int | None:
    if clause is None:
        return None
    number: Any = getattr(clause, "effective_value", None)
    if isinstance(number, int):
        return number
    raise TypeError(_UNREADABLE_LIMIT)


def _check() -> None:
    missing = [name for name in _READ if not hasattr(sa.select(sa.literal(1)), name)]
    if missing:
        message = (
            f"A select of this SQLAlchemy, {sa.__version__}, has no {', '.join(missing)}. Pages,"
            " and statements of applications with several databases, may fail. Install a release of"
            " SQLAlchemy that Flask-Retort was tested with, or a newer Flask-Retort."
        )
        warnings.warn(RetortWarning(message, code="unknown-sqlalchemy"), stacklevel=2)


_check()
