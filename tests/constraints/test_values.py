"""What may be shown, and what does not fit."""

from __future__ import annotations

import decimal
from typing import Any

import pytest
import sqlalchemy as sa

from flask_retort.constraints.values import LONGEST, is_secret, shown, shown_of, unfit

TABLE: sa.Table[Any] = sa.Table(
    "t",
    sa.MetaData(),
    sa.Column("small", sa.SmallInteger),
    sa.Column("n", sa.Integer),
    sa.Column("big", sa.BigInteger),
    sa.Column("price", sa.Numeric(6, 2)),
    sa.Column("name", sa.String(5)),
    sa.Column("text", sa.Text),
    sa.Column("day", sa.Date),
)


@pytest.mark.parametrize(
    "name",
    [
        *("password", "passwordHash", "pwd", "api_key", "APIKey", "totp_secret", "reset_token"),
        *("pin", "iban", "card_number", "session_id", "key", "client-secret", "salt"),
    ],
)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    """As people name columns, in whatever case."""
    assert is_secret(sa.Column(name, sa.String))
    assert is_secret(sa.Column("c", sa.String), name)


@pytest.mark.parametrize(
    "name", ["email", "monkey", "spinach", "cardinality", "keyboard", "hashtag"]
)
def test_a_word_inside_another_is_no_secret(name: str) -> None:
    """A monkey has no key."""
    assert not is_secret(sa.Column(name, sa.String))


def test_the_developer_decides() -> None:
    """``info`` says so in either direction."""
    assert is_secret(sa.Column("diagnosis", sa.String, info={"sensitive": True}))
    assert not is_secret(sa.Column("key", sa.String, info={"sensitive": False}))


@pytest.mark.parametrize("value", [b"x", "x" * (LONGEST + 1), object(), [1], None])
def test_what_is_no_short_plain_value_is_not_shown(value: object) -> None:
    """Binary, long and composed values would fill logs, or are no text."""
    assert shown(value) is None


def test_several_values_are_shown_together_or_not_at_all() -> None:
    """Half a key would be wrong."""
    columns = (TABLE.c.n, TABLE.c.name)
    assert shown_of(columns, {"n": 1, "name": "x", "day": 2}) == (1, "x")
    assert shown_of(columns, {"n": 1}) is None
    assert shown_of(columns[:1], {"n": 1}) == 1
    assert shown_of((), {"n": 1}) is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("small", 1 << 15),
        ("n", 1 << 31),
        ("n", "ten"),
        ("big", -(1 << 63) - 1),
        ("price", 10_000),
        ("price", decimal.Decimal("-10000.00")),
        ("price", "dear"),
        ("name", "x" * 6),
        ("day", "tomorrow"),
    ],
)
def test_the_one_column_that_a_value_does_not_fit(column: str, value: object) -> None:
    """It is found among values that fit, in the one row of many."""
    fine = {"small": 1, "n": -5, "big": 1 << 40, "price": 9999.5, "name": "x" * 5, "text": "x" * 9}
    rows = [fine, fine | {column: value}, fine]
    assert unfit(TABLE.columns, rows, backend="postgresql") == (TABLE.c[column],)
    assert unfit(TABLE.columns, [fine], backend="postgresql") == ()


@pytest.mark.parametrize("text", ["\ud800", "a\udcff", "a\0b"])
def test_what_can_t_be_sent_comes_before_what_does_not_fit(text: str) -> None:
    """No server has seen the other value then; JSON escapes such characters."""
    columns = (TABLE.c.n, TABLE.c.text, sa.Column("json", sa.JSON))
    row = {"n": 1 << 40, "text": text, "json": text}
    assert unfit(columns, [row], backend="postgresql") == (TABLE.c.text,)


def test_of_two_columns_none_is_named() -> None:
    """It can't be known which one the database has met first."""
    assert unfit(TABLE.columns, [{"n": "x", "name": "x" * 6}], backend="postgresql") == ()


def test_sqlite_has_integers_of_64_bits_only() -> None:
    """A number that is too large for another engine's column is none there."""
    row = {"n": 1 << 40, "small": 1 << 63}
    assert unfit(TABLE.columns, [row], backend="sqlite") == (TABLE.c.small,)
