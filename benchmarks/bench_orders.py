"""Orders of hot products, placed by eight at once: what the shop takes, and what it keeps."""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Callable
from functools import partial

import sqlalchemy as sa

from . import results
from .databases import MARIADB, POSTGRESQL
from .measure import Estimate, middle
from .orders import limits, ways
from .orders.crowd import Crowd, Turns, percentile, take_turns
from .orders.market import lost_units, market_in_file, market_on
from .orders.ways import Place
from .results import Claim, Result, Sheet

PACKAGES = ["flask", "sqlalchemy", "psycopg", "pymysql"]

RAW = "by hand in the driver (limit)"
OURS = "the shop, `place_order`"
SORTED = "ORM, one sorted `SELECT ... FOR UPDATE`"
CART_ORDER = "ORM, `FOR UPDATE` one by one in cart order (tutorials)"
CART_ORDER_WITH_US = "the same code on Flask-Retort's session"

ROUNDS = 24
SECONDS = 0.5
"""Of a turn; it ends when the last order that was begun has ended."""

Way = Callable[[sa.URL], Place]


def run(share: float = 1.0) -> Result:
    """Measure on every back end that is there; takes about five minutes.

    :param share: part of that time to spend, for a first look.
    """
    machine = {**results.machine(PACKAGES), "SQLite": sqlite3.sqlite_version}
    tables: list[Sheet] = []
    claims: list[Claim] = []
    skipped: list[str] = []
    rounds = max(2, round(ROUNDS * share))
    for server, limit in ((POSTGRESQL, limits.psycopg), (MARIADB, limits.pymysql)):
        absence = server.absence()
        if absence is not None:
            skipped.append(absence)
            continue
        machine[server.name] = server.version()
        rows: dict[str, Way] = {
            RAW: limit,
            OURS: ways.shop,
            SORTED: ways.sorted_lock,
            CART_ORDER: ways.cart_order,
        }
        with market_on(server) as url:
            turns = _turns(url, rows, rounds, threads=False)
        tables.append(_sheet(f"{server.name}, eight processes", turns))
        claims += _claims_of_server(server.name, turns)
    rows = {
        RAW: limits.sqlite,
        OURS: ways.shop,
        CART_ORDER: ways.cart_order,
        CART_ORDER_WITH_US: ways.cart_order_with_us,
    }
    with market_in_file() as url:
        turns = _turns(url, rows, rounds, threads=True)
    tables.append(_sheet("SQLite, eight threads", turns))
    claims += _claims_of_sqlite(turns)
    return {
        "name": "orders",
        "date": results.today(),
        "machine": machine,
        "tables": tables,
        "claims": claims,
        "skipped": skipped,
    }


def _turns(url: sa.URL, rows: dict[str, Way], rounds: int, *, threads: bool) -> dict[str, Turns]:
    crowd = Crowd({name: partial(way, url) for name, way in rows.items()}, threads=threads)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        return take_turns(
            crowd, rows, rounds=rounds, seconds=SECONDS, lost=partial(lost_units, engine)
        )
    finally:
        crowd.close()


def _claims_of_server(server: str, turns: dict[str, Turns]) -> list[Claim]:
    ratio = _ratio(turns[OURS], turns[RAW])
    claims = [_none(f"orders, deadlocks and other failures, {server}", turns[OURS].failed.total())]
    if server == POSTGRESQL.name:
        claims.append(_claim(f"orders a second, to the limit's, {server}", ratio, at_least=0.6))
        even = middle(turns[OURS].evenness)
        claims.append(_claim(f"orders, slowest buyer to fastest, {server}", even, at_least=0.7))
    return claims


def _claims_of_sqlite(turns: dict[str, Turns]) -> list[Claim]:
    ratio = _ratio(turns[OURS], turns[CART_ORDER])
    tail = middle(turns[OURS].tails)
    return [
        _none('orders, "database is locked" and other failures', turns[OURS].failed.total()),
        _claim("orders, 99th percentile to the median, SQLite", tail, at_most=20),
        _claim("orders a second, to the tutorials' code, SQLite", ratio, at_least=5),
    ]


def _ratio(own: Turns, other: Turns) -> Estimate:
    return middle([mine / its for mine, its in zip(own.rates, other.rates, strict=True)])


def _sheet(title: str, turns: dict[str, Turns]) -> Sheet:
    limit = turns[RAW]
    rounds = len(limit.rates)
    return {
        "title": title,
        "note": f"{rounds} rounds, turns of {SECONDS:g} s.",
        "head": [
            "row",
            "orders/s",
            "of the limit",
            "p50 ms",
            "p99 ms",
            "max ms",
            "slowest to fastest buyer",
            "failed",
            "lost units",
        ],
        "rows": [[name, *_cells(own, limit)] for name, own in turns.items()],
    }


def _cells(own: Turns, limit: Turns) -> list[str]:
    milliseconds = [second * 1000 for second in own.latencies] or [float("nan")]
    tails = [percentile(milliseconds, share) for share in (50, 99, 100)]
    failed = ", ".join(f"{count} {kind}" for kind, count in own.failed.most_common())
    return [
        f"{statistics.median(own.rates):.0f}",
        f"{_ratio(own, limit).value:.2f}x",
        *(f"{tail:.1f}" for tail in tails),
        f"{statistics.median(own.evenness):.2f}",
        failed or "0",
        str(own.lost_units),
    ]


def _claim(
    claim: str, measured: Estimate, *, at_least: float | None = None, at_most: float | None = None
) -> Claim:
    value, low, high = (round(number, 2) for number in measured)
    if at_least is not None:
        limit, holds, fails = f"at least {at_least:g}x", low >= at_least, high < at_least
    else:
        assert at_most is not None
        limit, holds, fails = f"{at_most:g}x", high <= at_most, low > at_most
    return {
        "claim": claim,
        "limit": limit,
        "measured": f"{value:.2f}x",
        "bounds": f"{low:.2f}x to {high:.2f}x",
        "holds": "yes" if holds else "no" if fails else "open",
    }


def _none(claim: str, count: int) -> Claim:
    return {
        "claim": claim,
        "limit": "0",
        "measured": str(count),
        "bounds": "counted",
        "holds": "no" if count else "yes",
    }
