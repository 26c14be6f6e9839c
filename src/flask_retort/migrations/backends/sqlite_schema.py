"""A table as SQLite has it: its text, its indexes and triggers, what its foreign keys do."""

from __future__ import annotations

from dataclasses import dataclass

from .sqlite_driver import Driver


@dataclass(frozen=True)
class Part:
    """An index or a trigger of a table, with the statement that made it."""

    kind: str
    name: str
    sql: str
    columns: tuple[tuple[str | None, bool, str], ...] = ()
    """Of an index: column, whether descending, collation. An expression has no column name."""

    @property
    def has_expression(self) -> bool:
        """Whether it is an index over more than columns."""
        return any(name is None for name, _, _ in self.columns)


@dataclass(frozen=True)
class Table:
    """A table as it is at one moment."""

    name: str
    sql: str
    parts: tuple[Part, ...]
    sequence: int | None
    """The highest number that AUTOINCREMENT has given; None where it has given none."""
    actions: dict[tuple[str, str], tuple[str, str]]
    """What happens to a column that refers to a table: on update, on delete."""


def read_table(driver: Driver, name: str) -> Table | None:
    """The table of this name, None where there is none."""
    found = driver.rows(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", name
    )
    if not found:
        return None
    ((name, sql),) = found
    parts = driver.rows(
        "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE"
        " AND type IN ('index', 'trigger') AND sql IS NOT NULL",
        name,
    )
    actions = driver.rows(
        'SELECT "from", "table", on_update, on_delete FROM pragma_foreign_key_list(?)', name
    )
    return Table(
        name,
        sql,
        tuple(Part(kind, part, text, _columns(driver, kind, part)) for kind, part, text in parts),
        _sequence(driver, name),
        {(column, parent): (update, delete) for column, parent, update, delete in actions},
    )


def read_part(driver: Driver, kind: str, name: str) -> Part | None:
    """The index or trigger of this name, None where there is none."""
    found = driver.rows(
        "SELECT name, sql FROM sqlite_master WHERE type = ? AND name = ? COLLATE NOCASE", kind, name
    )
    if not found:
        return None
    ((same, sql),) = found
    return Part(kind, same, sql, _columns(driver, kind, name))


def _sequence(driver: Driver, table: str) -> int | None:
    if not driver.rows("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"):
        return None
    number: int | None = driver.value("SELECT seq FROM sqlite_sequence WHERE name = ?", table)
    return number


def _columns(driver: Driver, kind: str, name: str) -> tuple[tuple[str | None, bool, str], ...]:
    if kind != "index":
        return ()
    rows = driver.rows('SELECT name, "desc", coll FROM pragma_index_xinfo(?) WHERE key = 1', name)
    return tuple((column, bool(descending), collation) for column, descending, collation in rows)
