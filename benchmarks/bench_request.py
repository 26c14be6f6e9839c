"""One GET through the WSGI callable: what the extension adds to Flask, and to SQLAlchemy."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial

import sqlalchemy as sa

from . import results
from .applications import Request, bare, flask_sqlalchemy, plain_sqlalchemy, raw_driver, retort
from .databases import MARIADB, POSTGRESQL, filled_database, filled_file
from .measure import Estimate, Samples, take_turns
from .results import Claim, Result, Table

PACKAGES = ["flask", "sqlalchemy", "flask-sqlalchemy", "psycopg", "pymysql"]

BARE = "Flask, no database"
BARE_AGAIN = "Flask, no database, again (control)"
OURS_INSTALLED = "Flask-Retort installed, view without database"
THEIRS_INSTALLED = "Flask-SQLAlchemy installed, view without database"
RAW = "driver, kept connection, autocommit (limit)"
PLAIN = "SQLAlchemy, `Session.get`"
THEIRS = "Flask-SQLAlchemy, `db.session.get`"
THEIRS_AGAIN = "Flask-SQLAlchemy, again (control)"
THEIRS_PINGED = "Flask-SQLAlchemy, `pool_pre_ping`"
THEIRS_RECORDED = "Flask-SQLAlchemy, recorded"
OURS = "Flask-Retort, `db.session.get`"
OURS_UNGUARDED = "Flask-Retort, guards off"
OURS_READING = "Flask-Retort, `db.session.get` in `db.read_only()`"
OURS_RECORDED = "Flask-Retort, recorded"


def run(share: float = 1.0) -> Result:
    """Measure on every back end that is there; takes about two and a half minutes.

    :param share: part of that time to spend, for a first look.
    """
    machine = {**results.machine(PACKAGES), "SQLite": sqlite3.sqlite_version}
    tables: list[Table] = []
    claims: list[Claim] = []
    skipped: list[str] = []
    with filled_file() as url:
        _without_database(url, 25 * share, tables, claims)
        _by_key("SQLite", url, 35 * share, tables, claims)
    for server in (POSTGRESQL, MARIADB):
        absence = server.absence()
        if absence is not None:
            skipped.append(absence)
            continue
        machine[server.name] = server.version()
        with filled_database(server) as url:
            _by_key(server.name, url, 45 * share, tables, claims)
    return {
        "name": "request",
        "date": results.today(),
        "machine": machine,
        "tables": tables,
        "claims": claims,
        "skipped": skipped,
    }


def _without_database(
    url: sa.URL, seconds: float, tables: list[Table], claims: list[Claim]
) -> None:
    rows = {
        BARE: bare(),
        BARE_AGAIN: bare(),
        THEIRS_INSTALLED: flask_sqlalchemy(url, by_key=False),
        OURS_INSTALLED: retort(url, by_key=False),
    }
    samples = take_turns(rows, seconds=seconds, calls=40)
    tables.append(_table("A view without database", samples, 40, {"to Flask": BARE}))
    more = samples[OURS_INSTALLED].more_than(samples[BARE])
    claims.append(_claim("request without database, above bare Flask", more, 3, "us"))


def _by_key(
    name: str, url: sa.URL, seconds: float, tables: list[Table], claims: list[Claim]
) -> None:
    recorded = {"SQLALCHEMY_RECORD_QUERIES": True}
    pinged = {"SQLALCHEMY_ENGINE_OPTIONS": {"pool_pre_ping": True}}
    rows: dict[str, Callable[[sa.URL], Request]] = {
        RAW: raw_driver,
        PLAIN: plain_sqlalchemy,
        THEIRS: flask_sqlalchemy,
        THEIRS_AGAIN: flask_sqlalchemy,
        OURS: retort,
        OURS_UNGUARDED: partial(retort, config={"RETORT_GUARDS": "off"}),
        OURS_READING: partial(retort, reads_only=True),
        THEIRS_RECORDED: partial(flask_sqlalchemy, config=recorded),
        OURS_RECORDED: partial(retort, config=recorded),
    }
    if url.get_backend_name() != "sqlite":
        rows[THEIRS_PINGED] = partial(flask_sqlalchemy, config=pinged)
    requests = {BARE: bare()} | {row: make(url) for row, make in rows.items()}
    samples = take_turns(requests, seconds=seconds, calls=15)
    compared = {"to Flask-SQLAlchemy": THEIRS, "to SQLAlchemy": PLAIN}
    tables.append(_table(f"A user by primary key, {name}", samples, 15, compared))
    # The predecessor has no guards; what ours cost is a table of its own.
    ratio = samples[OURS_UNGUARDED].ratio_to(samples[THEIRS])
    claim = f"request by key, guards off, to Flask-SQLAlchemy's, {name}"
    claims.append(_claim(claim, ratio, 1.05, "x"))
    if url.get_backend_name() == "postgresql":
        cost = samples[OURS_READING].ratio_to(samples[THEIRS], above=samples[BARE])
        claim = f"read-only scope, database cost to Flask-SQLAlchemy's, {name}"
        claims.append(_claim(claim, cost, 0.55, "x"))
    more = samples[OURS_RECORDED].more_than(samples[OURS])
    claims.append(_claim(f"recording a statement, {name}", more, 25, "us"))


def _table(title: str, samples: dict[str, Samples], calls: int, compared: dict[str, str]) -> Table:
    rows = [
        results.row(
            name,
            own,
            {
                head: f"{own.ratio_to(samples[other]).value:.2f}x"
                for head, other in compared.items()
            },
        )
        for name, own in samples.items()
    ]
    rounds = len(next(iter(samples.values())).mean)
    return {"title": title, "rounds": rounds, "calls": calls, "rows": rows}


def _claim(claim: str, measured: Estimate, limit: float, unit: str) -> Claim:
    form = "{:.2f}x" if unit == "x" else "{:.1f} us"
    value, low, high = (round(number, 2 if unit == "x" else 1) for number in measured)
    return {
        "claim": claim,
        "limit": f"{limit:g}{unit}" if unit == "x" else f"{limit:g} {unit}",
        "measured": form.format(value),
        "bounds": f"{form.format(low)} to {form.format(high)}",
        "holds": "yes" if high <= limit else "no" if low > limit else "open",
    }
