"""Source is read as a tree by any number of threads."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_retort.guards.sources import parsed


def test_many_threads_read_at_once() -> None:
    """Each gets its tree; the parser itself fails when it is used by two."""
    text = "\n".join(f"x{n} = [{n}, ({n}, {{{n}: f(a=[{n}])}})]" for n in range(200))
    with ThreadPoolExecutor(8) as pool:
        trees = list(pool.map(parsed, [text] * 64))
    assert {ast.dump(tree) for tree in trees if tree is not None} == {ast.dump(ast.parse(text))}


@pytest.mark.parametrize("text", ["", "def (", "a\0b"])
def test_what_is_no_source_has_no_tree(text: str) -> None:
    """An empty file, one that was changed while the program runs, or no text at all."""
    assert parsed(text) is None
