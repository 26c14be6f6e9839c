"""Which types of a database's column and a model's are the same, whatever they are called."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

_PARTS = re.compile(
    r"(double precision|bit varying|national (?:var)?char|\w+)\s*(?:\(([^()]*)\))?\s*(.*)"
)
_DECIMALS = {"decimal", "numeric"}
_INTEGERS = {"tinyint", "smallint", "mediumint", "integer", "bigint"}
_AFFINITIES = {"int": "integer", "char|clob|text": "text", "real|floa|doub": "real"}
_SIZES = {"tiny": 1 << 8, "": 1 << 16, "medium": 1 << 24, "long": 1 << 32}
"""How many bytes MySQL's TEXT and BLOB types stay below, by how their names begin."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """A type as CREATE TABLE has it, in lower case: ``timestamp``, ``3``, ``with time zone``."""

    name: str
    arguments: tuple[str, ...] = ()
    rest: str = ""

    @classmethod
    def of(cls, type_: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Spelling:
        """How this database has a type written; whole in the name where it is quoted."""
        text = type_.compile(dialect=dialect).lower()
        parts = _PARTS.fullmatch(text)
        if parts is None:
            return cls(text)
        arguments = (parts[2] or "").split(",")
        return cls(parts[1], tuple(a.strip() for a in arguments if a.strip()), parts[3])


def differ(
    context: MigrationContext,
    inspected: sa.Column[Any],
    modelled: sa.Column[Any],
    inspected_type: sa.types.TypeEngine[Any],
    modelled_type: sa.types.TypeEngine[Any],
) -> bool | None:
    """Whether the model's column needs a change of type; None leaves the answer to Alembic.

    Alembic compares names, and where only one side has an argument it sees no difference. Here a
    type that the database keeps under another name is the same, and a length, a precision or a sign
    that the model states and the database does not have is a change. What the database has and the
    model leaves open is none.
    """
    dialect = context.dialect
    rule = _RULES.get(dialect.name)
    has, wanted = Spelling.of(inspected_type, dialect), Spelling.of(modelled_type, dialect)
    return None if rule is None or has == wanted else rule(has, wanted)


def _postgresql(has: Spelling, wanted: Spelling) -> bool | None:
    if ("[]" in has.rest) != ("[]" in wanted.rest):
        return True
    if wanted.name == "float" and wanted.arguments:
        return has.name != ("real" if int(wanted.arguments[0]) <= 24 else "double precision")
    return _is_looser(
        has, wanted, {"bit", "bit varying", "char", "interval", "time", "timestamp", "varchar"}
    )


def _mysql(has: Spelling, wanted: Spelling) -> bool | None:
    size = int(wanted.arguments[0]) if len(wanted.arguments) == 1 else 0
    match wanted.name:
        case "text" | "blob" if size:
            return has.name not in _sized(wanted.name, size)
        case "float" if size:
            return has.name != ("float" if size <= 24 else "double")
        case "real" if has.name in ("double", "float"):  # sql_mode says which
            return False
        case "national char" | "national varchar" if "utf8" in has.rest:
            return f"national {has.name}" != wanted.name or has.arguments != wanted.arguments
        case name if name in _INTEGERS and "unsigned" in wanted.rest:
            return True if "unsigned" not in has.rest else None
        case _:
            return _is_looser(has, wanted, {"datetime", "time", "timestamp"})


def _sized(family: str, size: int) -> set[str]:
    """The types a TEXT or BLOB of this size can have become, for characters of 1, 3 or 4 bytes."""
    widths = (1, 3, 4) if family == "text" else (1,)
    return {
        next(f"{prefix}{family}" for prefix, limit in _SIZES.items() if size * width < limit)
        for width in widths
    }


def _sqlite(has: Spelling, wanted: Spelling) -> bool | None:
    if has.name != wanted.name and wanted.name not in _known_to_sqlite():
        # What SQLAlchemy does not know by name, it reads as the type of its affinity.
        return has.name != _affinity(f"{wanted.name} {wanted.rest}".strip())
    return _is_looser(has, wanted, {"char", "varchar", "nchar", "nvarchar"})


def _known_to_sqlite() -> set[str]:
    return {name.lower() for name in SQLiteDialect.ischema_names}


def _affinity(name: str) -> str:
    """The type that stands for a type of any other name: https://sqlite.org/datatype3.html#3.1."""
    for pattern, affinity in _AFFINITIES.items():
        if re.search(pattern, name):
            return affinity
    return "numeric"


def _is_looser(has: Spelling, wanted: Spelling, names: set[str]) -> bool | None:
    """True where the model limits what the database does not, and the database would tell."""
    if {has.name, wanted.name} <= _DECIMALS and wanted.arguments:
        return _decimal(has) != _decimal(wanted)
    if has.name == wanted.name in names and wanted.arguments and not has.arguments:
        return True
    return None


def _decimal(spelling: Spelling) -> tuple[str, ...]:
    """Precision and scale; a scale that is not given is 0."""
    precision = spelling.arguments[:1]
    return (*precision, *(spelling.arguments[1:] or ("0",))) if precision else ()


_RULES: dict[str, Callable[[Spelling, Spelling], bool | None]] = {
    "mariadb": _mysql,
    "mysql": _mysql,
    "postgresql": _postgresql,
    "sqlite": _sqlite,
}
