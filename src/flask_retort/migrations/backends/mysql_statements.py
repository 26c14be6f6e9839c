"""What a statement of MySQL or MariaDB is: its words, its verb, how it stands to transactions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import dropwhile, islice
from typing import NamedTuple

from . import Kind

_COMMENT = r"--(?=\s|\Z)[^\n]* | \#[^\n]* | /\*(?!M?!).*?(?:\*/|\Z)"
# What is not closed goes on to the end: the server will say what it thinks of it.
_STRING = r"""
    '[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+(?:'|\\?\Z) | "[^"\\]*+(?:(?:\\.|"")[^"\\]*+)*+(?:"|\\?\Z)
"""
_NAME = r"`[^`]*+(?:``[^`]*+)*+(?:`|\Z)"
_FLAGS = re.DOTALL | re.VERBOSE

_TOKEN = re.compile(
    rf"""
    (?P<skip> \s+ | {_COMMENT} )
  | (?P<skip_marks> /\*M?!\d* | \*/ )                       # what stands between them is executed
  | (?P<string> {_STRING} )
  | (?P<name> {_NAME} )
  | (?P<word> [\w$]+ )
  | (?P<mark> . )
    """,
    _FLAGS,
)
_UP_TO_SEMICOLON = re.compile(
    rf"(?: [^'\"`;\#/-]++ | {_COMMENT} | {_STRING} | {_NAME} | [/-] )*+", _FLAGS
)
_NOTHING = re.compile(rf"(?: [\s;]++ | {_COMMENT} )*+", _FLAGS)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_READS = _words(
    "SELECT SHOW EXPLAIN DESCRIBE DESC VALUES TABLE USE DO HELP SAVEPOINT PREPARE DEALLOCATE"
)
_WRITES = _words("INSERT UPDATE DELETE REPLACE")
_QUERIES = _words("SELECT VALUES TABLE") | _WRITES

_LONG = _words("INSERT REPLACE UPDATE DELETE SELECT VALUES")
_ENOUGH = 40

DEFINES = _words("CREATE ALTER DROP RENAME TRUNCATE")
"""Verbs that change definitions: whether they took effect can be seen."""

REPEATABLE = _words(
    "ANALYZE OPTIMIZE REPAIR CHECK CHECKSUM FLUSH RESET CACHE GRANT REVOKE LOCK UNLOCK START COMMIT"
    " ROLLBACK SET LOAD INSTALL UNINSTALL KILL PURGE"
)
"""Verbs that commit and leave no trace to look for, and whose second run does no harm."""

_OBJECTS = _words(
    "TABLE TABLES VIEW INDEX SEQUENCE DATABASE SCHEMA TRIGGER PROCEDURE FUNCTION PACKAGE EVENT USER"
    " ROLE SERVER TABLESPACE"
)
_HAS_BODY = _words("TRIGGER PROCEDURE FUNCTION PACKAGE EVENT")
_MODIFIERS = _words(
    "LOW_PRIORITY HIGH_PRIORITY DELAYED QUICK IGNORE INTO FROM IF NOT EXISTS OR REPLACE TEMPORARY"
    " TABLE TABLES"
)


class Token(NamedTuple):
    """A piece of a statement. ``kind`` is word, name, string or mark; a name is without quotes."""

    kind: str
    text: str


class Statement:
    """One statement, taken apart: comments are gone, what hides in ``/*! */`` is not.

    Of statements that write rows, which can be megabytes long, only the beginning is.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.tokens = _main(_tokens(text))

    @cached_property
    def verb(self) -> str:
        """The word that says what is done, in capitals; of WITH, that of the query behind it."""
        first = self._word(0)
        return self._verb_behind_with() if first == "WITH" else first

    @cached_property
    def object(self) -> str:
        """What CREATE, ALTER, DROP, RENAME or TRUNCATE is about, as "TABLE"; empty if unknown."""
        words = (token.text.upper() for token in self.tokens[1:] if token.kind == "word")
        named = next((word for word in words if word in _OBJECTS), "")
        if self.verb == "TRUNCATE" or named == "TABLES":
            return "TABLE"
        return "DATABASE" if named == "SCHEMA" else named

    @cached_property
    def is_several(self) -> bool:
        """Whether the text holds several statements; the bodies of routines do not count."""
        if self.verb in DEFINES and self.object in _HAS_BODY:
            return False
        end = _end_of_first(self._text)
        return not _NOTHING.fullmatch(self._text, end)

    @cached_property
    def is_temporary(self) -> bool:
        """Whether it creates or drops temporary tables, which does not commit."""
        head = [self._word(place) for place in range(1, 4)]
        return self.verb in ("CREATE", "DROP") and (
            head[0] == "TEMPORARY" or head == ["OR", "REPLACE", "TEMPORARY"]
        )

    @property
    def kind(self) -> Kind:
        """How it stands to transactions. What is not known commits."""
        second = self._word(1)
        if self.is_several:
            return Kind.ALONE
        if self.verb in _READS or self.is_temporary or not self.tokens:
            return Kind.READ
        if self.verb in _WRITES or (self.verb == "LOAD" and second in ("DATA", "XML")):
            return Kind.WRITE
        if self.verb == "SET" and second not in ("PASSWORD", "DEFAULT"):
            return Kind.READ
        if self.verb in ("ROLLBACK", "RELEASE") and self.says("TO") | self.says("SAVEPOINT"):
            return Kind.READ
        return Kind.ALONE

    @cached_property
    def names(self) -> frozenset[str]:
        """Everything that can be the name of something, in small letters."""
        return frozenset(
            (token.text[1:-1] if token.kind == "string" else token.text).casefold()
            for token in self.tokens
            if token.kind in ("word", "name") or token.text.startswith('"')
        )

    def says(self, *words: str) -> bool:
        """Whether these words or marks follow each other somewhere in it."""
        texts = [t.text.upper() if t.kind in ("word", "mark") else "" for t in self.tokens]
        length = len(words)
        return any(tuple(texts[at : at + length]) == words for at in range(len(texts) - length + 1))

    @property
    def target(self) -> str:
        """The only table that CREATE TABLE, INSERT or the like concerns; empty for several."""
        return self._name_and_rest()[0]

    @property
    def written_table(self) -> str:
        """The only table that a WRITE changes, in small letters; empty if that can't be told."""
        if self._word(0) != self.verb:
            return ""
        if self.verb == "LOAD":
            texts = [token.text.upper() for token in self.tokens]
            at = texts.index("TABLE") + 1 if "TABLE" in texts else len(texts)
            return _dotted(self.tokens[at:])[0]
        name, rest = self._name_and_rest()
        following = [token.text.upper() for token in rest]
        if self.verb == "UPDATE" and "SET" not in following[:3]:
            return ""
        if self.verb == "DELETE" and self._word(1) != "FROM" and not self._has_from_first():
            return ""
        return "" if following[:1] == [","] or "JOIN" in following[:3] else name

    def _name_and_rest(self) -> tuple[str, list[Token]]:
        at = 1
        while self._word(at) in _MODIFIERS:
            at += 1
        return _dotted(self.tokens[at:])

    def _has_from_first(self) -> bool:
        at = 1
        while self._word(at) in _MODIFIERS - {"FROM"}:
            at += 1
        return self._word(at) == "FROM"

    def _word(self, place: int) -> str:
        """The word at a place in capitals; empty if there is none or it is something else."""
        if place >= len(self.tokens) or self.tokens[place].kind != "word":
            return ""
        return self.tokens[place].text.upper()

    def _verb_behind_with(self) -> str:
        depth = 0
        for kind, text in self.tokens:
            depth += (text == "(") - (text == ")") if kind == "mark" else 0
            if depth == 0 and kind == "word" and text.upper() in _QUERIES:
                return text.upper()
        return "WITH"


def _tokens(text: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        kind, piece = str(match.lastgroup), match.group()
        if kind == "name":
            yield Token(kind, piece[1:-1].replace("``", "`"))
        elif not kind.startswith("skip"):
            yield Token(kind, piece)


def _main(tokens: Iterator[Token]) -> list[Token]:
    """Without the brackets around all of it, and without ``SET STATEMENT variable = value FOR``."""
    inside = dropwhile(lambda token: token in (("mark", "("), ("mark", ";")), tokens)
    found = list(islice(inside, _ENOUGH))
    if not (found and found[0].text.upper() in _LONG):
        found += inside
    words = [token.text.upper() for token in found]
    if words[:2] == ["SET", "STATEMENT"] and "FOR" in words:
        return found[words.index("FOR") + 1 :]
    return found


def _end_of_first(text: str) -> int:
    """Where the first statement ends: at a semicolon, or at the end of the text."""
    start = re.match(r"[\s;]*", text)
    assert start is not None
    match = _UP_TO_SEMICOLON.match(text, start.end())
    assert match is not None
    at_semicolon = text[match.end() : match.end() + 1] == ";"
    return match.end() if at_semicolon else len(text)


def _dotted(tokens: list[Token]) -> tuple[str, list[Token]]:
    """A name that may have its schema before it, in small letters, and what follows it."""
    length = 3 if [token.text for token in tokens[1:2]] == ["."] else 1
    return "".join(token.text for token in tokens[:length]).casefold(), tokens[length:]
