"""A page of a query as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, jsonify, request, url_for
from sqlalchemy import Select

from flask_retort.pagination import Pagination
from shop.db import db

T = TypeVar("T")

ID = "int(max=2147483647)"
"""Converter of ids in routes: what no INTEGER column can hold is not found, not an error."""


def respond(query: Select[T], represent: Callable[[T], dict[str, object]]) -> Response:
    """The page that ``page`` and ``per_page`` of the request ask for; two statements.

    :raises werkzeug.exceptions.NotFound: there is no such page.
    """
    page = db.paginate(query)
    return jsonify(
        items=[represent(item) for item in page.items],
        page=page.page,
        per_page=page.per_page,
        pages=page.pages,
        total=page.total,
        links=_links(page),
    )


def _links(page: Pagination[Any]) -> dict[str, str]:
    numbers = {
        "self": page.page,
        "first": 1,
        "prev": page.prev_num,
        "next": page.next_num,
        "last": page.pages or 1,
    }
    return {rel: _address(page, number) for rel, number in numbers.items() if number}


def _address(page: Pagination[Any], number: int) -> str:
    endpoint, arguments = request.endpoint, request.view_args or {}
    assert endpoint is not None, "pages are made inside a route"
    return url_for(endpoint, **arguments, page=number, per_page=page.per_page)
