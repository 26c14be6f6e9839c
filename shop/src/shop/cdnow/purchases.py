"""What the data set says, line by line: who bought how many CDs on which day for how much money."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shop.errors import ShopError

HEADER = ["customer_id", "date", "number_of_cds", "dollar_value"]
SHOWN_BAD_LINES = 20

_LINE = re.compile(r"\s*(\d{1,20})\s+(\d{8})\s+(\d{1,9})\s+(\d{1,8})\.(\d\d)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line of the file.

    :param line: its number in the file, from 1.
    :param customer: the customer's number as written, such as ``00001``.
    :param day: midnight UTC of the day; the file knows no hour.
    :param quantity: CDs bought, at least 1.
    :param cents: what was paid for all of them, in US cents; 0 occurs.
    """

    line: int
    customer: str
    day: dt.datetime
    quantity: int
    cents: int

    def items(self) -> list[tuple[int, int]]:
        """Pairs of unit price in cents and quantity whose sum is exactly what was paid.

        What does not divide evenly becomes two pairs, one cent apart, the cheaper one first.
        """
        low, dearer = divmod(self.cents, self.quantity)
        pairs = [(low, self.quantity - dearer), (low + 1, dearer)]
        return [(cents, quantity) for cents, quantity in pairs if quantity]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no purchase, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What a whole file holds: the customers and unit prices in it, and how much of the rest."""

    customers: list[str]
    unit_prices: list[int]
    purchases: int
    items: int


def survey(lines: Iterable[str]) -> Survey:
    """Read a whole file without keeping it; memory grows with customers and prices only.

    :raises ShopError: there is no purchase, or lines are bad; the message names the first 20 of
        them by their numbers.
    """
    customers: dict[str, None] = {}
    unit_prices: set[int] = set()
    bad: list[BadLine] = []
    bad_count = purchases = items = 0
    for line in read_lines(lines):
        if isinstance(line, BadLine):
            bad_count += 1
            if len(bad) < SHOWN_BAD_LINES:
                bad.append(line)
            continue
        pairs = line.items()
        customers[line.customer] = None
        unit_prices.update(cents for cents, _ in pairs)
        purchases += 1
        items += len(pairs)
    if not purchases and not bad:
        raise ShopError("Nothing was imported, for the file holds no purchase.")
    if bad:
        raise ShopError(_bad_lines_message(bad, bad_count))
    return Survey(list(customers), sorted(unit_prices), purchases, items)


def read(lines: Iterable[str]) -> Iterator[Purchase]:
    """The purchases of a file, one at a time.

    :raises ShopError: at the first bad line.
    """
    for line in read_lines(lines):
        if isinstance(line, BadLine):
            raise ShopError(_bad_lines_message([line], 1))
        yield line


def read_lines(lines: Iterable[str]) -> Iterator[Purchase | BadLine]:
    """Each line after the header as a purchase or as what is wrong with it, one at a time."""
    numbered = enumerate(lines, start=1)
    number, header = next(numbered, (1, ""))
    if header.split() != HEADER:
        yield BadLine(number, f"the first line must be: {' '.join(HEADER)}")
        return
    for number, line in numbered:
        yield _read_line(number, line)


def _read_line(number: int, line: str) -> Purchase | BadLine:
    match = _LINE.fullmatch(line)
    if match is None:
        return BadLine(number, "expected customer, date as 19970101, number of CDs, value as 11.77")
    customer, day, quantity, dollars, cents = match.groups()
    if int(quantity) == 0:
        return BadLine(number, "the number of CDs is 0")
    try:
        midnight = dt.datetime(int(day[:4]), int(day[4:6]), int(day[6:]), tzinfo=dt.UTC)
    except ValueError:
        return BadLine(number, f"{day} is not a date")
    return Purchase(number, customer, midnight, int(quantity), int(dollars + cents))


def _bad_lines_message(bad: list[BadLine], count: int) -> str:
    listed = "".join(f"\n  line {each.line}: {each.reason}" for each in bad)
    more = f"\n  and {count - len(bad):,} more" if count > len(bad) else ""
    return f"Nothing was imported, for {count:,} lines can't be read:{listed}{more}"
