"""What a statement of PostgreSQL is, by its words: no server is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from . import Kind

_TOKEN = re.compile(
    r"""
      (?P<space>   \s+ | --[^\n]* )
    | (?P<comment> /\* )
    | (?P<string>  [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'
                 | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<name>    "(?:[^"]|"")*" )
    | (?P<word>    [^\W\d][\w$]* )
    | (?P<sign>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")

_SETS = frozenset({"SET", "RESET", "LOCK", "DISCARD", "LOAD", "LISTEN", "UNLISTEN", "CHECKPOINT"})
_CURSORS = frozenset({"DECLARE", "FETCH", "MOVE", "CLOSE", "DEALLOCATE"})
_READS = frozenset({"SHOW", "BEGIN", "START", "ABORT", "SAVEPOINT", "RELEASE"}) | _SETS | _CURSORS
"""What belongs to the session or the transaction, and has to be there again in the next one."""

_ALONE = frozenset({"VACUUM", "REINDEX", "CLUSTER", "CALL", "COMMIT", "END"})

_ALONE_OBJECTS = frozenset({"DATABASE", "TABLESPACE", "SUBSCRIPTION"})
"""What is created and dropped outside transactions."""

_PLAIN_CHANGE = re.compile(r"\s*(INSERT|UPDATE|DELETE)\s[^;]*\Z", re.IGNORECASE)
_UNLIMITED = re.compile("VACUUM|CONCURRENTLY|VALIDATE", re.IGNORECASE)
"""Looks at these first: the text of a bulk insert may be long."""

_QUERIES = frozenset({"SELECT", "VALUES", "TABLE", "WITH"})
_CHANGES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})

_HARMLESS = re.compile(
    r"(pg_(?!create|drop|logical|replication|restore)|to_|has_|current_|array_|json|regexp_|string_"
    r"|date_|txid_|uuid|row_).*"
    r"|not|exists|cast|coalesce|nullif|greatest|least|extract|row|array|case"
    r"|count|sum|min|max|avg|every|bool_and|bool_or|unnest|generate_series"
    r"|version|now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|age"
    r"|nextval|currval|lastval|set_config|random|gen_random_uuid|format_type"
    r"|obj_description|col_description|shobj_description"
    r"|upper|lower|length|trim|substring|position|replace|concat|concat_ws|format|md5|sha256"
    r"|quote_ident|quote_literal|parse_ident|abs|round|floor|ceil",
    re.IGNORECASE,
)
"""Functions that change nothing, or whose result is needed and whose second call does no harm."""


@dataclass(frozen=True, slots=True)
class CreatedIndex:
    """``CREATE INDEX CONCURRENTLY name ON table``; names as written, with their quotes."""

    name: str
    table: str
    if_not_exists: bool


@dataclass(frozen=True, slots=True)
class Reindexed:
    """``REINDEX INDEX CONCURRENTLY name`` or ``TABLE``; the name as written."""

    name: str
    is_table: bool


@lru_cache(maxsize=16)
def kind(statement: str) -> Kind:
    """How it stands to transactions; of several with semicolons between, the one that binds most.

    A SELECT is a READ, and a WRITE when it has INTO, a part that changes rows, ``setval``, or
    consists of calling a function that is not known to be harmless and reads no table, as in
    ``SELECT create_hypertable('t', 'time')``. ``DO`` is a WRITE unless its body ends transactions.
    """
    if _PLAIN_CHANGE.match(statement):
        return Kind.WRITE
    kinds = {_kind(part) for part in _parts(_words(statement))}
    return next((kind for kind in (Kind.ALONE, Kind.WRITE) if kind in kinds), Kind.READ)


def blocks_nobody(statement: str) -> bool:
    """Whether it can run for hours beside others' reads and writes, so that it needs no limit."""
    if not _UNLIMITED.search(statement):
        return False
    upper = _upper(_words(statement))
    if upper[:1] == ["VACUUM"]:
        return "FULL" not in upper
    return "CONCURRENTLY" in upper and upper[0] in ("CREATE", "DROP", "REINDEX", "ALTER")


def validates(statement: str) -> bool:
    """Whether it is an ``ALTER TABLE ... VALIDATE CONSTRAINT`` and nothing else."""
    if not _UNLIMITED.search(statement):
        return False
    upper = _upper(_words(statement))
    return upper[:2] == ["ALTER", "TABLE"] and "VALIDATE" in upper and "," not in upper


def created_index(statement: str) -> CreatedIndex | None:
    """The index that a ``CREATE INDEX CONCURRENTLY`` names, or None for another statement."""
    words = _words(statement)
    upper = _upper(words)
    at = 2 if upper[1:2] == ["UNIQUE"] else 1
    if upper[:1] != ["CREATE"] or upper[at : at + 2] != ["INDEX", "CONCURRENTLY"]:
        return None
    at += 2
    if_not_exists = upper[at : at + 3] == ["IF", "NOT", "EXISTS"]
    at += 3 if if_not_exists else 0
    if upper[at + 1 : at + 2] != ["ON"]:  # the server makes up the name
        return None
    table = at + 3 if upper[at + 2 : at + 3] == ["ONLY"] else at + 2
    return CreatedIndex(words[at], _qualified(words, table), if_not_exists)


def dropped_index(statement: str) -> str | None:
    """The name in a ``DROP INDEX CONCURRENTLY``, as written, or None for another statement."""
    words = _words(statement)
    upper = _upper(words)
    if upper[:3] != ["DROP", "INDEX", "CONCURRENTLY"]:
        return None
    return _qualified(words, 5 if upper[3:5] == ["IF", "EXISTS"] else 3)


def reindexed(statement: str) -> Reindexed | None:
    """What a ``REINDEX ... CONCURRENTLY`` builds anew, or None for others and for whole schemas."""
    words = _words(statement)
    upper = _upper(words)
    if upper[:1] != ["REINDEX"] or "CONCURRENTLY" not in upper:
        return None
    at = upper.index(")") + 1 if upper[1:2] == ["("] else 1
    if upper[at : at + 1] not in (["INDEX"], ["TABLE"]):
        return None
    name = at + 2 if upper[at + 1 : at + 2] == ["CONCURRENTLY"] else at + 1
    return Reindexed(_qualified(words, name), upper[at] == "TABLE")


def first_word(statement: str) -> str:
    """The statement's first word, in capitals; empty where there is none."""
    return next(iter(_upper(_words(statement))), "")


def what_it_does(statement: str) -> str:
    """CREATE, DROP, or ALTER with the word that says what; empty for others.

    Empty too for a concurrent index: its name alone does not tell that it was finished.
    """
    upper = _upper(_words(statement))
    if upper[:1] in (["CREATE"], ["DROP"]):
        return "" if created_index(statement) else upper[0]
    changes = (word for word in upper if word in ("ADD", "DROP", "RENAME", "DETACH"))
    return f"ALTER {next(changes, '')}".strip() if upper[:1] == ["ALTER"] else ""


def _kind(words: list[str]) -> Kind:
    upper = _upper(words)
    first, second = upper[0], upper[1] if len(upper) > 1 else ""
    match first:
        case _ if first in _QUERIES:
            return _kind_of_query(upper)
        case "EXPLAIN":
            return Kind.WRITE if "ANALYZE" in upper and _changes_rows(upper) else Kind.READ
        case "COPY":
            return Kind.READ if "TO" in upper and "FROM" not in _outside(upper) else Kind.WRITE
        case "ROLLBACK" | "PREPARE":
            return Kind.ALONE if second in ("PREPARED", "TRANSACTION") else Kind.READ
        case "DO":
            return _kind_of_block(words)
        case "CREATE" | "DROP" | "ALTER":
            return _kind_of_definition(upper)
        case _ if first in _READS:
            return Kind.READ
        case _:
            return Kind.ALONE if first in _ALONE else Kind.WRITE


def _kind_of_definition(upper: list[str]) -> Kind:
    text = " ".join(upper)
    if upper[0] == "ALTER":
        alone = (
            upper[1:2] in (["SYSTEM"], ["SUBSCRIPTION"])
            or (upper[1:2] == ["DATABASE"] and "SET TABLESPACE" in text)
            or (upper[1:2] == ["TYPE"] and "ADD VALUE" in text)
        )
    else:
        alone = bool(_ALONE_OBJECTS.intersection(upper[1:2]))
    return Kind.ALONE if alone or "CONCURRENTLY" in upper else Kind.WRITE


def _kind_of_block(words: list[str]) -> Kind:
    """``DO``: its body is a string, and may end transactions or call what does."""
    ends = re.search(r"\b(COMMIT|ROLLBACK|CALL)\b", " ".join(words), re.IGNORECASE)
    return Kind.ALONE if ends else Kind.WRITE


def _kind_of_query(upper: list[str]) -> Kind:
    if "INTO" in upper or _changes_rows(upper):
        return Kind.WRITE
    if any(upper[at : at + 2] == ["SETVAL", "("] for at in range(len(upper))):
        return Kind.WRITE
    if upper[0] != "SELECT":
        return Kind.READ
    outside = _outside(upper)
    if "FROM" in outside:
        called = _called(outside, outside.index("FROM") + 1)
    else:
        called = _called(outside, 1)
    return Kind.WRITE if called and not _HARMLESS.fullmatch(called) else Kind.READ


def _changes_rows(upper: list[str]) -> bool:
    """Whether a part in or after parentheses begins so; ``FOR UPDATE`` and a column do not."""
    return any(
        word in _CHANGES and upper[at - 1] in ("(", ")", "ANALYZE", "VERBOSE")
        for at, word in enumerate(upper)
    )


def _called(upper: list[str], at: int) -> str:
    """The function called at this place, without its schema; empty where none is."""
    while upper[at + 1 : at + 2] == ["."]:
        at += 2
    return upper[at].strip('"') if upper[at + 1 : at + 2] == ["("] else ""


def _outside(upper: list[str]) -> list[str]:
    """The words outside parentheses, which stay themselves."""
    depth, found = 0, list[str]()
    for word in upper:
        depth -= word == ")"
        if depth == 0:
            found.append(word)
        depth += word == "("
    return found


def _qualified(words: list[str], at: int) -> str:
    """The name at this place with its schema, as written."""
    end = at + 1
    while words[end : end + 1] == ["."]:
        end += 2
    return "".join(words[at:end])


def _parts(words: list[str]) -> Iterator[list[str]]:
    """The statements between semicolons, each without the parentheses it begins with."""
    if "ATOMIC" in _upper(words):  # a function's body, which has semicolons of its own
        yield words
        return
    part: list[str] = []
    depth = 0
    for word in [*words, ";"]:
        depth += (word == "(") - (word == ")")
        if word == ";" and depth <= 0:
            while part[:1] == ["("]:
                part.pop(0)
            if part:
                yield part
            part, depth = [], 0
        else:
            part.append(word)


def _upper(words: list[str]) -> list[str]:
    return [word.upper() for word in words]


def _words(statement: str) -> list[str]:
    """Words, quoted names, strings and signs as written; no comments."""
    return list(_scan(statement))


def _scan(statement: str) -> Iterator[str]:
    at = 0
    while match := _TOKEN.match(statement, at):
        at = match.end()
        if match.lastgroup == "comment":
            at = _end_of_comment(statement, at)
        elif match.lastgroup != "space":
            yield match.group()


def _end_of_comment(statement: str, at: int) -> int:
    """Where a comment ends whose inside begins here; PostgreSQL's comments can be nested."""
    depth = 1
    while depth and (edge := _COMMENT_EDGE.search(statement, at)):
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return len(statement) if depth else at
