"""What SQLite would have refused while its foreign keys are off for a revision."""

from __future__ import annotations

import re

from sqlalchemy import exc

from flask_retort.errors import RevisionFailed

from .sqlite_driver import Driver
from .sqlite_text import bare

_MOST_SHOWN = 5
_HARMLESS = re.compile(
    r"(?:"
    r"(?:CREATE|DROP)\s+(?:UNIQUE\s+|TEMP\s+|TEMPORARY\s+)*(?:INDEX|VIEW|TRIGGER)\b"
    r"|CREATE\s+(?:TEMP\s+|TEMPORARY\s+)?TABLE\b"
    r"|ALTER\s+TABLE\s+(?:\S+|\"[^\"]*\")\s+ADD\b(?!.*\bREFERENCES\b)"
    r")",
    re.IGNORECASE | re.DOTALL,
)


_Found = dict[tuple[str, str], int]
"""How many rows of a table refer to rows of another that are not there."""


class ForeignKeys:
    """Compares the rows without parents at a revision's end with those before it.

    Each look reads all rows with foreign keys once, so it is made for revisions that change rows or
    remove tables only.
    """

    def __init__(self) -> None:
        self._before: _Found | None = None
        self._broken: dict[str, str] | None = None

    def before(self, driver: Driver, statement: str) -> None:
        """Look at what there is, before the first statement that can make a difference."""
        if self._broken is None:
            self._broken = _broken(driver)
        if self._before is None and not _HARMLESS.match(bare(statement)):
            self._before = _orphans(driver)

    def check(self, driver: Driver) -> None:
        """Refuse a revision after which more is wrong than was before it.

        :raises RevisionFailed: rows have lost their parent, or a key can't be checked at all.
        """
        if self._broken is not None:
            _refuse_broken(self._broken, _broken(driver))
        if self._before is not None:
            grown = _grown(self._before, _orphans(driver), _tables(driver))
            if grown:
                raise _refused(driver, grown)


def _refuse_broken(before: dict[str, str], now: dict[str, str]) -> None:
    new = [message for table, message in now.items() if table not in before]
    if new:
        raise RevisionFailed(
            f"The revision leaves a foreign key that SQLite can't check: {'; '.join(new)}. Every"
            " INSERT and UPDATE of the referring table would fail. What a foreign key refers to has"
            " to be the primary key of its table or have a unique index of its own: create that in"
            " the same revision. All that the revision did is rolled back."
        )


def _grown(before: _Found, now: _Found, tables: set[str]) -> _Found:
    """What there is more of; nothing where that is explained by a table's new name."""
    grown = {key: count - before.get(key, 0) for key, count in now.items()}
    grown = {key: count for key, count in grown.items() if count > 0}
    renamed = sum(
        count
        for (child, parent), count in before.items()
        if (child, parent) not in now and not {child.lower(), parent.lower()} <= tables
    )
    return grown if sum(grown.values()) > renamed else {}


def _refused(driver: Driver, grown: _Found) -> RevisionFailed:
    child, parent = next(iter(grown))
    told = "; ".join(_told(driver, *item) for item in grown.items())
    return RevisionFailed(
        f"The revision leaves {told}."
        " Foreign keys are off while a revision runs, because rebuilding a table would otherwise"
        " empty the tables that refer to it; so ON DELETE does nothing either. A revision that"
        f" deletes rows of {parent} has to delete or change the rows of {child} that refer to them"
        " itself, in the same revision. All that the revision did is rolled back."
    )


def _told(driver: Driver, key: tuple[str, str], count: int) -> str:
    child, parent = key
    examples = driver.rows(
        'SELECT "rowid" FROM pragma_foreign_key_check(?) WHERE parent = ? LIMIT ?',
        *(child, parent, _MOST_SHOWN),
    )
    rowids = ", ".join(str(rowid) for (rowid,) in examples if rowid is not None)
    rows = "1 row" if count == 1 else f"{count} rows"
    which = f" (such as rowid {rowids})" if rowids else ""
    return f"{rows} of {child} that refer to rows of {parent} which are not there{which}"


def _tables(driver: Driver) -> set[str]:
    rows = driver.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name.lower() for (name,) in rows}


def _referring(driver: Driver) -> list[str]:
    """Tables that can have a foreign key. Of a virtual one, the module may be missing."""
    rows = driver.rows(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%references%'"
        " AND sql NOT LIKE 'create virtual %' ORDER BY name"
    )
    return [name for (name,) in rows]


def _broken(driver: Driver) -> dict[str, str]:
    """Tables whose foreign keys can't be checked, with SQLite's reason. Reads the schema only."""
    found: dict[str, str] = {}
    for table in _referring(driver):
        try:
            driver.rows(f"EXPLAIN PRAGMA foreign_key_check({driver.quoted(table)})")
        except exc.DBAPIError as error:
            if "foreign key mismatch" not in str(error.orig):
                raise
            found[table] = str(error.orig)
    return found


def _orphans(driver: Driver) -> _Found:
    """All rows without parent; one table after the other, as one that is broken would hide all."""
    broken = _broken(driver)
    found: _Found = {}
    for table in _referring(driver):
        if table in broken:
            continue
        for parent, count in driver.rows(
            "SELECT parent, count(*) FROM pragma_foreign_key_check(?) GROUP BY parent", table
        ):
            found[table, parent] = count
    return found
