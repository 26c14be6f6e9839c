"""Reading the little of SQLite's statements that has to be known."""

from __future__ import annotations

import time

import pytest

from flask_retort.migrations.backends.sqlite_text import (
    attributes,
    bare,
    unquoted,
    update_columns,
    verb,
)


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("select 1", "SELECT"),
        ("\n\t-- a remark\n/* and\nanother */ ;; Drop TABLE a", "DROP"),
        ("WITH a AS (SELECT 1), b AS (SELECT 'INSERT') UPDATE c SET d = 1", "UPDATE"),
        ("WITH a AS (VALUES (1)) SELECT * FROM a", "SELECT"),
        ("", ""),
        ("-- only a remark", ""),
        ("(1)", ""),
    ],
)
def test_the_verb_of_a_statement(statement: str, word: str) -> None:
    """Behind spaces, remarks and WITH."""
    assert verb(statement) == word


def test_long_beginnings_take_no_time() -> None:
    """A regular expression that tries every division of the spaces would never end."""
    start = time.monotonic()
    for statement in (" " * 10_000 + "(", "-- x\n" * 2_000 + "(", "/* x */ " * 2_000 + "("):
        assert verb(statement) == ""
        assert bare(statement) == "("
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    ("name", "bare_name"),
    [
        ("a", "a"),
        ('"a ""b"""', 'a "b"'),
        ("`a``b`", "a`b"),
        ("[a b]", "a b"),
        ("'it''s'", "it's"),
    ],
)
def test_names_without_quotes(name: str, bare_name: str) -> None:
    """All four kinds of quotes that SQLite takes."""
    assert unquoted(name) == bare_name


def test_columns_of_a_table() -> None:
    """Words in texts, remarks and parentheses belong to nobody; constraints are no columns."""
    text = """
        CREATE TABLE "t (x" (  -- id COLLATE RTRIM,
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            "A ""name" TEXT COLLATE "NoCase" DEFAULT 'a, b COLLATE c)' UNIQUE,
            [c] NUMERIC(10, 2) CHECK (c COLLATE BINARY <> ',') /* COLLATE x */,
            d INTEGER NOT NULL ON CONFLICT replace REFERENCES u (id) ON DELETE CASCADE,
            e INT GENERATED ALWAYS AS (id COLLATE NOCASE) STORED,
            CONSTRAINT q UNIQUE (d) ON CONFLICT IGNORE,
            FOREIGN KEY (e) REFERENCES u (id),
            check (id > 1)
        ) STRICT
    """
    assert attributes(text) == {
        "id": {"AUTOINCREMENT"},
        'a "name': {"COLLATE NoCase"},
        "c": set(),
        "d": {"ON CONFLICT REPLACE", "REFERENCES"},
        "e": set(),
    }


@pytest.mark.parametrize(
    ("trigger", "columns"),
    [
        ("CREATE TRIGGER t AFTER UPDATE ON a BEGIN SELECT 1; END", []),
        ("CREATE TRIGGER t update of x ON a BEGIN SELECT 1; END", ["x"]),
        (
            'CREATE TRIGGER t UPDATE OF x,\n "y z" , [q]\nON a BEGIN SELECT 1; END',
            ["x", "y z", "q"],
        ),
        ("CREATE TRIGGER t INSERT ON a BEGIN UPDATE a SET x = 1; END", []),
    ],
)
def test_the_columns_a_trigger_waits_for(trigger: str, columns: list[str]) -> None:
    """Those after UPDATE OF."""
    assert update_columns(trigger) == columns
