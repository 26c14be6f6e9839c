"""The tables of the documentation's page of errors."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"


@cache
def documented() -> dict[str, dict[str, str]]:
    """The cells of the page's tables, by row and column."""
    found: dict[str, dict[str, str]] = {}
    header: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if not cells:
            header = []
        elif not header:
            header = cells
        elif not cells[0].startswith("-"):
            found[cells[0]] = dict(zip(header, cells, strict=True))
    return found
