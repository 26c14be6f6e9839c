"""Why an order is not placed; nothing is written then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from shop.services.placing.submission import Line

HIGHEST_TOTAL = Decimal("99999999.99")
"""What the column of totals can hold."""


class Offer(NamedTuple):
    """A product's price, and the pieces there are."""

    unit_price: Decimal
    stock: int


class OrderRefused(Exception):  # noqa: N818 - names the outcome
    """What all refusals have in common."""


class UnknownBuyer(OrderRefused):
    """The user does not exist or is not active."""


class UnknownProducts(OrderRefused):
    """Some products do not exist."""

    def __init__(self, product_ids: Sequence[int]) -> None:
        super().__init__(product_ids)
        self.product_ids = product_ids


class OutOfStock(OrderRefused):
    """There are too few pieces of some products; may be tried again later with the same key."""

    def __init__(self, available: Mapping[int, int]) -> None:
        super().__init__(available)
        self.available = available
        """Pieces that are left, by the product's id."""


class TotalTooLarge(OrderRefused):
    """The sum is more than an order can hold."""


class KeyReused(OrderRefused):
    """The user has placed another order with this idempotency key."""


class KeyInProgress(OrderRefused):
    """A submission with this key is being worked on; its outcome can be asked for again soon."""


def total_of(lines: Iterable[Line], offers: Mapping[int, Offer]) -> Decimal:
    """The sum of the lines at today's prices.

    :param offers: what the database has of these products, by id.
    :raises UnknownProducts, OutOfStock, TotalTooLarge: the order can't be filled.
    """
    lines = tuple(lines)
    if unknown := [line.product_id for line in lines if line.product_id not in offers]:
        raise UnknownProducts(unknown)
    stocks = {line.product_id: offers[line.product_id].stock for line in lines}
    if lacking := [line.product_id for line in lines if stocks[line.product_id] < line.quantity]:
        raise OutOfStock({product_id: stocks[product_id] for product_id in lacking})
    total = sum((offers[line.product_id].unit_price * line.quantity for line in lines), Decimal())
    if total > HIGHEST_TOTAL:
        raise TotalTooLarge()
    return total
