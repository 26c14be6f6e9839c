"""Where literals stand in SQL, as far as the guard against formatted values must know."""

from __future__ import annotations

import pytest

from flask_retort.guards import sql_text


@pytest.mark.parametrize(
    ("sql", "literals"),
    [
        ("select 1", ["1"]),
        ("select * from t where a = 'it''s' and b >= 1.5e3", ["'it''s'", "1.5e3"]),
        ("where a = true or b is null", ["true", "null"]),
        ("where a = :a and b = %(b)s and c = $1 and d = ?1 and e = @x1 and f::int4 = %s", []),
        ("select t1.a2, x1 from t_3 as `1` join \"2\" on u7.id = _9", []),
        ("where a = 'O'Brien'", ["'O'", "'"]),
        ("insert into t values ('%s', -3)", ["'%s'", "3"]),
    ],
)  # fmt: skip
def test_literals(sql: str, literals: list[str]) -> None:
    """Strings, numbers, true, false and null; not names with digits, parameters or casts."""
    read = sql_text.read(sql, "postgresql")
    assert [read.text[start:end] for start, end in read.literals] == literals


@pytest.mark.parametrize(
    ("dialect", "literals"),
    [("postgresql", []), ("sqlite", ['"a"']), ("mariadb", ['"a"'])],
)
def test_double_quotes(dialect: str, literals: list[str]) -> None:
    """They are a string where the database takes them so, after a comparison."""
    read = sql_text.read('select "x" from "y" where "y"."z" = "a" and b = "y"."c"', dialect)
    assert [read.text[start:end] for start, end in read.literals] == literals


@pytest.mark.parametrize(("dialect", "number"), [("mysql", 1), ("postgresql", 2)])
def test_backslash(dialect: str, number: int) -> None:
    """It escapes a quote on MySQL only."""
    assert len(sql_text.read(r"select 'a\' or 1 = b'", dialect).literals[:2]) == number


def test_plain() -> None:
    """Comments go, line ends are spaces, and what is quoted stays."""
    assert (
        sql_text.plain("select 1 -- one's\n  /* a 'b' */ from\tt '--x'") == "select 1 from t '--x'"
    )


@pytest.mark.parametrize(
    ("text", "position", "literal"),
    [
        ("limit 10", 6, "10"),
        ("limit -10", 6, "10"),
        ("in ('a', 'b')", 3, "'a'"),
        ("like '%x%'", 7, "'%x%'"),
        ("limit 10", 0, None),
        ("from t", 5, None),
    ],
)
def test_literal_at(text: str, position: int, literal: str | None) -> None:
    """A value begins in the literal, or at its sign or its list's parenthesis."""
    found = sql_text.read(text).literal_at(position)
    assert literal == (found and text[slice(*found)])


@pytest.mark.parametrize(
    ("sql", "can"),
    [
        ("select 1", True),
        (" \n-- what for\n(SELECT 1) union (select 2)", True),
        ("with x as (select 1) select * from x", True),
        ("insert into t values (1)", True),
        ("create table t (a int default 1)", False),
        ("set statement_timeout = 100", False),
        ("pragma cache_size = 1", False),
        ("name = 'ada'", False),
    ],
)
def test_can_be_bound(sql: str, can: bool) -> None:
    """Statements that only define or set something have no parameters."""
    assert sql_text.can_be_bound(sql) is can
