"""The statements behind one page of a select: its rows, its parents' keys, its total."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.sql.functions import FunctionElement

from . import _sa_compat as compat

LARGEST = 2**63 - 1
"""The largest LIMIT or OFFSET that all back ends take."""

Statement = sa.Select[Any] | sa.CompoundSelect[Any]
AnySession = Session | scoped_session[Any]
_NO_ENTITY = object()
# Drivers limit the number of parameters; SQLite's limit of 32,766 is the lowest.
_KEYS_A_STATEMENT = 1000


def only_entity(statement: Any) -> Any:
    """The model, or alias of one, that is all that the statement selects; None if there is more."""
    selected = _selected(statement)
    if len(selected) != 1:
        return None
    [(expression, entity)] = selected
    return entity if expression is entity else None


def has_one_column(statement: Statement) -> bool:
    """Whether each row is one value: a column, an entity, a bundle."""
    return len(_selected(statement) or statement.selected_columns) == 1


def fetch_page(
    statement: Statement,
    source: Any,
    fetch: Callable[[Any], list[Any]],
    session: AnySession,
    offset: int,
    size: int,
) -> list[Any]:
    """The items of one page, in order: one SELECT, or two where the rows repeat a parent.

    A select of one entity whose FROM has more than the entity is paged by the entity: first the
    keys of the page's parents in the order of their first rows, then the statement for those.

    :param statement: the whole select.
    :param source: what is fetched from: the statement, or the legacy ``Query`` it belongs to.
    :param fetch: executes a source and gives its items.
    """
    entity = only_entity(statement)
    if entity is None or not _repeats_parents(statement, entity):
        offset, size = _within_limit(statement, offset, size)
        if size <= 0 or offset > LARGEST:
            return []
        return fetch(source.limit(size).offset(offset))
    keys = _keys_of_page(statement, entity, offset, size)
    wanted = [tuple(row) for row in session.execute(keys)]
    everything = source.limit(None).offset(None)
    found = {
        _identity(item): item
        for some in _portions(wanted)
        for item in fetch(everything.where(_is_one_of(entity, some)))
    }
    return [found[key] for key in wanted if key in found]


def count_of(statement: Statement) -> sa.Select[int]:
    """A select of the number of items on all pages together.

    Counts keys instead of whole rows of a model, without order and eager loads.
    """
    entity = only_entity(statement)
    keys = _keys_for_entities(statement)
    if entity is not None and _repeats_parents(statement, entity):
        keys = sa.select(*_ordered_if_needed(statement, keys).subquery().c).distinct()
    count = sa.select(sa.func.count()).select_from(keys.order_by(None).subquery())
    return cast("sa.Select[int]", _with_settings_of(statement, count))


def _repeats_parents(statement: Any, entity: Any) -> bool:
    """Whether the FROM has more than the entity, so that an object can come in several rows."""
    if compat.is_distinct(statement) or _is_plainly_alone(statement, entity):
        return False
    return _has_more_froms(statement, entity)


def _is_plainly_alone(statement: Any, entity: Any) -> bool:
    """Whether one can see that the FROM has nothing more: no join, no condition on another table.

    Saves most selects the full answer, which costs more than the page itself.
    """
    if compat.has_joins(statement):
        return False
    alone: Any = sa.inspect(entity).selectable
    elements: list[Any] = compat.conditions(statement)
    while elements:
        element = elements.pop()
        if isinstance(element, sa.ColumnClause):
            if cast("Any", element).table is not alone:
                return False
        elif isinstance(element, sa.FromClause) and not isinstance(element, FunctionElement):
            return False
        else:
            elements += element.get_children()
    return True


def _has_more_froms(statement: Any, entity: Any) -> bool:
    keys = _primary_key(entity)
    froms = statement.with_only_columns(*keys, maintain_column_froms=True).get_final_froms()
    alone = sa.select(*keys).select_from(entity).get_final_froms()
    return len(froms) != 1 or not froms[0].compare(alone[0])


def _within_limit(statement: Any, offset: int, size: int) -> tuple[int, int]:
    """Offset and limit that give a page of the statement within its own limit and offset."""
    own_limit, own_offset = compat.limit_and_offset(statement)
    if own_limit is not None:
        size = min(size, own_limit - offset)
    return own_offset + offset, size


def _keys_of_page(statement: Any, entity: Any, offset: int, size: int) -> Any:
    """The primary keys of a page's parents, each at the place of its first row."""
    keys = _primary_key(entity)
    order = [*compat.order_of(statement), *keys]
    place = sa.func.row_number().over(order_by=order).label("retort_place")
    unlocked = compat.without_lock(statement)  # PostgreSQL can't number rows that it locks
    numbered = unlocked.with_only_columns(*keys, place, maintain_column_froms=True)
    *columns, first = _ordered_if_needed(statement, numbered).subquery().c
    page: Any = sa.select(*columns).group_by(*columns).order_by(sa.func.min(first))
    return cast("sa.Select[Any]", _with_settings_of(statement, page.limit(size).offset(offset)))


def _ordered_if_needed(statement: Any, keys: Any) -> Any:
    """The keys in the order of the statement where the order decides which rows there are."""
    keys = keys.order_by(None)
    if compat.limit_and_offset(statement) == (None, 0) and not compat.is_distinct_on(statement):
        return keys
    return keys.order_by(*compat.order_of(statement))


def _keys_for_entities(statement: Any) -> Any:
    """The statement with the primary key in place of each entity, other columns as they are."""
    statement = compat.without_lock(statement)
    selected = _selected(statement)
    if not any(expression is entity for expression, entity in selected):
        return statement
    columns: list[Any] = []
    for expression, entity in selected:
        columns.extend(_primary_key(entity) if expression is entity else [expression])
    return statement.with_only_columns(*columns, maintain_column_froms=True)


def _selected(statement: Any) -> list[tuple[Any, Any]]:
    """Each selected expression with its entity, the same one where it is selected whole.

    Empty for a ``union()``, which does not describe its columns.
    """
    if not isinstance(statement, sa.Select):
        return []
    described: list[Any] = cast("Any", statement).column_descriptions
    return [(column["expr"], column.get("entity", _NO_ENTITY)) for column in described]


def _with_settings_of(statement: Any, derived: Any) -> Any:
    """The derived statement, run as the original would be: same tenant, same visible rows."""
    return derived.options(*compat.loader_criteria(statement)).execution_options(
        **statement.get_execution_options()
    )


def _primary_key(entity: Any) -> list[Any]:
    mapper = sa.inspect(entity).mapper
    return [getattr(entity, mapper.get_property_by_column(c).key) for c in mapper.primary_key]


def _is_one_of(entity: Any, keys: list[tuple[Any, ...]]) -> sa.ColumnElement[bool]:
    columns = _primary_key(entity)
    if len(columns) == 1:
        return columns[0].in_([key for (key,) in keys])  # type: ignore[no-any-return]
    return sa.tuple_(*columns).in_(keys)


def _identity(item: Any) -> tuple[Any, ...] | None:
    parent: Any = cast("Any", item)[0] if isinstance(item, sa.Row) else item
    return cast("tuple[Any, ...] | None", sa.inspect(parent).identity)


def _portions(keys: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    for start in range(0, len(keys), _KEYS_A_STATEMENT):
        yield keys[start : start + _KEYS_A_STATEMENT]
