"""The numbers of a page, and what it answers to wrong ones."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import NotFound

from flask_retort import RetortWarning
from flask_retort.pagination import Pagination

HUGE = 10**30


class Letters(Pagination[int]):
    """Pages of numbers, without a database."""

    def _query_items(self) -> list[int]:
        whole = range(self._query_args["length"])
        return list(whole[self._query_offset : self._query_offset + self.per_page])

    def _query_count(self) -> int:
        return int(self._query_args["length"])


@given(length=st.integers(0, 60), per_page=st.integers(1, 20), start=st.integers(1, 30))
def test_numbers_agree_with_the_items(length: int, per_page: int, start: int) -> None:
    """``first``, ``last``, ``pages`` and the numbers of the neighbours agree with the items."""
    page = Letters(start, per_page, error_out=False, length=length)
    if page.items:
        assert [page.first, page.last] == [page.items[0] + 1, page.items[-1] + 1]
    else:
        assert (page.first, page.last) == (0, 0)
    assert (page.pages - 1) * per_page < max(length, 1) or length == 0
    assert page.pages * per_page >= length
    assert page.has_next == (page.next_num is not None) == (start < page.pages)
    assert page.has_prev == (page.prev_num is not None) == (start > 1)
    assert list(page) == page.items


@given(
    length=st.integers(0, 60),
    page=st.integers(1, 40),
    edges=st.tuples(*[st.integers(0, 5)] * 4),
)
def test_links_are_the_edges_and_the_neighbours(
    length: int, page: int, edges: tuple[int, int, int, int]
) -> None:
    """``iter_pages`` gives each page at an edge or near the current one, and None for each gap."""
    left_edge, left, right, right_edge = edges
    links = list(
        Letters(page, 1, error_out=False, length=length).iter_pages(
            left_edge=left_edge, left_current=left, right_current=right, right_edge=right_edge
        )
    )
    wanted = [
        number
        for number in range(1, length + 1)
        if number <= left_edge
        or page - left <= number <= page + right
        or number > length - right_edge
    ]
    assert [number for number in links if number is not None] == wanted
    runs = [0, *links, length + 1]
    for one, other in itertools.pairwise(runs):
        if one is not None and other is not None:
            assert other == one + 1
        else:
            assert one is not None or other is not None


# --- numbers from the request -------------------------------------------------


@pytest.fixture
def ask(app: Flask) -> Callable[..., Pagination[int]]:
    """Makes a page of 500 numbers in a request with this query string."""

    def ask(query: str, **kwargs: Any) -> Pagination[int]:
        with app.test_request_context(f"/?{query}"):
            return Letters(length=500, **kwargs)

    return ask


@pytest.mark.parametrize("query", ["", "page=1", "per_page=20", "page=1&per_page=20", "page=01"])
def test_the_default_is_page_1_of_20(ask: Any, query: str) -> None:
    """What a request leaves out is page 1, 20 items."""
    page = ask(query)
    assert (page.page, page.per_page, page.total) == (1, 20, 500)


def test_arguments_win_over_the_request(ask: Any) -> None:
    """A request cannot change what the call gives."""
    page = ask("page=9&per_page=9", page=2, per_page=3)
    assert (page.page, page.per_page) == (2, 3)


def test_a_page_without_request_has_the_defaults() -> None:
    """Outside a request and an application a page is as large, and has the same limit."""
    page = Letters(length=500)
    assert (page.page, page.per_page, page.max_per_page) == (1, 20, 100)


BAD = ["abc", "0", "-1", "", "1.5", "9" * 5000, "%00"]


@pytest.mark.parametrize("value", [*BAD, str(HUGE)])
@pytest.mark.parametrize("name", ["page", "per_page"])
def test_a_wrong_number_is_404_or_the_default(ask: Any, name: str, value: str) -> None:
    """What is not a positive number of a size that a database takes is never used."""
    # Too large for a database only where no limit makes it small.
    kwargs = {"max_per_page": None} if value == str(HUGE) else {}
    with pytest.raises(NotFound):
        ask(f"{name}={value}", **kwargs)
    page = ask(f"{name}={value}", error_out=False, **kwargs)
    assert (page.page, page.per_page) == (1, 20)


@pytest.mark.parametrize("value", ["x", "0", "-1"])
def test_the_limit_holds_for_the_default_too(ask: Any, value: str) -> None:
    """A wrong size that becomes the default of 20 is still cut to the limit."""
    assert ask(f"per_page={value}", max_per_page=10, error_out=False).per_page == 10


def test_an_empty_page_is_404_but_the_first(ask: Any) -> None:
    """A page after the last is 404, or has no items; the first page may have none."""
    with pytest.raises(NotFound):
        ask("page=26")
    assert ask("page=26", error_out=False).items == []
    assert Letters(length=0).items == []


# --- the most items -----------------------------------------------------------


def test_a_request_cannot_ask_for_all_rows(ask: Any) -> None:
    """Without further words a page has at most 100 items, whatever the request asks for."""
    assert len(ask("per_page=100000").items) == 100
    assert len(ask("per_page=100").items) == 100


def test_the_limit_is_the_calls(ask: Any) -> None:
    """``max_per_page`` replaces the limit; None lifts it."""
    assert len(ask("per_page=300", max_per_page=50).items) == 50
    assert len(ask("per_page=300", max_per_page=200).items) == 200
    assert len(ask("per_page=300", max_per_page=None).items) == 300


def test_the_limit_can_be_configured(app: Flask, ask: Any) -> None:
    """``RETORT_MAX_PER_PAGE`` of the current application is the default; None lifts it."""
    app.config["RETORT_MAX_PER_PAGE"] = 7
    assert len(ask("").items) == 7
    app.config["RETORT_MAX_PER_PAGE"] = None
    assert len(ask("per_page=300").items) == 300


def test_a_limit_below_one_is_refused() -> None:
    """A limit that allows no page is the programmer's mistake."""
    with pytest.raises(ValueError, match="max_per_page is 0"):
        Letters(length=5, max_per_page=0)


def test_a_call_that_is_cut_is_warned() -> None:
    """A ``per_page`` in the code above the default limit is cut, with a warning at its own line."""
    with pytest.warns(RetortWarning, match="per_page=500, max_per_page=500") as caught:
        page = Letters(length=500, per_page=500)
    assert len(page.items) == 100
    assert str(caught[0].message).endswith("[retort:per-page-cut]")
    assert caught[0].filename == __file__


def test_a_call_that_says_so_is_not_warned(ask: Any) -> None:
    """Neither a request nor a call with its own limit is worth a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask("per_page=500")
        assert len(ask("", per_page=500, max_per_page=500).items) == 500
        assert len(ask("", per_page=500, max_per_page=None).items) == 500
        assert len(ask("", per_page=500, max_per_page=50).items) == 50
        Letters(length=500, per_page=100).next()


@pytest.mark.parametrize("limit", [None, 250])
def test_turning_a_page_keeps_everything(limit: int | None) -> None:
    """The next and previous pages have the size, limit, total and arguments of this one."""
    page = Letters(2, 200, limit, length=500)
    there = page.next().prev()
    assert there.items == page.items == list(range(200, 400))
    assert vars(there) == vars(page)
    assert page.prev().items == list(range(200))


def test_turning_beyond_the_ends() -> None:
    """Before the first page is the first, after the last is an empty one; or 404 if asked."""
    page = Letters(1, 20, length=20)
    assert page.prev().page == 1
    assert page.next().items == []
    with pytest.raises(NotFound):
        page.prev(error_out=True)
    with pytest.raises(NotFound):
        page.next(error_out=True)


def test_a_page_without_count_knows_no_total() -> None:
    """``count=False`` leaves total, number of pages and next page unknown."""
    page = Letters(2, 20, count=False, length=500)
    assert (page.total, page.pages, page.has_next, page.next_num) == (None, 0, False, None)
    assert list(page.iter_pages()) == []
    assert page.has_prev
    assert page.next().items == list(range(40, 60))


def test_a_subclass_has_to_say_what_its_items_are() -> None:
    """``Pagination`` itself has nothing to show."""
    with pytest.raises(NotImplementedError):
        Pagination[int]()
