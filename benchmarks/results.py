"""The results of a benchmark as data, and the tables of README.md made from them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypedDict, cast, final

from .measure import Samples

HERE = Path(__file__).parent
README = HERE / "README.md"


class Row(TypedDict):
    """One row of a table; microseconds a call, and ratios by the name of what it is compared to."""

    name: str
    fastest: float
    mean: float
    cpu: float
    compared: dict[str, str]


@final
class Table(TypedDict):
    """The rows of one round-robin; only these may be compared with each other."""

    title: str
    rounds: int
    calls: int
    rows: list[Row]


@final
class Sheet(TypedDict):
    """A table whose columns a benchmark chooses itself; the first cell of a row is its name."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]


class Claim(TypedDict):
    """What must be reached, and what was, with its bounds. A run with too much noise is open.

    A limit that does not say "at least" is the most that may be measured.
    """

    claim: str
    limit: str
    measured: str
    bounds: str
    holds: Literal["yes", "no", "open"]


class Result(TypedDict):
    """One benchmark, as in its file under ``results/``."""

    name: str
    date: str
    machine: dict[str, str]
    tables: Sequence[Table | Sheet]
    claims: list[Claim]
    skipped: list[str]


def row(name: str, samples: Samples, compared: dict[str, str]) -> Row:
    """The figures of one row, rounded to what a repetition shows again."""
    return {
        "name": name,
        "fastest": round(samples.typical, 1),
        "mean": round(samples.loaded, 1),
        "cpu": round(samples.best_cpu, 1),
        "compared": compared,
    }


def today() -> str:
    """The date in UTC."""
    return datetime.now(UTC).date().isoformat()


def machine(packages: list[str]) -> dict[str, str]:
    """What a reader needs to judge the figures; nothing that names the machine."""
    facts = {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "load average at the start": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
    }
    for package in packages:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def write(result: Result) -> None:
    """Keep the result, and make its part of README.md anew."""
    path = HERE / "results" / f"{result['name']}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    make_readme()


def make_readme() -> None:
    """Put the files under ``results/`` into README.md, between the marks of each."""
    README.write_text(_with_results(README.read_text()))


def is_readme_current() -> bool:
    """Whether README.md holds exactly what the files under ``results/`` say."""
    text = README.read_text()
    return text == _with_results(text)


def markdown(result: Result) -> str:
    """The result as it stands in README.md."""
    facts = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    parts = [f"Measured on {result['date']}: {facts}."]
    parts += [f"Not measured: {reason}." for reason in result["skipped"]]
    parts += [_claims(result["claims"]), *map(_table, result["tables"])]
    return "\n\n".join(parts)


def _with_results(text: str) -> str:
    for path in sorted((HERE / "results").glob("*.json")):
        result = cast(Result, json.loads(path.read_text()))
        begin = f"<!-- results of {result['name']}: made by python -m benchmarks -->"
        end = f"<!-- end of {result['name']} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise SystemExit(f"{README.name} has no place for {path.name}: write {begin} {end}")
        text = f"{before}{begin}\n\n{markdown(result)}\n\n{end}{after}"
    return text


def _claims(claims: list[Claim]) -> str:
    rows = [
        [c["claim"], _limit(c["limit"]), c["measured"], c["bounds"], c["holds"]] for c in claims
    ]
    return _lines(["claim", "must be", "measured", "bounds", "holds"], rows)


def _limit(limit: str) -> str:
    return limit if limit.startswith("at least") else f"at most {limit}"


def _table(table: Table | Sheet) -> str:
    if "head" in table:
        lines = _lines(table["head"], table["rows"])
        return "\n\n".join([f"### {table['title']}", table["note"], lines])
    compared = list(table["rows"][0]["compared"])
    head = ["row", "fastest us", "mean us", "CPU us", *compared]
    rows = [
        [r["name"], f"{r['fastest']:.0f}", f"{r['mean']:.0f}", f"{r['cpu']:.0f}"]
        + [r["compared"][name] for name in compared]
        for r in table["rows"]
    ]
    title = f"### {table['title']}"
    note = f"{table['rounds']} rounds, {table['calls']} requests a turn."
    return "\n\n".join([title, note, _lines(head, rows)])


def _lines(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
