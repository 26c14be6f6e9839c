"""Rows that each database must refuse, and what the error has to say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from flask_retort import errors

from .models import Account, Base, Booking, Country

Way = Literal["flush", "Core", "bulk", "text"]


@dataclass(frozen=True)
class Refusal:
    """A row, or a row's end, that a database refuses.

    :param kind: the class that has to be raised.
    :param row: values by column name, to insert; with ``delete`` the key to delete.
    :param fields: attributes that the error has to name.
    :param constraint: its name by back end.
    :param untold: back ends whose drivers do not say which column it is: it is found by the
        values, which the text of a statement has no names for.
    :param impossible: why not, by back end.
    """

    kind: type[errors.StatementFailure]
    row: dict[str, Any]
    fields: tuple[str, ...]
    constraint: dict[str, str | None] = field(default_factory=dict)
    model: type[Base] = Account
    direction: str | None = None
    value: object = None
    delete: bool = False
    untold: tuple[str, ...] = ()
    impossible: dict[str, str] = field(default_factory=dict)

    @property
    def target(self) -> type[Base]:
        """The model that the statement is about."""
        return Country if self.delete else self.model


def everywhere(name: str) -> dict[str, str | None]:
    return {"sqlite": name, "postgresql": name, "mysql": name}


TAKES_NUL = "it is a character like others"
NO_LENGTH = "SQLite takes texts of any length in VARCHAR(n)"
ONLY_POSTGRESQL = "only PostgreSQL has exclusion constraints"
ROW: dict[str, Any] = {"id": 3, "email": "eve@x.org"}

REFUSALS = {
    "unique, no name": Refusal(
        errors.UniqueViolation,
        ROW | {"email": "ann@x.org"},
        ("mail",),
        {"sqlite": None, "postgresql": "account_email_key", "mysql": "email"},
        value="ann@x.org",
    ),
    "unique, two columns": Refusal(
        errors.UniqueViolation,
        ROW | {"shop": 1, "number": 2},
        ("shop", "number"),
        everywhere("uq_account_number"),
        value=(1, 2),
    ),
    "unique index": Refusal(
        errors.UniqueViolation,
        ROW | {"nick": "bob"},
        ("nick",),
        everywhere("ix_account_nick"),
        value="bob",
    ),
    "primary key": Refusal(
        errors.UniqueViolation,
        ROW | {"id": 1},
        ("id",),
        {"sqlite": None, "postgresql": "account_pkey", "mysql": "PRIMARY"},
        value=1,
    ),
    "foreign key, missing": Refusal(
        errors.ForeignKeyViolation,
        ROW | {"country_id": 9},
        ("land",),
        everywhere("fk_account_country"),
        direction="missing",
        value=9,
    ),
    "foreign key, referenced": Refusal(
        errors.ForeignKeyViolation,
        {"id": 1},
        ("land",),
        everywhere("fk_account_country"),
        direction="referenced",
        delete=True,
    ),
    "not null": Refusal(errors.NotNullViolation, ROW | {"email": None}, ("mail",)),
    "check": Refusal(
        errors.CheckViolation, ROW | {"age": 3}, ("age",), everywhere("ck_account_age"), value=3
    ),
    "check, no name": Refusal(
        errors.CheckViolation,
        ROW | {"score": 10},
        ("score",),
        {"sqlite": None, "postgresql": "account_score_check", "mysql": "account.score"},
        value=10,
    ),
    "exclusion": Refusal(
        errors.ExclusionViolation,
        {"id": 2, "nights": "[3,5)"},
        ("nights",),
        everywhere("ex_booking"),
        model=Booking,
        value="[3,5)",
        impossible={"sqlite": ONLY_POSTGRESQL, "mysql": ONLY_POSTGRESQL},
    ),
    "too long": Refusal(
        errors.ValueTooLong,
        ROW | {"email": "e" * 21},
        ("mail",),
        value="e" * 21,
        untold=("postgresql",),
        impossible={"sqlite": NO_LENGTH},
    ),
    "out of range": Refusal(
        errors.OutOfRange,
        ROW | {"number": 1 << 63},
        ("number",),
        value=1 << 63,
        untold=("postgresql", "sqlite"),
    ),
    "no number": Refusal(
        errors.OutOfRange,
        ROW | {"number": "ten"},
        ("number",),
        value="ten",
        untold=("postgresql",),
        impossible={"sqlite": "SQLite takes a text in a column of numbers"},
    ),
    "half a surrogate pair": Refusal(
        errors.OutOfRange,
        ROW | {"nick": "\ud800"},
        ("nick",),
        value="\ud800",
        untold=("sqlite", "postgresql", "mysql"),
    ),
    "NUL in a text": Refusal(
        errors.OutOfRange,
        ROW | {"nick": "a\0b"},
        ("nick",),
        value="a\0b",
        untold=("postgresql",),
        impossible={"sqlite": TAKES_NUL, "mysql": TAKES_NUL},
    ),
}


def run(refusal: Refusal, way: Way, session: Any) -> None:
    """Send the statement that must be refused."""
    table: Any = refusal.target.__table__
    attributes = {
        sa.inspect(refusal.target).get_property_by_column(table.c[name]).key: value
        for name, value in refusal.row.items()
    }
    if refusal.delete:
        _delete(refusal, way, session)
    elif way == "flush":
        session.add(refusal.target(**attributes))
        session.flush()
    elif way == "Core":
        session.connection().execute(sa.insert(table).values(refusal.row))
    elif way == "bulk":
        other = _harmless(refusal, attributes)
        session.execute(sa.insert(refusal.target), [other, attributes])
    else:
        columns = ", ".join(_complete(refusal))
        values = ", ".join(f":p_{name}" for name in _complete(refusal))
        statement = sa.text(f"INSERT INTO {table.name} ({columns}) VALUES ({values})")
        parameters = {f"p_{name}": value for name, value in _complete(refusal).items()}
        session.execute(statement, parameters)


def _delete(refusal: Refusal, way: Way, session: Any) -> None:
    key = refusal.row["id"]
    if way == "flush":
        session.delete(session.get(refusal.target, key))
        session.flush()
    elif way == "Core":
        session.connection().execute(sa.delete(Country).where(Country.id == key))
    elif way == "bulk":
        session.execute(sa.delete(refusal.target).where(Country.id == key))
    else:
        session.execute(sa.text("DELETE FROM country WHERE id = :id"), {"id": key})


def _complete(refusal: Refusal) -> dict[str, Any]:
    """The row with what the models would add by default."""
    defaults = {"shop": 1, "age": 18, "score": 0, "version": 1} if refusal.model is Account else {}
    return defaults | refusal.row


def _harmless(refusal: Refusal, attributes: dict[str, Any]) -> dict[str, Any]:
    """A row with the same attributes that can be written, in front of the one that can't."""
    fine = {"id": 4, "mail": "joe@x.org", "nick": "joe", "number": 4, "nights": "[8,9)"}
    return {
        name: fine.get(name, {"shop": 4, "age": 40, "score": 1, "land": 1}.get(name))
        for name in attributes
    }
