"""The data set's lines, read without a database."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.cdnow import catalogue, wheel
from shop.cdnow.purchases import BadLine, Purchase, read_lines, survey
from shop.errors import ShopError

HEADER = " customer_id  date number_of_cds  dollar_value\n"
GOOD = " 00002 19970112  5   77.00\n"
DAY = dt.datetime(1997, 1, 12, tzinfo=dt.UTC)

cents = st.integers(min_value=0, max_value=10**8)


@given(cents, st.integers(min_value=1, max_value=1000))
def test_items_are_exactly_the_purchase(paid: int, quantity: int) -> None:
    """The items of a purchase hold all its CDs and cost exactly what was paid."""
    items = Purchase(2, "00001", DAY, quantity, paid).items()
    assert sum(price * pieces for price, pieces in items) == paid
    assert sum(pieces for _, pieces in items) == quantity


@given(cents, st.integers(min_value=1, max_value=1000))
def test_items_are_as_alike_as_they_can_be(paid: int, quantity: int) -> None:
    """The items of a purchase have one unit price, or two that lie one cent apart."""
    prices = [price for price, _ in Purchase(2, "00001", DAY, quantity, paid).items()]
    assert len(prices) == 1 or prices == [prices[0], prices[0] + 1]


def test_a_line_is_a_purchase_at_midnight_utc() -> None:
    """A line gives customer, day, number of CDs and cents as written."""
    assert list(read_lines([HEADER, GOOD])) == [Purchase(2, "00002", DAY, 5, 7700)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "expected"),
        ("00002 19970112 5", "expected"),
        ("00002 19970112 5 77.00 1", "expected"),
        ("00002 19970112 5 -77.00", "expected"),
        ("00002 19970112 5 77.001", "expected"),
        ("00002 19970112 5 77", "expected"),
        ("00002 19970112 1e3 77.00", "expected"),
        ("٠٠٠٠٢ 19970112 5 77.00", "expected"),
        ("00002 19970231 5 77.00", "19970231 is not a date"),
        ("00002 19970112 0 77.00", "number of CDs is 0"),
    ],
)
def test_a_bad_line_is_named(line: str, reason: str) -> None:
    """Whatever is no purchase comes back with its line number and the reason."""
    [_, bad, _] = read_lines([HEADER, GOOD, line, GOOD])
    assert isinstance(bad, BadLine)
    assert bad.line == 3
    assert reason in bad.reason


def test_survey_reports_every_bad_line() -> None:
    """A survey counts all bad lines and lists the first 20."""
    with pytest.raises(ShopError) as caught:
        survey([HEADER, GOOD] + ["?\n"] * 30)
    message = str(caught.value)
    assert "30 lines" in message
    assert "line 3:" in message
    assert "line 22:" in message
    assert "line 23:" not in message
    assert "10 more" in message


@pytest.mark.parametrize("lines", [[], [HEADER], [GOOD, GOOD]])
def test_a_file_without_header_or_purchases_is_refused(lines: list[str]) -> None:
    """A file that is not the data set is never taken for an empty one."""
    with pytest.raises(ShopError, match="Nothing was imported"):
        survey(lines)


@given(cents, cents)
def test_each_price_has_its_own_product(one: int, other: int) -> None:
    """Two unit prices share a catalogue number only if they are equal."""
    assert (catalogue.sku(one) == catalogue.sku(other)) == (one == other)


@given(cents)
def test_a_catalogue_price_is_positive(price: int) -> None:
    """Every product costs something, and what was paid for it unless that was nothing."""
    assert catalogue.list_price(price) > 0
    assert catalogue.list_price(price) * 100 == (price or 1)


def test_the_whole_data_set(cdnow_wheel: Path) -> None:
    """The wheel holds 69,659 purchases of 23,570 customers and no bad line."""
    with wheel.open_lines(cdnow_wheel) as lines:
        found = survey(lines)
    assert (found.purchases, len(found.customers)) == (69_659, 23_570)
