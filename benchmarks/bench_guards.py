"""What it costs a request that all guards are on, and that they are off."""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa

from flask_retort.checks import GUARDS
from flask_retort.guards import KINDS

from . import results
from .applications import retort
from .databases import POSTGRESQL, filled_database, filled_file
from .measure import Estimate, take_turns
from .results import Claim, Result, Table

PACKAGES = ["flask", "sqlalchemy", "psycopg"]
CALLS = 15

OFF = "guards off"
OFF_AGAIN = "guards off, again (control)"
COUNT = "all guards, count"
WARN = "all guards, warn"


def run(share: float = 1.0) -> Result:
    """Measure on SQLite and PostgreSQL; takes about 80 seconds.

    :param share: part of that time to spend, for a first look.
    """
    assert {kind.code for kind in KINDS} == set(GUARDS), "a guard is missing"
    machine = {**results.machine(PACKAGES), "SQLite": sqlite3.sqlite_version}
    skipped: list[str] = []
    with filled_file() as url:
        measured = [_by_key("SQLite", url, 35 * share)]
    absence = POSTGRESQL.absence()
    if absence is None:
        machine[POSTGRESQL.name] = POSTGRESQL.version()
        with filled_database(POSTGRESQL) as url:
            measured.append(_by_key(POSTGRESQL.name, url, 45 * share))
    else:
        skipped.append(absence)
    return {
        "name": "guards",
        "date": results.today(),
        "machine": machine,
        "tables": [table for table, _ in measured],
        "claims": [claim for _, claims in measured for claim in claims],
        "skipped": skipped,
    }


def _by_key(name: str, url: sa.URL, seconds: float) -> tuple[Table, list[Claim]]:
    modes = {OFF: "off", OFF_AGAIN: "off", COUNT: "count", WARN: "warn"}
    requests = {row: retort(url, config={"RETORT_GUARDS": mode}) for row, mode in modes.items()}
    samples = take_turns(requests, seconds=seconds, calls=CALLS)
    off = samples[OFF]
    rows = [
        results.row(row, own, {"to guards off": f"{own.ratio_to(off).value:.2f}x"})
        for row, own in samples.items()
    ]
    title = f"A user by primary key with guards, {name}"
    claims = [
        _claim(f"request with {row}, {name}", samples[row].ratio_to(off), 1.1)
        for row in (COUNT, WARN)
    ]
    return {"title": title, "rounds": len(off.mean), "calls": CALLS, "rows": rows}, claims


def _claim(claim: str, measured: Estimate, limit: float) -> Claim:
    value, low, high = (round(number, 2) for number in measured)
    return {
        "claim": claim,
        "limit": f"{limit:.2f}x",
        "measured": f"{value:.2f}x",
        "bounds": f"{low:.2f}x to {high:.2f}x",
        "holds": "yes" if high <= limit else "no" if low > limit else "open",
    }
