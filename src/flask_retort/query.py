"""The legacy ``Query`` behind ``Model.query``, with pages and 404 answers."""

from __future__ import annotations

from types import EllipsisType
from typing import Any, NoReturn, TypeVar

from flask import abort
from sqlalchemy import exc, orm

from .pagination import Pagination, QueryPagination

T = TypeVar("T")


def not_found(description: str | None) -> NoReturn:
    """Answer 404, with the description if there is one."""
    if description is None:
        abort(404)
    abort(404, description=description)


class Query(orm.Query[T]):
    """A ``sqlalchemy.orm.Query`` for views: what is missing becomes a 404 response."""

    def get_or_404(self, ident: Any, description: str | None = None) -> T:
        """The object with this primary key, from the session if it is there, else by one SELECT.

        :param description: text of the 404 page.
        :raises werkzeug.exceptions.NotFound: there is none.
        """
        found = self.get(ident)
        if found is None:
            not_found(description)
        return found

    def first_or_404(self, description: str | None = None) -> T:
        """The first result of one SELECT with ``LIMIT 1``.

        :param description: text of the 404 page.
        :raises werkzeug.exceptions.NotFound: there is none.
        """
        found = self.first()
        if found is None:
            not_found(description)
        return found

    def one_or_404(self, description: str | None = None) -> T:
        """The only result.

        :param description: text of the 404 page.
        :raises werkzeug.exceptions.NotFound: there is none, or there are several.
        """
        try:
            return self.one()
        except (exc.NoResultFound, exc.MultipleResultsFound):
            not_found(description)

    def paginate(
        self,
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | EllipsisType | None = ...,
        error_out: bool = True,
        count: bool = True,
    ) -> Pagination[T]:
        """One page of the results, with the arguments of :meth:`.SQLAlchemy.paginate`."""
        return QueryPagination(
            query=self,
            page=page,
            per_page=per_page,
            max_per_page=max_per_page,
            error_out=error_out,
            count=count,
        )
