"""Which expressions are constants of the program, and which are what a client has sent."""

from __future__ import annotations

import ast
from textwrap import indent

import flask
import pytest

from flask_retort.guards.value_origins import Scope

NAMESPACE = {
    "request": flask.request,
    "g": flask.g,
    "flask": flask,
    "current_app": flask.current_app,
}


def last(body: str) -> tuple[Scope, ast.expr]:
    """The scope of a function, and the expression that it ends with."""
    function = indent(body, "    ")
    tree = ast.parse(f"LIMIT = 3\nSORTS = {{'a': 'b'}}\ndef view(argument, self):\n{function}")
    scope = Scope.of_module(tree, NAMESPACE)
    view = tree.body[-1]
    assert isinstance(view, ast.FunctionDef)
    statement = view.body[-1]
    assert isinstance(statement, ast.Expr)
    return scope.inner(view), statement.value


@pytest.mark.parametrize(
    "body",
    [
        "1",
        "LIMIT",
        "Model.__tablename__",
        "Role.ADMIN.value",
        "self.LIMIT",
        "SORTS[argument]",
        "SORTS.get(argument, 'id')",
        "{'new': 'id'}.get(argument)",
        "current_app.config['LIMIT']",
        "'a' if argument else 'b'",
        "argument == 1",
        "not argument",
        "limit = 3\nlimit",
        "limit = 3\nlimit += 1\nlimit",
        "for name in ('a', 'b'): pass\nname",
        "parts = ['a']\n', '.join(parts)",
        "', '.join(f'{name} = 1' for name in SORTS)",
        "-LIMIT",
        "str(LIMIT) + 'x'",
    ],
)
def test_fixed(body: str) -> None:
    """Constants, globals, names in capitals, and what is chosen among them."""
    scope, expression = last(body)
    assert scope.is_fixed(expression)


@pytest.mark.parametrize(
    "body",
    [
        "argument",
        "self.name",
        "argument.id",
        "request.args['id']",
        "g.user.id",
        "int(argument)",
        "datetime.now()",
        "SORTS.get(argument, argument)",
        "'a' if argument else argument",
        "limit = 3\nlimit = argument\nlimit",
        "for name in argument: pass\nname",
        "with open('f') as file: pass\nfile",
        "', '.join(argument)",
        "f'{argument}'",
        "(lambda: 1)()",
    ],
)
def test_not_fixed(body: str) -> None:
    """Arguments, attributes of objects, Flask's proxies, and what other functions return."""
    scope, expression = last(body)
    assert not scope.is_fixed(expression)


@pytest.mark.parametrize(
    "body",
    [
        "request.args['sort']",
        "request.args.get('sort', 'id')",
        "flask.request.form['sort']",
        "request.get_json()['sort']",
        "request.args['sort'].strip().lower()",
        "request.args.get('sort') or 'id'",
        "sort = request.args['sort']\nsort",
    ],
)
def test_input(body: str) -> None:
    """What the client has sent, as it is."""
    scope, expression = last(body)
    assert scope.is_input(expression)


@pytest.mark.parametrize(
    "body",
    [
        "argument",
        "request.args.get('page', type=int)",
        "int(request.args['page'])",
        "allowed(request.args['sort'])",
        "sort = request.args['sort']\nif sort not in SORTS: raise ValueError\nsort",
        "sort = request.args['sort']\ncheck(sort)\nsort",
        "sort = request.args['sort']\nsort = 'id'\nsort",
        "request.method",
        "self.request_id",
    ],
)
def test_not_input(body: str) -> None:
    """What is converted, compared or checked on the way, or is of something else."""
    scope, expression = last(body)
    assert not scope.is_input(expression)


def test_string() -> None:
    """A name stands for its string if it is bound to nothing else."""
    scope, _ = last("a = 'x'\nb = 'x'\nb += 'y'\nc = argument\n1")
    assert [scope.string(name) for name in ("a", "b", "c", "argument", "LIMIT")] == [
        "x",
        None,
        None,
        None,
        None,
    ]
