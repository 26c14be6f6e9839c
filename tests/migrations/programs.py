"""Programs of their own that a test starts, waits for, and may kill."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def running(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program that has printed its first line; killed at the end.

    :param arguments: are in its ``sys.argv[1:]``.
    """
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], stdout=subprocess.PIPE, text=True
    )
    with program:
        assert program.stdout is not None
        try:
            assert program.stdout.readline(), "the program ended before it was ready"
            yield program
        finally:
            program.kill()


def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until the condition is true.

    :raises AssertionError: it is not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)
