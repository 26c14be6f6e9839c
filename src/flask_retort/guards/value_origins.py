"""Where the value of an expression comes from, by what its module's source tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import flask
from werkzeug.local import LocalProxy

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass
class Scope:
    """The names of a module, class or function.

    :param values: the expressions that a name is bound to; None where one is not known, as that of
        an argument is not.
    :param checked: names that the function compares with something.
    :param namespace: the module's globals.
    """

    values: dict[str, list[ast.expr | None]]
    checked: set[str]
    namespace: Mapping[str, object]
    parent: Scope | None = None
    _entered: set[str] = field(default_factory=set[str])

    @classmethod
    def of_module(cls, tree: ast.Module, namespace: Mapping[str, object]) -> Scope:
        """The scope of a module's own statements."""
        return cls(*_bindings(tree), namespace)

    def inner(self, node: Function | ast.ClassDef) -> Scope:
        """The scope of a function or class that stands in this one."""
        return Scope(*_bindings(node), self.namespace, self)

    def string(self, name: str) -> str | None:
        """The constant string that a name stands for; None where it is something else."""
        scope = self._owner(name)
        if scope is None or scope.parent is None:
            value = self.namespace.get(name)
            return value if isinstance(value, str) and self.parent is not None else None
        match scope.values[name]:
            case [ast.Constant(value=str(text))]:
                return text
            case _:
                return None

    def expression(self, node: ast.expr) -> ast.expr:
        """What the name of a function's own stands for; the expression itself otherwise."""
        if isinstance(node, ast.Name) and (scope := self._owner(node.id)):
            values = scope.values[node.id]
            if len(values) == 1 and values[0] is not None:
                return values[0]
        return node

    def is_fixed(self, node: ast.expr) -> bool:
        """Whether the value is a constant of the program, or chosen among such."""
        match node:
            case ast.Constant() | ast.Compare() | ast.UnaryOp(op=ast.Not()):
                return True
            case ast.Name(id=name):
                return self._is_fixed_name(name)
            case ast.Attribute(attr=name) if _is_constants_name(name):
                return True
            case ast.Attribute(value=value) | ast.Subscript(value=value):
                return self.is_fixed(value)
            case ast.Call():
                return self._is_fixed_call(node)
            case _:
                made_of = _made_of(node)
                return made_of is not None and all(self.is_fixed(part) for part in made_of)

    def is_input(self, node: ast.expr) -> bool:
        """Whether the value is what the client has sent, and the function does not look at it."""
        match node:
            case ast.Name(id=name):
                scope = self._owner(name)
                if scope is None or scope.parent is None or name in scope.checked:
                    return False
                values = scope.values[name]
                return len(values) == 1 and values[0] is not None and scope.is_input(values[0])
            case ast.Call(keywords=[_, *_]):  # type=int
                return False
            case ast.BoolOp(op=ast.Or(), values=[first, *_]):
                return self.is_input(first)
            case ast.Call(func=ast.Attribute(value=owner, attr=name)):
                is_same = name in _SAME_TEXT and self.is_input(owner)
                return is_same or (name == "get" and self._is_request(owner))
            case ast.Subscript(value=owner):
                return self._is_request(owner)
            case _:
                return False

    def _is_request(self, node: ast.expr) -> bool:
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=part):
                return part in _REQUEST and self.namespace.get(name) is flask.request
            case ast.Attribute(value=ast.Attribute(value=ast.Name(), attr="request"), attr=part):
                return part in _REQUEST
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="get_json")):
                return self.namespace.get(name) is flask.request
            case _:
                return False

    def _is_fixed_name(self, name: str) -> bool:
        scope = self._owner(name)
        if scope is None or (scope.parent is None and self.parent is not None):
            return not isinstance(self.namespace.get(name), LocalProxy)
        if name in scope._entered:
            return True
        scope._entered.add(name)
        try:
            values = scope.values[name]
            return all(value is not None and scope.is_fixed(value) for value in values)
        finally:
            scope._entered.discard(name)

    def _is_fixed_call(self, node: ast.Call) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[_, *others]):
                return self.is_fixed(owner) and all(self.is_fixed(value) for value in others)
            case ast.Call(func=ast.Attribute(value=owner, attr=name)) if name in _OF_STRINGS:
                return self.is_fixed(owner) and all(self.is_fixed(value) for value in node.args)
            case ast.Call(func=ast.Name(id=name)) if name in _OF_BUILTINS:
                return all(self.is_fixed(value) for value in node.args)
            case _:
                return False

    def _owner(self, name: str) -> Scope | None:
        scope: Scope | None = self
        while scope is not None and name not in scope.values:
            scope = scope.parent
        return scope


def _made_of(node: ast.expr) -> list[ast.expr] | None:
    """The expressions that decide a value; None where it comes from elsewhere."""
    match node:
        case ast.IfExp(body=first, orelse=second) | ast.BinOp(left=first, right=second):
            return [first, second]
        case ast.GeneratorExp(elt=value) | ast.ListComp(elt=value) | ast.UnaryOp(operand=value):
            return [value]
        case ast.FormattedValue(value=value) | ast.Starred(value=value):
            return [value]
        case ast.BoolOp(values=parts) | ast.JoinedStr(values=parts) | ast.Dict(values=parts):
            return parts
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return parts
        case _:
            return None


def _bindings(root: ast.AST) -> tuple[dict[str, list[ast.expr | None]], set[str]]:
    """What each name is bound to in a scope, and the names that are compared."""
    values: dict[str, list[ast.expr | None]] = {}
    checked: set[str] = set()
    if isinstance(root, Function):
        for argument in ast.walk(root.args):
            if isinstance(argument, ast.arg):
                values.setdefault(argument.arg, []).append(None)
    for node in _own_nodes(root):
        for target, value in _assignments(node):
            for name in ast.walk(target):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    values.setdefault(name.id, []).append(value)
        checked |= _compared(node)
    return values, checked


def _assignments(node: ast.AST) -> list[tuple[ast.expr, ast.expr | None]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            return [pair for target in targets for pair in _pairs(target, value)]
        case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            return [(target, value)]
        case ast.AnnAssign(target=target, value=value) if value is not None:
            return [(target, value)]
        case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
            return [(target, value)]
        case ast.comprehension(target=target, iter=value):
            return [(target, value)]
        case ast.withitem(optional_vars=target) if target is not None:
            return [(target, None)]
        case _:
            return []


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr | None]]:
    match target, value:
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            is_plain = not any(isinstance(one, ast.Starred) for one in (*targets, *values))
            return [*zip(targets, values, strict=True)] if is_plain else [(target, value)]
        case _:
            return [(target, value)]


def _compared(node: ast.AST) -> set[str]:
    match node:
        case ast.Compare() | ast.Match(subject=ast.Name()):
            looked_at = [*ast.iter_child_nodes(node)]
        case ast.Expr(value=ast.Call(args=looked_at)):  # check(name)
            pass
        case _:
            return set()
    return {part.id for part in looked_at if isinstance(part, ast.Name)}


def _own_nodes(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of functions and classes in it."""
    waiting = [*ast.iter_child_nodes(root)]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*Function.__args__, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _is_constants_name(name: str) -> bool:
    return name.isupper() or name == "config" or (name.startswith("__") and name.endswith("__"))


_REQUEST = {"args", "form", "values", "json", "cookies", "headers", "view_args"}
_SAME_TEXT = {"strip", "lower", "upper"}
_OF_STRINGS = {"join", "format", "strip", "lower", "upper", "title", "items", "keys", "values"}
_OF_BUILTINS = {"str", "int", "len", "range", "sorted", "list", "tuple", "set", "repr", "zip"}
