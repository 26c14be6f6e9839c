"""Strings that a module's source puts together from constant parts and expressions."""

from __future__ import annotations

import ast
import linecache
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .sources import parsed
from .sql_text import plain
from .value_origins import Scope


@dataclass(frozen=True)
class Hole:
    """An expression in a template.

    :param source: its source code.
    :param elements: of the list that it joins to a string; "" where it is something else.
    :param name: a name for a parameter with its value.
    :param is_fixed: its value comes from constants, by all that can be seen.
    :param is_input: its value is what the client has sent, and nothing checks it.
    """

    source: str
    elements: str
    name: str
    is_fixed: bool
    is_input: bool


@dataclass(frozen=True)
class Template:
    """An f-string, a ``%`` or ``format`` expression, or a sum of strings.

    :param parts: the constant parts, one more than holes, in the form of :func:`.sql_text.plain`.
    :param function: qualified name of the function it stands in; "" for the module.
    :param lines: first and last line of that function.
    """

    parts: tuple[str, ...]
    holes: tuple[Hole, ...]
    line: int
    function: str
    lines: tuple[int, int]

    @cached_property
    def is_sql(self) -> bool:
        """Whether the constant parts alone show that it is a piece of SQL."""
        compares = any(_COMPARISON.search(part) for part in self.parts[:-1])
        return compares or _SQL.search(" ? ".join(self.parts)) is not None

    def is_all_of(self, text: str) -> bool:
        """Whether the text begins and ends as the template does, with constants."""
        first, last = self.parts[0], self.parts[-1]
        return bool(first) and text.startswith(first) and text.endswith(last)

    def places(self, text: str) -> Iterator[list[tuple[Hole, int]]]:
        """Where each hole's value begins, for every place at which the text can be of the template.

        Holes before the first constant part are left out.

        :param text: in the form of :func:`.sql_text.plain`.
        """
        first = next((i for i, part in enumerate(self.parts) if part.strip()), None)
        if first is None:
            return
        start = text.find(self.parts[first])
        while start >= 0:
            found = self._places_from(text, start, first)
            if found is None:
                return
            yield found
            start = text.find(self.parts[first], start + 1)

    def _places_from(self, text: str, start: int, first: int) -> list[tuple[Hole, int]] | None:
        end = start + len(self.parts[first])
        found: list[tuple[Hole, int]] = []
        for hole, part in zip(self.holes[first:], self.parts[first + 1 :], strict=True):
            found.append((hole, end))
            start = text.find(part, end)
            if start < 0:
                return None
            end = start + len(part)
        return found


@dataclass(frozen=True)
class Source:
    """What one module's source tells of strings.

    :param module: its dotted name.
    :param templates: those with an expression in them.
    :param inputs: what the client sends, handed to ``text()`` as it is.
    :param constants: those that are part of no template, in the form of :func:`.sql_text.plain`.
    """

    filename: str
    module: str
    templates: Sequence[Template] = ()
    inputs: Sequence[Template] = ()
    constants: Sequence[str] = ()


def read(filename: str, namespace: Mapping[str, object]) -> Source:
    """The templates and constants of a module; costs as much as compiling it.

    :param namespace: the module's globals.
    """
    module = str(namespace.get("__name__", ""))
    tree = parsed("".join(linecache.getlines(filename)))
    if tree is None:
        return Source(filename, module)
    reader = _Reader(Scope.of_module(tree, namespace))
    reader.visit(tree)
    return Source(filename, module, reader.templates, reader.inputs, reader.constants)


Piece = str | ast.expr


class _Reader(ast.NodeVisitor):
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.function = ""
        self.lines = (0, 0)
        self.templates: list[Template] = []
        self.inputs: list[Template] = []
        self.constants: list[str] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside = self.scope, self.function, self.lines
        self.scope = self.scope.inner(node)
        self.function = f"{self.function}.{node.name}".lstrip(".")
        self.lines = (node.lineno, node.end_lineno or node.lineno)
        self.generic_visit(node)
        self.scope, self.function, self.lines = outside

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - the visitor's name for it

    def visit_Lambda(self, node: ast.Lambda) -> None:
        outside = self.scope
        self.scope = self.scope.inner(node)
        self.generic_visit(node)
        self.scope = outside

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        outside = self.scope, self.function
        self.scope = self.scope.inner(node)
        self.function = f"{self.function}.{node.name}".lstrip(".")
        self.generic_visit(node)
        self.scope, self.function = outside

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.constants.append(plain(node.value))

    def visit_JoinedStr(self, node: ast.expr) -> None:
        self._keep(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._keep(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in ("text", "literal_column") and node.args and self.scope.is_input(node.args[0]):
            self.inputs.append(self._template(node, ["", ""], [node.args[0]]))
        self._keep(node)

    def _keep(self, node: ast.expr) -> None:
        """Remember a template, and go on in its expressions; or in all, where it is none."""
        pieces = _pieces(node, self.scope)
        if pieces == [node]:
            self.generic_visit(node)
            return
        parts, holes = _split(pieces)
        if holes:
            self.templates.append(self._template(node, parts, holes))
        else:
            self.constants.append(plain(parts[0]))
        for hole in holes:
            self.visit(hole)

    def _template(self, node: ast.expr, parts: list[str], holes: list[ast.expr]) -> Template:
        return Template(
            parts=_trimmed(parts),
            holes=tuple(_hole(hole, self.scope) for hole in holes),
            line=node.lineno,
            function=self.function,
            lines=self.lines,
        )


def _pieces(node: ast.expr, scope: Scope) -> list[Piece]:
    """The string that an expression makes; only the expression itself where that is not known."""
    match node:
        case ast.Constant(value=str(value)):
            return [value]
        case ast.Name():
            constant = scope.string(node.id)
            return [node] if constant is None else [constant]
        case ast.JoinedStr():
            return [piece for value in node.values for piece in _pieces(value, scope)]
        case ast.FormattedValue():
            return _pieces(node.value, scope) if node.format_spec is None else [node.value]
        case ast.BinOp(op=ast.Add()):
            pieces = [*_pieces(node.left, scope), *_pieces(node.right, scope)]
            return pieces if any(isinstance(piece, str) for piece in pieces) else [node]
        case ast.BinOp(op=ast.Mod()):
            return _filled(node, "%", _pieces(node.left, scope), _percent_values(node.right))
        case ast.Call(func=ast.Attribute(value=template, attr="format")):
            values: dict[str, ast.expr] = {str(i): value for i, value in enumerate(node.args)}
            values |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            return _filled(node, "{", _pieces(template, scope), values)
        case _:
            return [node]


def _percent_values(node: ast.expr) -> dict[str, ast.expr]:
    if isinstance(node, ast.Tuple):
        return {str(i): value for i, value in enumerate(node.elts)}
    if isinstance(node, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
        return {str(key): value for key, value in zip(keys, node.values, strict=True)}
    return {"0": node}


def _filled(
    node: ast.expr, style: str, template: list[Piece], values: Mapping[str, ast.expr]
) -> list[Piece]:
    """The template with its values; the expression itself where they do not fit."""
    text = "".join(piece for piece in template if isinstance(piece, str))
    if not all(isinstance(piece, str) for piece in template):
        return [node]
    pieces: list[Piece] = []
    try:
        fields = list(_percent_fields(text) if style == "%" else _brace_fields(text))
        for constant, key in fields:
            pieces += [constant] if key is None else [constant, values[key]]
    except (KeyError, ValueError):
        return [node]
    return pieces


def _percent_fields(text: str) -> Iterator[tuple[str, str | None]]:
    position = number = 0
    for found in _PERCENT.finditer(text):
        constant, position = text[position : found.start()], found.end()
        if found[2] == "%":
            yield f"{constant}%", None
        else:
            yield constant, found[1] or str(number)
            number += not found[1]
    yield text[position:], None


def _brace_fields(text: str) -> Iterator[tuple[str, str | None]]:
    number = 0
    for constant, key, _, _ in string.Formatter().parse(text):
        if key == "":
            key, number = str(number), number + 1
        yield constant, key and re.split(r"[.\[]", key)[0]


def _split(pieces: list[Piece]) -> tuple[list[str], list[ast.expr]]:
    parts = [""]
    holes: list[ast.expr] = []
    for piece in pieces:
        if isinstance(piece, str):
            parts[-1] += piece
        else:
            holes.append(piece)
            parts.append("")
    return parts, holes


def _trimmed(parts: list[str]) -> tuple[str, ...]:
    parts = [plain(part) for part in parts]
    parts[0], parts[-1] = parts[0].lstrip(), parts[-1].rstrip()
    return tuple(parts)


def _hole(node: ast.expr, scope: Scope) -> Hole:
    node = node.value if isinstance(node, ast.FormattedValue) else node
    elements = _elements(scope.expression(node))
    return Hole(
        source=ast.unparse(node),
        elements=ast.unparse(elements) if elements else "",
        name=_name(elements or node),
        is_fixed=scope.is_fixed(node),
        is_input=scope.is_input(node),
    )


def _elements(node: ast.expr) -> ast.expr | None:
    """What a call of ``join()`` joins."""
    match node:
        case ast.Call(func=ast.Attribute(attr="join"), args=[joined]):
            return _source_of(joined)
        case _:
            return None


def _source_of(joined: ast.expr) -> ast.expr:
    match joined:
        case ast.GeneratorExp(generators=[loop]) | ast.ListComp(generators=[loop]):
            return loop.iter
        case ast.Call(func=ast.Name(id="map"), args=[_, values]):
            return values
        case _:
            return joined


def _name(node: ast.AST) -> str:
    """A name for the value of an expression: the last one in it that names something."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))) if name.isidentifier():
            return name
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return name if name.isidentifier() else "value"
        case ast.Call(args=[argument, *_]):
            return _name(argument)
        case ast.Call(func=ast.Attribute(value=owner)):
            return _name(owner)
        case _:
            return "value"


_PERCENT = re.compile(r"%(?:\((\w+)\))?[-#0 +]*(?:\d+)?(?:\.\d+)?([srdifeg%])")
_COMPARISON = re.compile(r"\w(\s*(=|<>|[<>!]=?)\s*'|\s(=|<>|[<>!]=?)\s)%?$")
_SQL = re.compile(
    r"\b(select|insert into|update|delete from|where|values|limit|offset|having|i?like|between)\b",
    re.IGNORECASE,
)
