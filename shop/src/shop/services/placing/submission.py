"""What a buyer submits, and what has become of it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple


class Line(NamedTuple):
    """So many pieces of one product."""

    product_id: int
    quantity: int


class Sale(NamedTuple):
    """A line at the price of the time of sale."""

    product_id: int
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Submission:
    """One attempt to buy; made by :func:`submit`.

    :param lines: by product, in the order in which rows are locked; each product once.
    :param number: the order's, should there be one.
    """

    user_id: int
    lines: tuple[Line, ...]
    key_hash: str
    fingerprint: str
    number: str
    ordered_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as it was placed: what of it never changes, so that a repeat is answered alike."""

    number: str
    user_id: int
    ordered_at: dt.datetime
    total: Decimal
    sales: tuple[Sale, ...]


def submit(user_id: int, lines: Iterable[Line], key: str) -> Submission:
    """A submission of this moment; the order of the lines does not count.

    :param lines: at least one; each product once.
    :param key: the buyer's idempotency key.
    """
    ordered = tuple(sorted(lines))
    return Submission(
        user_id=user_id,
        lines=ordered,
        key_hash=_sha256(key),
        fingerprint=_sha256(json.dumps(ordered)),
        number=str(_uuid7()),
        ordered_at=dt.datetime.now(dt.UTC),
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _uuid7() -> uuid.UUID:
    """An identifier that needs no database to be unique, and grows with time (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    version, variant = 7 << 76, 2 << 62
    high, low = secrets.randbits(12) << 64, secrets.randbits(62)
    return uuid.UUID(int=milliseconds << 80 | version | high | variant | low)
