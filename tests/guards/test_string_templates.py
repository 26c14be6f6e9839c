"""Which strings the source of a module is read to make."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from flask_retort.guards import string_templates
from flask_retort.guards.string_templates import Source, Template

QUERY = "select * from t where a = '%s'"


@pytest.fixture
def read(tmp_path: Path):  # type: ignore[no-untyped-def] # a function of the source
    def read(source: str) -> Source:
        path = tmp_path / "module.py"
        path.write_text(dedent(source))
        return string_templates.read(str(path), {"__name__": "shop.module", "QUERY": QUERY})

    return read


def only(source: Source) -> Template:
    (template,) = source.templates
    return template


@pytest.mark.parametrize(
    ("expression", "parts", "holes"),
    [
        ("""f"a = '{x}' and b"  f" = {y.z:>3}" """, ("a = '", "' and b = ", ""), ["x", "y.z"]),
        ("""'a = %s and b = %d%%' % (x, y)""", ("a = ", " and b = ", "%"), ["x", "y"]),
        ("""'a = %(a)s and %(b)r' % {"a": x, "b": y}""", ("a = ", " and ", ""), ["x", "y"]),
        ("""'a = %s' % x.y""", ("a = ", ""), ["x.y"]),
        ("""'{} and {1.z} and {k!r:>2} {{}}'.format(x, y, k=z)""",
         ("", " and ", " and ", " {}"), ["x", "y", "z"]),
        ("""'a = ' + x + " and " 'b = ' + str(y)""", ("a = ", " and b = ", ""), ["x", "str(y)"]),
        ("""'a = ' + f"{x}" + '  \\n  b'""", ("a = ", " b"), ["x"]),
        ("QUERY % x", ("select * from t where a = '", "'"), ["x"]),
    ],
)  # fmt: skip
def test_forms(read, expression: str, parts: tuple[str, ...], holes: list[str]) -> None:  # type: ignore[no-untyped-def]
    """F-strings, both kinds of formatting and sums are one thing, and nest."""
    template = only(read(f"def make(x, y, z):\n    return {expression}\n"))
    assert template.parts == parts
    assert [hole.source for hole in template.holes] == holes


@pytest.mark.parametrize(
    "expression", ["x + y", "x % y", "'%s %s' % (x,)", "'{a}'.format(x)", "x.format(y)", "f(x)"]
)
def test_not_a_string(read, expression: str) -> None:  # type: ignore[no-untyped-def]
    """Numbers, and what does not fit together, are no templates."""
    assert not read(f"def make(x, y):\n    return {expression}\n").templates


def test_constants(read) -> None:  # type: ignore[no-untyped-def]
    """Strings without an expression, however they are put together; no part of a template."""
    source = read("A = 'a' 'b' + 'c'\nB = f'd{x}e'\nC = f('g')\n")
    assert source.constants == ["abc", "g"]


def test_function(read) -> None:  # type: ignore[no-untyped-def]
    """It is named by the function that it stands in, with its classes."""
    source = read(
        """
        A = f"a{b}"
        class Users:
            def find(self):
                def inner(x):
                    return f"b{x}"
        """
    )
    assert [template.function for template in source.templates] == ["", "Users.find.inner"]
    assert [template.lines for template in source.templates] == [(0, 0), (5, 6)]


def test_places(read) -> None:  # type: ignore[no-untyped-def]
    """Each value is found where it begins, at every place that fits."""
    template = only(read("def make(a, b):\n    return f'{a} = {b} and'\n"))
    text = "x = 1 and y = 2 and"
    places = [position for found in template.places(text) for _, position in found]
    assert places == [text.index("1"), text.index("2")]
    assert [*template.places("x < 1 and")] == []


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("x", "x"),
        ("x.user.name", "name"),
        ("request.args['sort']", "sort"),
        ("request.args.get('sort')", "sort"),
        ("int(x)", "x"),
        ("(x - 1) * 2", "value"),
    ],
)
def test_names(read, expression: str, name: str) -> None:  # type: ignore[no-untyped-def]
    """A parameter is called what the value is called."""
    (hole,) = only(read(f'def make(x, request):\n    return f"a = {{{expression}}}"\n')).holes
    assert hole.name == name


@pytest.mark.parametrize(
    "joined", ["str(i) for i in ids", "[repr(i) for i in ids]", "map(str, ids)", "ids"]
)
def test_joined_list(read, joined: str) -> None:  # type: ignore[no-untyped-def]
    """A list that is joined on the way is known by what is in it."""
    (hole,) = only(
        read(f"def make(ids):\n    listed = ', '.join({joined})\n    return f'in ({{listed}})'\n")
    ).holes
    assert (hole.source, hole.elements, hole.name) == ("listed", "ids", "ids")


def test_source_that_is_not_there() -> None:
    """A module without a file, such as one of a shell, has nothing to read."""
    assert string_templates.read("<stdin>", {}).templates == ()


def test_arguments_hide_globals(read) -> None:  # type: ignore[no-untyped-def]
    """An argument, that of a lambda too, is no constant, whatever the module calls so."""
    for source in ("def make(QUERY):\n    return", "make = lambda QUERY:"):
        (hole,) = only(read(f'{source} f"a = {{QUERY}}"\n')).holes
        assert not hole.is_fixed


def test_source_that_was_changed(read) -> None:  # type: ignore[no-untyped-def]
    """A file that is being edited while the program runs is left alone."""
    assert not read("def (").templates
