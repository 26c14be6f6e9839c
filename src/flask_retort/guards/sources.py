"""The application's own source as a syntax tree."""

from __future__ import annotations

import ast
import threading

_mutex = threading.Lock()


def parsed(text: str) -> ast.Module | None:
    """The tree of a piece of source; None where it is empty or no Python.

    One thread at a time: with several, CPython 3.11 was seen to give up with a SystemError about
    the depth of the tree.
    """
    try:
        with _mutex:
            return ast.parse(text) if text else None
    except (SyntaxError, ValueError):  # not the file that was imported, or no text
        return None
