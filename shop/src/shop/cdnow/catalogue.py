"""The catalogue that follows from the purchases.

The file names no product, so one product stands for each unit price at which CDs were sold. The
shop's README states the whole rule.
"""

from __future__ import annotations

from decimal import Decimal

_BANDS = (500, 1000, 1500, 2000, 5000)


def sku(cents: int) -> str:
    """The catalogue number of the product that stands for a unit price."""
    return f"CD-{cents:05}"


def name(cents: int) -> str:
    """The name of the product that stands for a unit price."""
    return f"CD sold at {money(cents)}"


def list_price(cents: int) -> Decimal:
    """The unit price, but at least one cent: a product must have a price, and 0.00 was paid too."""
    return money(max(cents, 1))


def category(cents: int) -> str:
    """The price band that a unit price falls in."""
    for limit in _BANDS:
        if cents < limit:
            return f"CDs under {money(limit)}"
    return f"CDs from {money(_BANDS[-1])}"


def money(cents: int) -> Decimal:
    """US cents as exact dollars with two places."""
    return Decimal(cents).scaleb(-2)
