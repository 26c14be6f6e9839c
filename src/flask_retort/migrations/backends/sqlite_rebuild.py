"""What Alembic's rebuild of a table loses, brought back before the commit or told.

SQLite can change little of a table, so Alembic copies it: ``CREATE TABLE _alembic_tmp_x``, ``INSERT
... SELECT``, ``DROP TABLE x``, ``ALTER TABLE _alembic_tmp_x RENAME TO x``. The DROP takes triggers
and indexes along, of which Alembic makes again what SQLAlchemy can reflect: no triggers, no indexes
on expressions, no order or collation in an index. And the RENAME fails when a view or a trigger
speaks of x, which is not there at this moment.
"""

from __future__ import annotations

import re
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.errors import RevisionFailed

from .sqlite_driver import Driver
from .sqlite_losses import tell_lost
from .sqlite_schema import Part, Table, read_part, read_table
from .sqlite_text import NAME, attributes, bare, unquoted, update_columns

_MAIN = r"(?:(?:main|\"main\")\s*\.\s*)?"
_DROP = re.compile(
    rf"DROP\s+(TABLE|INDEX|TRIGGER)\s+(?:IF\s+EXISTS\s+)?{_MAIN}{NAME}\s*;?\s*$", re.IGNORECASE
)
_ALTER = re.compile(
    rf"ALTER\s+TABLE\s+{_MAIN}{NAME}\s+(?:RENAME|DROP)(?:\s+(TO)\s+{NAME})?", re.IGNORECASE
)
_TEMPORARY = "_alembic_tmp_"


class Rebuilds:
    """Follows the statements of one revision."""

    def __init__(self) -> None:
        self._dropped: dict[str, Table] = {}
        self._rebuilt: dict[str, Table] = {}
        self._missing: dict[tuple[str, str], tuple[str, Part]] = {}
        self._broken: dict[str, str] | None = None
        self._legacy = 0

    def before(self, driver: Driver, statement: str) -> None:
        """Called before each statement that changes something."""
        if dropped := _DROP.match(bare(statement)):
            self._before_drop(driver, dropped[1].lower(), unquoted(dropped[2]).lower())
        elif altered := _ALTER.match(bare(statement)):
            if unquoted(altered[1]).startswith(_TEMPORARY):
                self._legacy = driver.value("PRAGMA legacy_alter_table")
                driver.rows("PRAGMA legacy_alter_table = ON")
            else:
                # SQLite itself changes what it finds there: new names of tables and columns.
                self._put_back(driver, unquoted(altered[1]).lower())

    def after(self, driver: Driver, statement: str) -> None:
        """Called after each statement that changed something."""
        altered = _ALTER.match(bare(statement))
        if altered and unquoted(altered[1]).startswith(_TEMPORARY):
            driver.rows(f"PRAGMA legacy_alter_table = {'ON' if self._legacy else 'OFF'}")
            if altered[2]:
                self._after_rebuild(driver, unquoted(altered[3]).lower())

    def finish(self, driver: Driver) -> None:
        """Bring back what is missing.

        :raises RevisionFailed: that is not possible, or a view or trigger does not work any more.
        """
        for name in self._rebuilt:
            self._put_back(driver, name)
        if self._rebuilt and self._broken is not None:
            _refuse_broken(self._broken, _broken(driver))
        for name, old in self._rebuilt.items():
            new = read_table(driver, name)
            if new is not None:
                tell_lost(old, new)

    def _before_drop(self, driver: Driver, kind: str, name: str) -> None:
        if kind != "table":
            self._missing.pop((kind, name), None)
        elif not name.startswith(_TEMPORARY):
            table = read_table(driver, name)
            if table is not None:
                self._note_dropped(name, table)
            if self._broken is None:
                self._broken = _broken(driver)

    def _note_dropped(self, name: str, table: Table) -> None:
        """With what an earlier rebuild of it has lost: they all end here unless this is another."""
        lost = {key: part for key, (owner, part) in self._missing.items() if owner == name}
        for key in lost:
            del self._missing[key]
        first = self._rebuilt.pop(name, table)
        parts = (*lost.values(), *table.parts)
        self._dropped[name] = replace(first, parts=parts, sequence=table.sequence)

    def _after_rebuild(self, driver: Driver, name: str) -> None:
        old = self._dropped.pop(name, None)
        if old is None:
            return
        self._rebuilt[name] = old
        for part in old.parts:
            self._missing[part.kind, part.name.lower()] = name, part
        new = read_table(driver, name)
        if old.sequence is not None and new is not None:
            _continue_sequence(driver, new, old.sequence)

    def _put_back(self, driver: Driver, table: str) -> None:
        for key, (owner, part) in list(self._missing.items()):
            if owner == table:
                del self._missing[key]
                if read_table(driver, table) is not None:
                    _put_back(driver, table, part)


def _put_back(driver: Driver, table: str, part: Part) -> None:
    now = read_part(driver, part.kind, part.name)
    if now is None and (part.kind == "trigger" or part.has_expression):
        _make(driver, table, part)
    elif now is not None and _has_lost_its_order(part, now):
        driver.rows(f"DROP INDEX {driver.quoted(part.name)}")
        _make(driver, table, part)


def _has_lost_its_order(old: Part, now: Part) -> bool:
    same_columns = [name for name, _, _ in old.columns] == [name for name, _, _ in now.columns]
    return same_columns and old.columns != now.columns


def _make(driver: Driver, table: str, part: Part) -> None:
    known = {
        name.lower() for (name,) in driver.rows("SELECT name FROM pragma_table_xinfo(?)", table)
    }
    unknown = [name for name in update_columns(part.sql) if name.lower() not in known]
    if part.kind == "trigger" and unknown:
        # SQLite makes it without a word.
        raise _refused(table, part, f"no such column: {unknown[0]}")
    try:
        driver.rows(part.sql)
    except exc.DBAPIError as error:
        if part.kind == "index" and "no such column" in str(error.orig):
            return  # it goes with its column, as on every other database
        raise _refused(table, part, str(error.orig)) from error


def _refused(table: str, part: Part, why: str) -> RevisionFailed:
    return RevisionFailed(
        f"The {part.kind} {part.name} of the table {table} was lost when Alembic rebuilt the table,"
        f" and can't be made again: {why}. Drop it in the revision before the table is changed,"
        f" op.execute('DROP {part.kind.upper()} {part.name}'), and make it anew after. All that the"
        " revision did is rolled back."
    )


def _continue_sequence(driver: Driver, table: Table, number: int) -> None:
    """Let AUTOINCREMENT go on where it was: the new table only knows the rows that there are."""
    if any("AUTOINCREMENT" in found for found in attributes(table.sql).values()):
        driver.rows("DELETE FROM sqlite_sequence WHERE name = ?", table.name)
        driver.rows(
            "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)",
            *(table.name, max(number, table.sequence or 0)),
        )


# --- what does not work any more ----------


def _refuse_broken(before: dict[str, str], now: dict[str, str]) -> None:
    new = [f"{what}: {why}" for what, why in now.items() if what not in before]
    if new:
        raise RevisionFailed(
            f"After the revision this does not work any more: {'; '.join(new)}. Usually it uses a"
            " column that is gone or has another name. Drop it in the revision before the table is"
            " changed, and make it anew after. All that the revision did is rolled back."
        )


def _broken(driver: Driver) -> dict[str, str]:
    """Views, and tables with triggers, that SQLite can't compile a statement for."""
    broken: dict[str, str] = {}
    for what, statement in _trials(driver):
        try:
            driver.compile(statement)
        except exc.DBAPIError as error:
            broken[what] = str(error.orig)
    return broken


def _trials(driver: Driver) -> list[tuple[str, sa.UpdateBase | sa.Select[tuple[object, ...]]]]:
    """A statement for each view, and for each way to fire a trigger."""
    trials: list[tuple[str, sa.UpdateBase | sa.Select[tuple[object, ...]]]] = []
    for (name,) in driver.rows("SELECT name FROM sqlite_master WHERE type = 'view'"):
        trials.append((f"the view {name}", sa.select(sa.text("*")).select_from(sa.table(name))))
    for (name,) in driver.rows(
        "SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'trigger'"
        " AND tbl_name IN (SELECT name FROM sqlite_master WHERE type = 'table')"
    ):
        columns = driver.rows("SELECT name FROM pragma_table_info(?)", name)
        table = sa.table(name, *(sa.column(column, sa.Integer) for (column,) in columns))
        update = sa.update(table).values({column: column for column in table.c})
        what = f"a trigger of {name} on"
        trials.append((f"{what} INSERT", sa.insert(sa.table(name))))
        trials.append((f"{what} UPDATE", update))
        trials.append((f"{what} DELETE", sa.delete(table)))
    return trials
