"""What a rebuilt table has lost that neither SQLAlchemy reads nor anybody can bring back."""

from __future__ import annotations

import warnings

from flask_retort.errors import RetortWarning

from .sqlite_schema import Table
from .sqlite_text import attributes


def tell_lost(old: Table, new: Table) -> None:
    """Warn of what a column had before the rebuild and has not any more."""
    lost = _lost(old, new)
    if lost:
        warnings.warn(
            RetortWarning(
                f"When Alembic rebuilt the table {old.name}, it lost {', '.join(lost)}: the new"
                " table has what SQLAlchemy reads of the old one, and that is not read. Name it in"
                f" the revision: op.batch_alter_table({old.name!r}, reflect_args=[sa.Column(...)])"
                " with a column that has it; AUTOINCREMENT by table_kwargs={'sqlite_autoincrement':"
                " True}.",
                code="lost-in-rebuild",
            ),
            stacklevel=2,
        )


def _lost(old: Table, new: Table) -> list[str]:
    lost: list[str] = []
    now = attributes(new.sql)
    for column, words in attributes(old.sql).items():
        if column in now:
            gone = {word for word in words if word.split()[0] not in _firsts(now[column])}
            lost += [f"{word} of {column}" for word in sorted(gone - {"REFERENCES"})]
            lost += _lost_actions(column, old, new) if "REFERENCES" in words else []
    return lost


def _firsts(words: set[str]) -> set[str]:
    return {word.split()[0] for word in words}


def _lost_actions(column: str, old: Table, new: Table) -> list[str]:
    """Of foreign keys that are written at their column, SQLAlchemy reads no actions."""
    lost: list[str] = []
    for (source, parent), before in old.actions.items():
        now = new.actions.get((source, parent))
        if source.lower() == column and now is not None:
            for event, was, is_ in zip(("UPDATE", "DELETE"), before, now, strict=True):
                if was != is_ == "NO ACTION":
                    lost.append(f"ON {event} {was} of {column}")
    return lost
