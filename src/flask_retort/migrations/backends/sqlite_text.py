"""The little that has to be read of SQLite's statements: the first word, names, columns."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask_retort.engines.sqlite_transactions import _verb_after_with

NAME = r"(\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]|'(?:[^']|'')*'|\w+)"
"""Matches a name, in quotes or not, as one group."""

_UPDATE_OF = re.compile(rf"\bUPDATE\s+OF\s+({NAME}(?:\s*,\s*{NAME})*)\s+ON\b", re.IGNORECASE)
_SPACE = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$)|;)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]*")


def bare(statement: str) -> str:
    """The statement without what stands in front of its first word."""
    space = _SPACE.match(statement)
    return statement[space.end() :] if space else statement


def verb(statement: str) -> str:
    """What the statement does, as a word in capitals; behind WITH, what its main part does."""
    word = _WORD.match(bare(statement))
    first = word[0].upper() if word else ""
    return _verb_after_with(statement) if first == "WITH" else first


def unquoted(name: str) -> str:
    """A name without the quotes around it."""
    if name[:1] == "[":
        return name[1:-1]
    if name[:1] in ('"', "`", "'"):
        return name[1:-1].replace(name[0] * 2, name[0])
    return name


def update_columns(trigger: str) -> list[str]:
    """The columns after UPDATE OF in the text of a trigger."""
    found = _UPDATE_OF.search(trigger)
    return [unquoted(name) for name in re.findall(NAME, found[1])] if found else []


# --- CREATE TABLE ----------


_TOKEN = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|$)|(?P<name>\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\])"
    r"|'(?:[^']|'')*'|(?P<mark>[(),])|(?P<word>\w+)",
    re.DOTALL,
)
_OF_THE_TABLE = frozenset(("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"))
_KEPT = {"AUTOINCREMENT": 0, "COLLATE": 1, "CONFLICT": 1}
"""Words that change what a column does, and how many words after them belong to them."""


def attributes(sql: str) -> dict[str, set[str]]:
    """What the text of a table says about each column that no reflection of SQLAlchemy reads.

    ``{"id": {"AUTOINCREMENT"}, "name": {"COLLATE NOCASE"}}``; all columns are there, in small
    letters. ``REFERENCES`` stands for a foreign key that is written at its column.
    """
    found: dict[str, set[str]] = {}
    for words in _definitions(sql):
        first, *rest = words
        if first not in _OF_THE_TABLE:
            found[unquoted(first).lower()] = set(_attributes(rest))
    return found


def _attributes(words: list[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        if word in _KEPT:
            value = words[place + 1 : place + 1 + _KEPT[word]]
            yield " ".join(["ON CONFLICT" if word == "CONFLICT" else word, *map(unquoted, value)])
        elif word == "REFERENCES":
            yield word


def _definitions(sql: str) -> Iterator[list[str]]:
    """The words of each column and constraint; what stands in parentheses inside is left out."""
    depth = 0
    words: list[str] = []
    for token in _TOKEN.finditer(sql):
        mark = token["mark"]
        if mark == "(":
            depth += 1
        elif depth == 1 and mark is not None:
            if words:
                yield words
            words = []
            depth -= mark == ")"
        elif mark == ")":
            depth -= 1
        elif depth == 1 and (token["word"] or token["name"]):
            words.append(token["word"].upper() if token["word"] else token["name"])
