"""What a back end's driver says of an error, in words that are the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flask_retort import errors

Direction = Literal["missing", "referenced"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What can be read from a driver's exception alone.

    :param kind: the class that stands for it.
    :param said: the driver's message in one line.
    :param said_without_values: the same without the values of a row, None where it has none.
    :param schema: of the table, None where the driver does not say.
    :param table: its name, likewise.
    :param columns: names of columns; they may be none of the table's where the driver quotes an
        expression.
    :param constraint: the name that the database gave, or found for it.
    :param direction: of a foreign key.
    :param entry: the values of a unique key, as MySQL writes them.
    """

    kind: type[errors.StatementFailure | errors.BrokenSession]
    said: str
    said_without_values: str | None = None
    schema: str | None = None
    table: str | None = None
    columns: tuple[str, ...] = ()
    constraint: str | None = None
    direction: Direction | None = None
    entry: str | None = None


def of_encoding(error: BaseException) -> Diagnosis | None:
    """What drivers raise themselves for a text that can't be sent, as half of a surrogate pair."""
    if not isinstance(error, UnicodeEncodeError):
        return None
    return Diagnosis(errors.OutOfRange, one_line(error), f"{error.encoding}: {error.reason}")


def one_line(text: object) -> str:
    """The text with all white space made one blank each."""
    return " ".join(str(text).split())
