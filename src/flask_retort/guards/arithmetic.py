"""Whether a line of Python that sets an attribute has computed the new value from the old one."""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
from collections.abc import Iterable, Sequence
from types import CodeType

from .sources import parsed

_UNTOUCHED, _READ, _COMPUTED = 0, 1, 2
"""How far a value comes from the attribute: not at all, it is it, arithmetic was done with it."""

_NUMERIC = frozenset(("Decimal", "abs", "ceil", "float", "floor", "int", "max", "min", "round"))

_Statement = ast.AugAssign | ast.Assign | ast.AnnAssign | ast.Call
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Levels = dict[str, int]
"""Levels of the local names."""


@functools.lru_cache(maxsize=1024)
def is_computed_from_itself(code: CodeType, offset: int, name: str) -> bool:
    """Whether the instruction sets ``thing.name`` to arithmetic with ``thing.name``.

    Finds ``p.stock -= 1``, ``p.stock = max(p.stock - 1, 0)``, the same through local names
    and with ``setattr``. False where the source is not at hand, or is not what was compiled. Reads
    and parses a file once, then remembers the answer.

    :param code: of the frame.
    :param offset: ``frame.f_lasti``.
    :param name: of the attribute.
    """
    position = next(itertools.islice(code.co_positions(), offset // 2, None), None)
    tree = _parse(code.co_filename)
    if tree is None or position is None or None in position:
        return False
    for function in _functions(tree, code):
        for node in ast.walk(function):
            setting = _setting(node, position, name)
            if setting is not None:
                return _Search(*setting).run(function)
    return False


@functools.lru_cache(maxsize=8)
def _parse(filename: str) -> ast.Module | None:
    return parsed("".join(linecache.getlines(filename)))


def _functions(tree: ast.Module, code: CodeType) -> Iterable[_Function | ast.Module]:
    if code.co_name == "<module>":
        yield tree
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
            first = min([node.lineno, *(one.lineno for one in decorators)])
            if first == code.co_firstlineno and getattr(node, "name", "<lambda>") == code.co_name:
                yield node


def _setting(
    node: ast.AST, position: Sequence[int | None], name: str
) -> tuple[_Statement, ast.expr, ast.expr] | None:
    """The statement at the position, the object whose attribute it sets, and its name."""
    if isinstance(node, ast.Call) and _position(node) == position:
        is_setattr = ast.unparse(node.func) == "setattr"
        return (node, node.args[0], node.args[1]) if is_setattr else None
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        place = (name, position)
        for target in _flattened(targets):
            if isinstance(target, ast.Attribute) and (target.attr, _position(target)) == place:
                return node, target.value, ast.Constant(name)
    return None


class _Search:
    """Runs over a function's statements in order, and keeps the levels of its local names.

    Branches are joined: a name has the highest of its levels. Where the object's own name is set
    again, what came from the object before it is another object's.

    :param statement: the one in question; the search ends there.
    :param thing: the object whose attribute it sets.
    :param attribute: the attribute's name, as an expression.
    """

    def __init__(self, statement: _Statement, thing: ast.expr, attribute: ast.expr) -> None:
        self._statement = statement
        self._thing = ast.dump(thing)
        self._root = _root(thing)
        self._attribute = ast.dump(attribute)
        self._name = attribute.value if isinstance(attribute, ast.Constant) else None
        self._answer = False

    def run(self, function: _Function | ast.Module) -> bool:
        if not isinstance(function, ast.Lambda):
            self._run(function.body, {})
        return self._answer

    def _run(self, body: Sequence[ast.stmt], names: _Levels) -> _Levels:
        for statement in body:
            names = self._step(statement, names)
        return names

    def _step(self, statement: ast.stmt, names: _Levels) -> _Levels:
        if self._is_it(statement) and self._decide(names):
            self._answer = True
        match statement:
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                self._assign(statement, names)
            case ast.If(test=test) | ast.While(test=test):
                self._assign_in(test, names)
            case _:
                pass
        match statement:
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(statement, names)
            case ast.Try():
                return self._try(statement, names)
            case ast.With() | ast.AsyncWith():
                for item in statement.items:
                    self._set(item.optional_vars, _UNTOUCHED, names)
                return self._run(statement.body, names)
            case ast.If(body=body, orelse=orelse):
                return _joined(self._run(body, dict(names)), self._run(orelse, dict(names)))
            case ast.Match(cases=cases):
                return _joined(names, *(self._run(case.body, dict(names)) for case in cases))
            case _:
                return names

    def _is_it(self, statement: ast.stmt) -> bool:
        if isinstance(self._statement, ast.Call):
            return isinstance(statement, ast.Expr) and statement.value is self._statement
        return statement is self._statement

    def _decide(self, names: _Levels) -> bool:
        match self._statement:
            case ast.AugAssign():
                return True
            case ast.Call(args=[_, _, value]):
                return self._level(value, names) == _COMPUTED
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = zip(targets, values, strict=False)
                return any(
                    self._is_target(t) and self._level(v, names) == _COMPUTED for t, v in pairs
                )
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                return self._level(value, names) == _COMPUTED
            case _:
                return False

    def _is_target(self, node: ast.expr) -> bool:
        return (
            isinstance(node, ast.Attribute)
            and node.attr == self._name
            and ast.dump(node.value) == self._thing
        )

    # --- names --------------------------------------------------------------------

    def _assign(self, node: ast.Assign | ast.AnnAssign | ast.AugAssign, names: _Levels) -> None:
        level = self._level(node.value, names) if node.value is not None else _UNTOUCHED
        if isinstance(node, ast.AugAssign):
            if isinstance(node.target, ast.Name):
                before = names.get(node.target.id, _UNTOUCHED)
                names[node.target.id] = _COMPUTED if max(before, level) else _UNTOUCHED
            return
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            match target, node.value:
                case ast.Tuple(elts=targets), ast.Tuple(elts=values):
                    levels = [self._level(value, names) for value in values]
                    for one, its in zip(targets, levels, strict=False):
                        self._set(one, its, names)
                case _:
                    self._set(target, level, names)

    def _set(self, target: ast.expr | None, level: int, names: _Levels) -> None:
        for one in _flattened([target] if target is not None else []):
            if isinstance(one, ast.Name):
                if one.id == self._root:
                    names.clear()
                names[one.id] = level

    def _assign_in(self, test: ast.expr, names: _Levels) -> None:
        for node in ast.walk(test):
            if isinstance(node, ast.NamedExpr):
                self._set(node.target, self._level(node.value, names), names)

    def _loop(self, loop: ast.For | ast.AsyncFor | ast.While, names: _Levels) -> _Levels:
        for _ in range(2):  # what the body sets is there when it begins again
            inside = dict(names)
            if not isinstance(loop, ast.While):
                self._set(loop.target, _UNTOUCHED, inside)
            names = _joined(names, self._run(loop.body, inside))
        return self._run(loop.orelse, names)

    def _try(self, statement: ast.Try, names: _Levels) -> _Levels:
        after = self._run(statement.body, dict(names))
        anywhere = _joined(names, after)
        handled = [self._run(one.body, dict(anywhere)) for one in statement.handlers]
        after = self._run(statement.orelse, after)
        return self._run(statement.finalbody, _joined(after, *handled))

    # --- expressions --------------------------------------------------------------

    def _level(self, node: ast.expr, names: _Levels) -> int:
        """How far the value comes from the attribute."""
        if self._is_read(node):
            return _READ
        match node:
            case ast.Name(id=name):
                return names.get(name, _UNTOUCHED)
            case ast.BinOp(left=left, right=right):
                return _COMPUTED if self._highest([left, right], names) else _UNTOUCHED
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _COMPUTED if self._level(operand, names) else _UNTOUCHED
            case ast.BoolOp(values=values):
                return self._highest(values, names)
            case ast.IfExp(body=first, orelse=second):
                return self._highest([first, second], names)
            case ast.NamedExpr(value=value):
                return self._level(value, names)
            case ast.Call(func=function, args=args):
                return self._level_of_call(function, args, names)
            case _:
                return _UNTOUCHED

    def _level_of_call(self, function: ast.expr, args: Sequence[ast.expr], names: _Levels) -> int:
        """A number goes through ``max()`` or ``round()``, a computed one through any function."""
        level = self._highest(args, names)
        match function:
            case ast.Attribute(value=value, attr=attribute):
                level = max(level, self._level(value, names))
                is_numeric = attribute in _NUMERIC
            case ast.Name(id=name):
                is_numeric = name in _NUMERIC
            case _:
                is_numeric = False
        return level if is_numeric or level == _COMPUTED else _UNTOUCHED

    def _highest(self, nodes: Iterable[ast.expr], names: _Levels) -> int:
        return max((self._level(node, names) for node in nodes), default=_UNTOUCHED)

    def _is_read(self, node: ast.expr) -> bool:
        match node:
            case ast.Attribute(value=thing, attr=attribute):
                return attribute == self._name and ast.dump(thing) == self._thing
            case ast.Call(func=ast.Name(id="getattr"), args=[thing, attribute, *_]):
                return (ast.dump(thing), ast.dump(attribute)) == (self._thing, self._attribute)
            case _:
                return False


def _joined(*branches: _Levels) -> _Levels:
    joined: _Levels = {}
    for names in branches:
        for name, level in names.items():
            joined[name] = max(level, joined.get(name, _UNTOUCHED))
    return joined


def _flattened(targets: Iterable[ast.expr]) -> Iterable[ast.expr]:
    for target in targets:
        if isinstance(target, (ast.Tuple, ast.List)):
            yield from _flattened(target.elts)
        elif isinstance(target, ast.Starred):
            yield target.value
        else:
            yield target


def _position(node: ast.expr) -> tuple[int | None, ...]:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _root(node: ast.expr) -> str | None:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else None
