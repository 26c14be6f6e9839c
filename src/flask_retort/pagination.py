"""Pages by number: page 3 of the products, 20 a page, with the total."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from types import EllipsisType
from typing import Any, Generic, Self, TypeVar, cast

import sqlalchemy as sa
from flask import abort, current_app, has_app_context, has_request_context, request

from .errors import RetortWarning
from .page_statements import (
    LARGEST,
    AnySession,
    Statement,
    count_of,
    fetch_page,
    has_one_column,
    only_entity,
)

T = TypeVar("T")

DEFAULT_PER_PAGE = 20
DEFAULT_MAX_PER_PAGE = 100


class Pagination(Generic[T]):
    """One page of something countable. Items, and the total unless ``count`` is false, are fetched
    when it is made.

    Subclasses give ``_query_items`` and ``_query_count``, from ``_query_offset``, ``per_page`` and
    ``_query_args``.

    A number that is missing is read from the query string of the request, else is page 1 of 20
    items. A number that is not a positive integer, or too large for a database, is wrong.

    :param page: number of the page, from 1.
    :param per_page: items on a page.
    :param max_per_page: the most items a page may have, whoever asks for it; None is no limit. By
        default ``RETORT_MAX_PER_PAGE`` of the current application, 100 unless set.
    :param error_out: answer 404 to a wrong number, or when a page after the first has no items.
        Otherwise wrong numbers become the defaults.
    :param count: fetch the total. Without it there is no ``total``, ``pages`` or ``has_next``.
    :param kwargs: kept in ``_query_args`` for the subclass.
    :raises werkzeug.exceptions.NotFound: see ``error_out``.
    :raises ValueError: ``max_per_page`` is less than 1.
    """

    page: int
    """Number of this page."""
    per_page: int
    """The most items on this page."""
    max_per_page: int | None
    """The limit of ``per_page``; None if there is none."""
    items: list[T]
    """The items of this page."""
    total: int | None
    """Number of items on all pages; None if they were not counted."""

    def __init__(
        self,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | EllipsisType | None = ...,
        error_out: bool = True,
        count: bool = True,
        **kwargs: Any,
    ) -> None:
        self._query_args = kwargs
        self.max_per_page = _default_cap() if max_per_page is ... else max_per_page
        if max_per_page is ... and per_page is not None:
            _warn_of_cut(per_page, self.max_per_page)
        self.page, self.per_page = _page_numbers(page, per_page, self.max_per_page, error_out)
        self.items = self._query_items()
        if not self.items and self.page > 1 and error_out:
            abort(404)
        self.total = self._query_count() if count else None

    @property
    def _query_offset(self) -> int:
        """Number of items before this page."""
        return (self.page - 1) * self.per_page

    def _query_items(self) -> list[T]:
        """Fetch the items of this page."""
        raise NotImplementedError

    def _query_count(self) -> int:
        """Fetch the number of items on all pages."""
        raise NotImplementedError

    @property
    def first(self) -> int:
        """Number of the first item on this page, from 1; 0 if there are no items."""
        return self._query_offset + 1 if self.items else 0

    @property
    def last(self) -> int:
        """Number of the last item on this page, from 1; 0 if there are no items."""
        return self._query_offset + len(self.items) if self.items else 0

    @property
    def pages(self) -> int:
        """Number of pages; 0 if there are no items or they were not counted."""
        return -(-(self.total or 0) // self.per_page)

    @property
    def has_prev(self) -> bool:
        """Whether this is not the first page."""
        return self.page > 1

    @property
    def prev_num(self) -> int | None:
        """Number of the previous page; None on the first."""
        return self.page - 1 if self.has_prev else None

    @property
    def has_next(self) -> bool:
        """Whether there is a next page; False when the items were not counted."""
        return self.page < self.pages

    @property
    def next_num(self) -> int | None:
        """Number of the next page; None if none is known."""
        return self.page + 1 if self.has_next else None

    def prev(self, *, error_out: bool = False) -> Self:
        """The previous page, made the same way. Fetches its items and counts nothing.

        :param error_out: answer 404 on the first page, instead of giving it again.
        """
        return self._turn_to(self.page - 1, error_out)

    def next(self, *, error_out: bool = False) -> Self:
        """The next page, made the same way. Fetches its items and counts nothing.

        :param error_out: answer 404 after the last page, instead of giving a page without items.
        """
        return self._turn_to(self.page + 1, error_out)

    def _turn_to(self, page: int, error_out: bool) -> Self:
        other = type(self)(
            page=page,
            per_page=self.per_page,
            max_per_page=self.max_per_page,
            error_out=error_out,
            count=False,
            **self._query_args,
        )
        other.total = self.total
        return other

    def iter_pages(
        self,
        *,
        left_edge: int = 2,
        left_current: int = 2,
        right_current: int = 4,
        right_edge: int = 2,
    ) -> Iterator[int | None]:
        """The page numbers for a row of links, with None where numbers are left out.

        :param left_edge: how many of the first pages.
        :param left_current: how many pages before this one.
        :param right_current: how many pages after this one.
        :param right_edge: how many of the last pages.
        """
        end = self.pages + 1
        shown = {
            *range(1, min(left_edge + 1, end)),
            *range(max(self.page - left_current, 1), min(self.page + right_current + 1, end)),
            *range(max(end - right_edge, 1), end),
        }
        expected = 1
        for number in sorted(shown):
            if number != expected:
                yield None
            yield number
            expected = number + 1
        if expected != end:
            yield None

    def __iter__(self) -> Iterator[T]:
        """Iterate over the items."""
        yield from self.items


class SelectPagination(Pagination[T]):
    """A page of a select statement.

    A select of one entity gives its objects, each once, even when the statement joins other tables;
    a select of one column gives its values; a select of several gives rows.

    Emits one SELECT for the items, or two where the statement joins other tables to its entity, and
    one for the total.

    :param select: a ``select()`` or ``union()``; its own limit and offset stay in force.
    :param session: executes it.
    :param scalars: whether an item is the first value of a row or the row. By default as above.
    :raises TypeError: the statement can't be limited, or is limited by an expression.
    """

    def _query_items(self) -> list[T]:
        select = _as_select(self._query_args["select"])
        session: AnySession = self._query_args["session"]
        return fetch_page(select, select, self._fetch, session, self._query_offset, self.per_page)

    def _query_count(self) -> int:
        session: AnySession = self._query_args["session"]
        return session.execute(count_of(self._query_args["select"])).scalar_one()

    def _fetch(self, statement: Statement) -> list[T]:
        session: AnySession = self._query_args["session"]
        scalars: bool | None = self._query_args.get("scalars")
        result: Any = session.execute(statement)
        if only_entity(statement) is not None:
            result = result.unique()
        if scalars if scalars is not None else has_one_column(statement):
            result = result.scalars()
        items: list[T] = result.all()
        return items


def _as_select(given: Any) -> Statement:
    select = given  # another name: narrowing by isinstance would lose the types of the columns
    if isinstance(given, sa.Select | sa.CompoundSelect):
        return select  # type: ignore[no-any-return] # was just checked
    raise TypeError(
        f"A page is cut from a select() or a union(), not from {type(given).__name__!r}. Write"
        " db.paginate(db.select(Model)); for a query, Model.query.paginate()."
    )


class QueryPagination(Pagination[T]):
    """A page of a legacy ``Query``; gives what the query gives, as :class:`SelectPagination` does.

    :param query: the query; its own limit and offset stay in force.
    """

    def _query_items(self) -> list[T]:
        query = self._query_args["query"]
        return fetch_page(
            query.statement,
            query,
            lambda limited: limited.all(),
            query.session,
            self._query_offset,
            self.per_page,
        )

    def _query_count(self) -> int:
        query = self._query_args["query"]
        count: int = query.session.execute(count_of(query.statement)).scalar_one()
        return count


def _page_numbers(
    page: int | None, per_page: int | None, cap: int | None, error_out: bool
) -> tuple[int, int]:
    """The checked page and page size, from the arguments, the request or the defaults."""
    if cap is not None and cap < 1:
        raise ValueError(f"max_per_page is {cap}. Give a number from 1 on, or None for no limit.")
    largest = LARGEST if cap is None else min(cap, LARGEST)
    size = _asked_for("per_page", per_page, DEFAULT_PER_PAGE)
    number = _asked_for("page", page, 1)
    if size is None or size < 1 or (cap is None and size > LARGEST):
        size = _default(DEFAULT_PER_PAGE, error_out)
    size = min(size, largest)
    if number is None or number < 1 or number * size > LARGEST:
        number = _default(1, error_out)
    return number, size


def _asked_for(name: str, argument: int | None, default: int) -> int | None:
    """The number asked for; None if it is not one."""
    if argument is not None:
        return argument
    if not has_request_context():
        return default
    try:
        return int(request.args.get(name, default))
    except ValueError:
        return None


def _default(number: int, error_out: bool) -> int:
    if error_out:
        abort(404)
    return number


def _default_cap() -> int | None:
    if not has_app_context():
        return DEFAULT_MAX_PER_PAGE
    config = cast("dict[str, Any]", current_app.config)
    cap: int | None = config.get("RETORT_MAX_PER_PAGE", DEFAULT_MAX_PER_PAGE)
    return cap


def _warn_of_cut(per_page: int, cap: int | None) -> None:
    if cap is None or per_page <= cap:
        return
    message = (
        f"per_page={per_page} was cut to {cap}, the most that a page may have unless the call says"
        " otherwise, so that no request can ask for all rows. If this call needs more, write"
        f" per_page={per_page}, max_per_page={per_page}; max_per_page=None is no limit. For the"
        " whole application set RETORT_MAX_PER_PAGE."
    )
    warnings.warn(RetortWarning(message, code="per-page-cut"), stacklevel=_levels_to_the_caller())


def _levels_to_the_caller() -> int:
    """How many calls lie between the warning and the code that uses this package."""
    package = __name__.partition(".")[0]
    frame = inspect.currentframe()
    levels = 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith(package):
        frame = frame.f_back
        levels += 1
    return levels
