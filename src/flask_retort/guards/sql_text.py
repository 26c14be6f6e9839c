"""Literals in the text of a SQL statement: where a value stands that could be a parameter."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SQLText:
    """A statement, or a part of one, in a form that can be compared with source code.

    :param text: without comments, each run of white space one space.
    :param literals: start and end of each quoted string, number, true, false and null in it.
    """

    text: str
    literals: tuple[tuple[int, int], ...] = field(default=())

    def literal_at(self, position: int) -> tuple[int, int] | None:
        """The literal that begins at the position, or that it lies within.

        Before it may be a sign, or the parenthesis of a list.
        """
        before = _BEFORE_LITERAL.match(self.text, position)
        position = before.end() if before else position
        for start, end in self.literals:
            if start <= position < end:
                return start, end
        return None


def read(sql: str, dialect: str = "") -> SQLText:
    """The text and its literals.

    :param dialect: name of SQLAlchemy's; "mysql", "mariadb" and "sqlite" take ``= "x"`` as a
        string, and the first two a backslash as an escape.
    """
    text = plain(sql)
    tokens = _TOKENS_MYSQL if dialect in ("mysql", "mariadb") else _TOKENS
    literals: list[tuple[int, int]] = []
    for token in tokens.finditer(text):
        kind = token.lastgroup
        if kind == "literal" or (
            kind == "quoted" and dialect != "postgresql" and _is_compared(text, token)
        ):
            literals.append(token.span())
    return SQLText(text, tuple(literals))


def plain(sql: str) -> str:
    """The text without comments, each run of white space one space; ends are kept."""
    return _SPACE.sub(" ", _COMMENT.sub(lambda found: found[1] or " ", sql))


def can_be_bound(sql: str) -> bool:
    """Whether the statement is of a kind whose values can be parameters, as those of DDL can't."""
    return _WITH_PARAMETERS.match(plain(sql)) is not None


def _is_compared(text: str, token: re.Match[str]) -> bool:
    is_column = text[token.end() :].lstrip().startswith(".")
    return not is_column and _COMPARISON.search(text[: token.start()]) is not None


_SPACE = re.compile(r"\s+")
_BEFORE_LITERAL = re.compile(r"[\s(]*[-+]?")
_COMMENT = re.compile(r"('(?:[^']|'')*')|--[^\n]*|/\*.*?\*/", re.DOTALL)
_COMPARISON = re.compile(r"(=|<|>|\blike)\s*$", re.IGNORECASE)
_WITH_PARAMETERS = re.compile(
    r"[\s(]*(select|insert|update|delete|with|replace|merge|values|call)\b", re.IGNORECASE
)
_PATTERN = r"""
    (?P<placeholder> ::?\w+ | \$\d+ | \?\d* | @\w+ | %\(\w+\)s | %s )
  | (?P<literal> '(?:[^'{escape}]|''{escaped})*'? | \d+(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)
               | \b(?:true|false|null|none)\b )
  | (?P<quoted> "[^"]*" )
  | (?P<other> `[^`]*` | \w+ )
"""


def _tokens(escape: str, escaped: str) -> re.Pattern[str]:
    pattern = _PATTERN.replace("{escaped}", escaped).replace("{escape}", escape)
    return re.compile(pattern, re.IGNORECASE | re.VERBOSE)


_TOKENS = _tokens("", "")
_TOKENS_MYSQL = _tokens(r"\\", r"|\\.")
