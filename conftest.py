"""What every suite shares: the database servers, and the documentation's examples as tests."""

from __future__ import annotations

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

import shop  # noqa: F401  or pytest takes the folder for the package when it loads shop/tests

pytest_plugins = ["tests.servers"]


def _as_main(namespace: dict[str, object]) -> None:
    """``Flask(__name__)`` in an example needs a module that exists."""
    namespace["__name__"] = "__main__"


# The blocks of one page share their names, as on one run down the page.
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/**/*.md"],
    setup=_as_main,
).pytest()
