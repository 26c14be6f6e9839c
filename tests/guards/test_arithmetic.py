"""Which lines compute an attribute from itself."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from flask_retort.guards.arithmetic import is_computed_from_itself


class Row:
    """Asks the question for every number that is set."""

    computed: list[bool]

    def __init__(self) -> None:
        vars(self).update(stock=10, views=10, price=10, computed=[])

    def __setattr__(self, name: str, value: Any) -> None:
        frame = sys._getframe(1)
        self.computed.append(is_computed_from_itself(frame.f_code, frame.f_lasti, name))
        vars(self)[name] = value


def computed(folder: Path, body: str, **names: Any) -> list[bool]:
    """The answers for the settings of ``p``, in a function with the body and the names."""
    path = folder / "code.py"
    source = f"def run(p, {', '.join(names)}):\n" + textwrap.indent(textwrap.dedent(body), "    ")
    path.write_text(source)
    module: dict[str, Any] = {"__name__": "code"}
    exec(compile(source, str(path), "exec"), module)
    row = Row()
    module["run"](row, *names.values())
    answers: list[bool] = row.computed
    return answers


COMPUTED = [
    "p.stock -= 1",
    "p.stock = p.stock - 1",
    "p.stock = 1 + p.stock",
    "p.stock = -p.stock",
    "p.stock = max(p.stock - 11, 0)",
    "p.stock = (p.stock or 0) + 1",
    "p.stock = p.stock - 1 if p.stock else 0",
    "p.stock = round(p.stock * 1.1, 2)",
    "p.stock, p.price = p.stock - 1, 5",
    "p.price = p.stock = p.stock - 1",
    "p.stock: int = p.stock - 1",
    "setattr(p, 'stock', p.stock - 1)",
    "name = 'stock'\nsetattr(p, name, getattr(p, name) - 1)",
    "setattr(p, 'stock', getattr(p, 'stock', 0) - 1)",
    "left = p.stock - 1\np.stock = left",
    "old = p.stock\nnew = old - 1\nif new < 0:\n    new = 0\np.stock = new",
    "left = p.stock\nleft -= 1\np.stock = left",
    "if (left := p.stock - 1) > 0:\n    p.stock = left",
    "try:\n    left = p.stock - 1\nfinally:\n    pass\np.stock = left",
    "with open('/dev/null') as file:\n    left = p.stock - 1\np.stock = left",
    "left = 0\nfor one in (1, 2):\n    left = left + p.stock\np.stock = left",
    "for _ in (1,):\n    left = p.stock\n    p.stock = left + 1",
    "left = 0\nfor _ in (1, 2):\n    p.stock = left\n    left = p.stock - 1",
    "match 1:\n    case 1:\n        left = p.stock - 1\np.stock = left",
    "def inner():\n    p.stock -= 1\ninner()",
]

NOT_COMPUTED = [
    "p.stock = 3",
    "p.stock = int('3') + 1",
    "p.stock = p.price - 1",
    "p.stock = p.stock",
    "p.stock = max(p.stock, 20)",
    "p.stock = 0 if p.stock < 1 else 5",
    "p.stock = len(str(p.stock)) + 1",
    "old = p.stock\np.stock = 7\nassert old + 1",
    "left = p.stock - 1\nleft = 5\np.stock = left",
    "if p.stock - 1 > 0:\n    p.stock = 0",
    "views = 1\nfor _ in (1, 2):\n    views += 1\np.views = views",
    "q, p.stock = p.stock - 1, 3",
    "setattr(p, 'stock', 3)",
    "for name, value in {'stock': 3}.items():\n    setattr(p, name, value)",
    "setattr(p, 'stock', p.views + 1)",
    "(lambda: setattr(p, 'stock', 4))()",
    "def inner(left):\n    p.stock = left\ninner(p.stock - 1)",
    "vars(p).update(stock=1)\np.__setattr__('stock', p.stock - 1)",
]


@pytest.mark.parametrize("body", COMPUTED)
def test_arithmetic_with_the_old_value_is_seen(tmp_path: Path, body: str) -> None:
    """In whatever spelling, and over local names."""
    assert any(computed(tmp_path, body))


@pytest.mark.parametrize("body", NOT_COMPUTED)
def test_anything_else_is_not(tmp_path: Path, body: str) -> None:
    """A value that comes from elsewhere, or is only compared with the old one."""
    assert not any(computed(tmp_path, body))


def test_another_object_of_the_same_name_is_not_the_same(tmp_path: Path) -> None:
    """What was computed from one object is no change of the next one."""
    body = """
        first, second = p, q
        for p in (first, second):
            left = p.stock - 1
        p = first
        p.stock = left
    """
    assert computed(tmp_path, body, q=Row()) == [False]
    assert computed(tmp_path, "p.stock = q.stock - 1", q=Row()) == [False]


def test_a_branch_may_compute(tmp_path: Path) -> None:
    """A name has come from the old value if it has in one of the branches."""
    body = """
        if special:
            left = 5
        else:
            left = p.stock - 1
        p.stock = left
    """
    assert computed(tmp_path, body, special=True) == [True]


def test_nothing_is_said_without_the_source(tmp_path: Path) -> None:
    """Code from a text, or from a file that has changed since, is not judged."""
    row = Row()
    exec("row.stock -= 1", {"row": row})
    assert row.computed == [False]
    path = tmp_path / "changed.py"
    path.write_text("x = 1\n\n\nif :\n")
    module: dict[str, Any] = {}
    exec(compile("def changed(p):\n    p.stock -= 1\n", str(path), "exec"), module)
    module["changed"](row)
    assert row.computed == [False, False]
