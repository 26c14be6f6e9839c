"""``sql-literal``: a statement whose text was made with a value in it."""

from __future__ import annotations

import itertools
import re
import sys
import sysconfig
import traceback
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, FrameType, ModuleType
from typing import Any, ClassVar

import sqlalchemy as sa
from flask import Flask, has_request_context, request
from sqlalchemy import Engine, event
from sqlalchemy.sql import visitors

from flask_retort.engines import attach_to_all

from . import sql_text, string_templates
from .hooks import Guard
from .reporting import Text
from .sql_text import SQLText
from .string_templates import Hole, Source, Template

Site = tuple[CodeType, int]
Place = tuple[Hole, int]


class SQLLiteralGuard(Guard):
    """Compares the text of statements with the strings that the code around the call puts together.

    Costs a look into a dict for a statement that SQLAlchemy has made; for one with text of the
    application, a walk to the caller; for a text with literals that this caller has not sent
    before, the comparison. The source of a module is read once, when that first happens.
    """

    code: ClassVar[str] = "sql-literal"
    text: ClassVar[Text] = Text(
        what="{what}, at {where}.",
        why="{why}",
        write="{write}",
    )

    def attach(self, app: Flask, engines: Mapping[str | None, Engine]) -> None:
        """Listen to the statements of each engine."""
        self._package = app.import_name.partition(".")[0]
        self._texts: weakref.WeakKeyDictionary[Any, tuple[str, ...]] = weakref.WeakKeyDictionary()
        self._harmless: dict[Site, set[int]] = {}
        self._sources: dict[str, Source] = {}
        for engine in engines.values():
            attach_to_all(engine, self._listen)

    def _listen(self, engine: object) -> None:
        if isinstance(engine, Engine):  # tests put others in its place
            # These two events cost a tenth of before_cursor_execute.
            event.listen(engine, "do_execute", self._look)
            event.listen(engine, "do_executemany", self._look)

    def _look(self, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        texts = self._texts_of(context, statement)
        caller = next(_calls(self._package), None) if texts else None
        if caller is not None:
            for text in texts:
                self._judge(text, context, caller)

    def _texts_of(self, context: Any, statement: str) -> tuple[str, ...]:
        """What of the statement the application has written as text."""
        compiled = context.compiled
        if compiled is None:
            return (statement,) if sql_text.can_be_bound(statement) else ()
        texts = self._texts.get(compiled)
        if texts is None:
            texts = self._texts[compiled] = () if context.isddl else _texts_in(compiled.statement)
        return texts

    def _judge(self, text: str, context: Any, caller: FrameType) -> None:
        known = self._harmless.setdefault((caller.f_code, caller.f_lineno), set())
        if hash(text) in known or len(known) >= _ENOUGH:
            return
        finding = self._finding(sql_text.read(text.strip(), context.dialect.name), caller)
        if finding is None:
            known.add(hash(text))
        else:
            self.find(finding.subject, **finding.words(is_plain=context.compiled is None))

    def _finding(self, sql: SQLText, caller: FrameType) -> _Finding | None:
        """What is wrong with the text, by the modules of the calls; else by those they name."""
        may_be_wrong = sql.literals or any(value in sql.text for value in _sent())
        if not may_be_wrong or _is_migration(caller):
            return None
        frames = [*itertools.islice(_calls(self._package), _CALLS)]
        sources = self._read((frame.f_code.co_filename, frame.f_globals) for frame in frames)
        search = _Search(sql, frames, sources)
        finding = search.value() or search.input()
        if finding is None and not search.is_constant():
            named = self._read(module for frame in frames for module in _named_modules(frame))
            finding = _Search(sql, frames, sources + named).value()
        return finding

    def _read(self, modules: Iterable[tuple[str, Mapping[str, object]]]) -> list[Source]:
        by_file = dict(modules)
        for filename, namespace in by_file.items():
            if filename not in self._sources:
                self._sources[filename] = string_templates.read(filename, namespace)
        return [self._sources[filename] for filename in by_file]


@dataclass(frozen=True)
class _Finding:
    """A template whose holes stand in a statement: as values, or as input without a check."""

    template: Template
    source: Source
    holes: tuple[Hole, ...]
    statement: SQLText
    is_input: bool = False

    @property
    def subject(self) -> str:
        """The function that makes the text."""
        return f"{self.source.module}.{self.template.function}".rstrip(".")

    def words(self, *, is_plain: bool) -> dict[str, str]:
        """What the message says.

        :param is_plain: the text went to ``exec_driver_sql()``, which takes no ``text()``.
        """
        named = " and ".join(dict.fromkeys(hole.source for hole in self.holes))
        if self.is_input:
            name = self.holes[0].name
            return {
                "what": f"{named}, which the client chooses, became part of a statement's text",
                "why": "Whoever sends the request can write any SQL there.",
                "write": f"Choose among what may be asked for: {name} ="
                f" {{'name': User.name}}.get({named}, User.id), and pass that on without text().",
            }
        bound = _bound(self.template, self.holes, self.statement)
        return {
            "what": f"The value of {named} was put into a statement's text",
            "why": "A value can then change what the statement does (SQL injection), and the"
            " database prepares a new statement for each value.",
            "write": f"Bind it: {f'connection.execute({bound})' if is_plain else bound}.",
        }


class _Search:
    """Looks for the templates that a text can have been made from.

    :param sql: the text.
    :param frames: the user's calls that lead to the statement, the innermost first.
    :param sources: modules in which the text can have been made.
    """

    def __init__(self, sql: SQLText, frames: list[FrameType], sources: list[Source]) -> None:
        self.sql = sql
        self.frames = frames
        self.sources = sources
        self.named = {name for code in _functions(frames) for name in _names(code)}
        matches = [*self._matches()]
        live = [match for match in matches if self._is_live(match[0], match[1])]
        self.matches = live or matches

    def value(self) -> _Finding | None:
        """A template with a value in a literal's place."""
        findings: list[_Finding] = []
        fixed = {
            span
            for _, _, places in self.matches
            for hole, position in places
            if hole.is_fixed and (span := self.sql.literal_at(position))
        }
        for source, template, places in self.matches:
            valued = {
                hole: span
                for hole, position in places
                if not hole.is_fixed and (span := self.sql.literal_at(position))
            }
            if any(span not in fixed and not self._is_constant(span) for span in valued.values()):
                findings.append(_Finding(template, source, tuple(valued), self.sql))
        return max(findings, key=lambda found: len("".join(found.template.parts)), default=None)

    def input(self) -> _Finding | None:
        """A template, or a call of ``text()``, with what the client sends as it is."""
        for source, template, places in self.matches:
            holes = [hole for hole, place in places if hole.is_input and self._is_sent(place)]
            if holes:
                return _Finding(template, source, tuple(holes), self.sql, is_input=True)
        for source in self.sources:
            for template in source.inputs:
                if self._is_live(source, template) and self.sql.text in _sent():
                    return _Finding(template, source, template.holes, self.sql, is_input=True)
        return None

    def is_constant(self) -> bool:
        """Whether all literals come from constants that are known."""
        return all(self._is_constant(span) for span in self.sql.literals)

    def _matches(self) -> Iterator[tuple[Source, Template, list[Place]]]:
        for source in self.sources:
            for template in source.templates:
                if self._is_near(source, template):
                    for places in template.places(self.sql.text):
                        yield source, template, places

    def _is_near(self, source: Source, template: Template) -> bool:
        """Whether its function runs now, or is named by one that does.

        What two functions have alike may be by chance; a file of constant statements may have it.
        """
        if self._is_live(source, template):
            return template.is_sql or template.is_all_of(self.sql.text)
        return template.is_sql and template.function.rpartition(".")[2] in ("", *self.named)

    def _is_live(self, source: Source, template: Template) -> bool:
        first, last = template.lines
        return any(
            frame.f_code.co_filename == source.filename and first <= frame.f_lineno <= last
            for frame in self.frames
        )

    def _is_sent(self, position: int) -> bool:
        text = self.sql.text[position:].lower()
        return any(value and text.startswith(value.lower()) for value in _sent())

    def _is_constant(self, span: tuple[int, int]) -> bool:
        """Whether a constant of the sources, or a global name, has the literal in it."""
        text = self.sql.text
        return any(
            text in constant or _covers(constant, text, span) for constant in self._constants
        )

    @cached_property
    def _constants(self) -> list[str]:
        spaces = {id(frame.f_globals): frame.f_globals for frame in self.frames}.values()
        named = [value for space in spaces for value in space.values() if isinstance(value, str)]
        written = [constant for source in self.sources for constant in source.constants]
        return [constant.strip() for constant in (*written, *map(sql_text.plain, named))]


def _covers(constant: str, text: str, span: tuple[int, int]) -> bool:
    if len(constant) <= span[1] - span[0]:
        return False
    start = text.find(constant)
    while 0 <= start <= span[0]:
        if start + len(constant) >= span[1]:
            return True
        start = text.find(constant, start + 1)
    return False


def _texts_in(statement: Any) -> tuple[str, ...]:
    if isinstance(statement, sa.TextClause):
        return (statement.text,) if sql_text.can_be_bound(statement.text) else ()
    found: list[str] = []
    for element in visitors.iterate(statement):
        if isinstance(element, sa.TextClause):
            found.append(element.text)
        elif isinstance(element, sa.ColumnClause) and element.is_literal:
            found.append(element.name)
    return tuple(found)


def _sent() -> set[str]:
    """The values of the request's query string and, if it was parsed already, of its form."""
    if not has_request_context():
        return set()
    values = set(request.args.values())
    if "form" in vars(request._get_current_object()):  # type: ignore[attr-defined] # a proxy
        values |= set(request.form.values())
    return values


def _calls(package: str) -> Iterator[FrameType]:
    """The user's calls on the stack, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if _is_users(name, frame.f_code.co_filename, package):
            yield frame
        frame = frame.f_back


def _is_migration(frame: FrameType | None) -> bool:
    """Whether Alembic has called it: its scripts run once, with values of their own."""
    stack = [f"{frame.f_globals.get('__name__')}." for frame, _ in traceback.walk_stack(frame)]
    return any(name.startswith("alembic.") for name in stack)


def _named_modules(frame: FrameType) -> Iterator[tuple[str, Mapping[str, object]]]:
    """File and globals of the user's modules that a function names, or takes something from."""
    for name in _names(frame.f_code):
        value = frame.f_globals.get(name)
        module = value if isinstance(value, ModuleType) else sys.modules.get(_module_of(value))
        filename = getattr(module, "__file__", None)
        if module is not None and filename is not None and _is_users(module.__name__, filename):
            yield filename, vars(module)


def _functions(frames: list[FrameType]) -> list[CodeType]:
    """Their code. A module names nearly all of its functions, so only as the innermost call."""
    codes = [frame.f_code for frame in frames]
    return codes[:1] + [code for code in codes[1:] if code.co_name != "<module>"]


def _names(code: CodeType) -> Iterator[str]:
    """The names in a function, those in its comprehensions too."""
    yield from (*code.co_names, *code.co_varnames, *code.co_cellvars, *code.co_freevars)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _module_of(value: object) -> str:
    name = getattr(value, "__module__", None) if callable(value) else None
    return name if isinstance(name, str) else ""


def _is_users(module: str, filename: str, package: str = "") -> bool:
    root = module.partition(".")[0]
    if root in _LIBRARIES:
        return False
    return (root == package != "") or (filename.endswith(".py") and not filename.startswith(_PATHS))


def _bound(template: Template, valued: tuple[Hole, ...], statement: SQLText) -> str:
    """The template's own text, with parameters for the values, as one would write it."""
    parts = list(template.parts)
    text = parts[0]
    values: dict[str, str] = {}
    for i, hole in enumerate(template.holes, start=1):
        if hole in valued:
            before, value, parts[i] = _unquoted(text, hole, parts[i])
            name = hole.name if values.get(hole.name, value) == value else f"{hole.name}_{i}"
            before, parameter, parts[i] = _cast(before, f":{name}", parts[i])
            text, values[name] = f"{before}{parameter}", value
        else:
            text += f"{{{hole.source}}}"
        text += parts[i]
    quote = "'" if '"' in text else '"'
    form = "f" if set(template.holes) - set(valued) else ""
    written = f"{form}{quote}{text}{quote}"
    given = "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}"
    if sql_text.can_be_bound(text):
        return f"text({written}){_expanding(text, values)}, {given}"
    if sql_text.can_be_bound(statement.text):
        return f"{written}, and give the statement the parameters {given}"
    named = ", ".join(f"{name}={value}" for name, value in values.items())
    return f"text({written}){_expanding(text, values)}.params({named})"


def _unquoted(before: str, hole: Hole, after: str) -> tuple[str, str, str]:
    """The text up to the parameter, the value to bind, and the text that follows."""
    quote = '"' if before.endswith('"') else "'"
    opening = re.search(rf"{quote}([^{quote}]*)$", before)
    closing = re.match(rf"([^{quote}]*){quote}", after)
    value = hole.source
    if opening and closing:
        before, after = before[: opening.start()], after[closing.end() :]
        if opening[1] or closing[1]:
            value = f'f"{opening[1]}{{{value}}}{closing[1]}"'
    elif hole.elements and before.endswith("(") and after.startswith(")"):
        before, after, value = before[:-1], after[1:], hole.elements
    return before, value, after


def _cast(before: str, parameter: str, after: str) -> tuple[str, str, str]:
    """The same, with ``date '...'`` and ``'...'::date`` in the form that takes a parameter."""
    typed = _TYPE_BEFORE.search(before)
    cast = _TYPE_AFTER.match(after)
    if typed:
        return before[: typed.start()], f"CAST({parameter} AS {typed[1]})", after
    if cast:
        return before, f"CAST({parameter} AS {cast[1]})", after[cast.end() :]
    return before, parameter, after


def _expanding(text: str, names: Iterable[str]) -> str:
    lists = [name for name in names if re.search(rf"\bin :{name}\b", text, re.IGNORECASE)]
    listed = ", ".join(f'bindparam("{name}", expanding=True)' for name in lists)
    return f".bindparams({listed})" if lists else ""


_TYPE_BEFORE = re.compile(r"\b(interval|date|time|timestamp|timestamptz)\s*$", re.IGNORECASE)
_TYPE_AFTER = re.compile(r"::(\w+(?:\([\d, ]+\))?(?:\[\])?)")
_CALLS = 6
"""How many calls above the statement are looked at."""
_ENOUGH = 100
"""So many different harmless texts from one line, and no more of its texts are looked at."""
_LIBRARIES = frozenset({"flask_retort", "sqlalchemy", "flask", "werkzeug", "alembic"})
_PATHS = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
