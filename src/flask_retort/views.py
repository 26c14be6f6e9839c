"""What views ask of ``db``: objects or a 404 answer, and pages."""

from __future__ import annotations

from types import EllipsisType
from typing import Any, Literal, TypeVar, TypeVarTuple, overload

import sqlalchemy as sa
from sqlalchemy import exc, orm
from sqlalchemy.sql.selectable import TypedReturnsRows

from .pagination import SelectPagination
from .query import not_found
from .session import Session

T = TypeVar("T")
U = TypeVar("U")
Ts = TypeVarTuple("Ts")


class Views:
    """The part of :class:`.SQLAlchemy` that is used in views. All of it works on ``db.session``."""

    session: orm.scoped_session[Session]

    def get_or_404(
        self, entity: type[T], ident: Any, *, description: str | None = None, **kwargs: Any
    ) -> T:
        """The object with this primary key, from the session if it is there, else by one SELECT.

        :param description: text of the 404 page.
        :param kwargs: arguments of ``Session.get``, such as ``options``.
        :raises werkzeug.exceptions.NotFound: there is none.
        """
        found = self.session.get(entity, ident, **kwargs)
        if found is None:
            not_found(description)
        return found

    @overload
    def first_or_404(
        self, statement: sa.Select[T | None, *Ts], *, description: str | None = ...
    ) -> T: ...

    @overload
    def first_or_404(
        self, statement: TypedReturnsRows[T], *, description: str | None = ...
    ) -> T: ...

    @overload
    def first_or_404(self, statement: sa.Executable, *, description: str | None = ...) -> Any: ...

    def first_or_404(self, statement: sa.Executable, *, description: str | None = None) -> Any:
        """The first column of the first row. Add ``limit(1)`` where there can be many rows.

        :param description: text of the 404 page.
        :raises werkzeug.exceptions.NotFound: there is no row, or the value is NULL.
        """
        found = self.session.execute(statement).scalar()
        if found is None:
            not_found(description)
        return found

    @overload
    def one_or_404(self, statement: sa.Select[T, *Ts], *, description: str | None = ...) -> T: ...

    @overload
    def one_or_404(self, statement: TypedReturnsRows[T], *, description: str | None = ...) -> T: ...

    @overload
    def one_or_404(self, statement: sa.Executable, *, description: str | None = ...) -> Any: ...

    def one_or_404(self, statement: sa.Executable, *, description: str | None = None) -> Any:
        """The first column of the only row.

        :param description: text of the 404 page.
        :raises werkzeug.exceptions.NotFound: there is no row, or there are several.
        """
        try:
            return self.session.execute(statement).scalar_one()
        except (exc.NoResultFound, exc.MultipleResultsFound):
            not_found(description)

    @overload
    def paginate(
        self,
        select: sa.Select[T] | sa.CompoundSelect[T],
        *,
        page: int | None = ...,
        per_page: int | None = ...,
        max_per_page: int | EllipsisType | None = ...,
        error_out: bool = ...,
        count: bool = ...,
        scalars: Literal[True] | None = ...,
    ) -> SelectPagination[T]: ...

    @overload
    def paginate(
        self,
        select: sa.Select[T, *Ts] | sa.CompoundSelect[T, *Ts],
        *,
        page: int | None = ...,
        per_page: int | None = ...,
        max_per_page: int | EllipsisType | None = ...,
        error_out: bool = ...,
        count: bool = ...,
        scalars: Literal[True],
    ) -> SelectPagination[T]: ...

    @overload
    def paginate(
        self,
        select: sa.Select[T] | sa.CompoundSelect[T],
        *,
        page: int | None = ...,
        per_page: int | None = ...,
        max_per_page: int | EllipsisType | None = ...,
        error_out: bool = ...,
        count: bool = ...,
        scalars: Literal[False],
    ) -> SelectPagination[sa.Row[T]]: ...

    @overload
    def paginate(
        self,
        select: sa.Select[T, U, *Ts] | sa.CompoundSelect[T, U, *Ts],
        *,
        page: int | None = ...,
        per_page: int | None = ...,
        max_per_page: int | EllipsisType | None = ...,
        error_out: bool = ...,
        count: bool = ...,
        scalars: Literal[False] | None = ...,
    ) -> SelectPagination[sa.Row[T, U, *Ts]]: ...

    @overload
    def paginate(
        self,
        select: sa.Select[*tuple[Any, ...]] | sa.CompoundSelect[*tuple[Any, ...]],
        *,
        page: int | None = ...,
        per_page: int | None = ...,
        max_per_page: int | EllipsisType | None = ...,
        error_out: bool = ...,
        count: bool = ...,
        scalars: bool | None,
    ) -> SelectPagination[Any]: ...

    def paginate(
        self,
        select: Any,
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | EllipsisType | None = ...,
        error_out: bool = True,
        count: bool = True,
        scalars: bool | None = None,
    ) -> SelectPagination[Any]:
        """One page of a select; page and size come from the request's query string if not given.

        A select of one entity gives its objects, each once, also over a join; a select of one
        column its values; a select of several columns rows. Emits a SELECT for the items (two over
        a join) and one for the total.

        :param select: a ``select()`` or ``union()``.
        :param page: number of the page, from 1.
        :param per_page: items on a page, 20 by default.
        :param max_per_page: the most that ``per_page`` may be, whoever asks for it; None is no
            limit. By default ``RETORT_MAX_PER_PAGE``, which is 100.
        :param error_out: answer 404 to a wrong number and to an empty page after the first.
        :param count: fetch the total.
        :param scalars: whether an item is the first value of a row, or the row.
        :raises werkzeug.exceptions.NotFound: see ``error_out``.
        """
        return SelectPagination(
            select=select,
            session=self.session(),
            page=page,
            per_page=per_page,
            max_per_page=max_per_page,
            error_out=error_out,
            count=count,
            scalars=scalars,
        )
