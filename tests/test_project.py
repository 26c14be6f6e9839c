"""The gates of the repository: sizes, a test for each module, complete documentation."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs import config_page

import flask_retort
from flask_retort import errors, guards

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "flask_retort"
DOCS = ROOT / "docs"

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LONGEST_PAGE = 250

ELSEWHERE = {
    "mypy_plugin.py": "typing/test_type_checkers.py",
    "checks.py": "test_config.py",
    "config_sections.py": "test_config.py",
    "names.py": "test_extension.py",
    "scopes.py": "transactions/test_scope.py",
    "transactions/blocks.py": "transactions/test_scope.py",
    "engines/mysql.py": "engines/test_servers.py",
    "engines/postgresql.py": "engines/test_servers.py",
    "engines/sockets.py": "engines/test_recovery.py",
    "engines/sqlite.py": "engines/test_sqlite_setup.py",
    "migrations/options.py": "migrations/test_documented_commands.py",
    "migrations/progress.py": "migrations/test_report.py",
    "migrations/project.py": "migrations/test_builtin.py",
    "migrations/runner/database.py": "migrations/runner/test_runner.py",
    "migrations/runner/failures.py": "migrations/runner/test_runner.py",
}
"""Modules that are tested by what they are for: running mypy, a key's value, a back end."""

# Written in pieces, so that this file does not hold what it forbids.
FORBIDDEN = {
    "an address of a package registry": r"(?:py"
    r"pi\.org|python"
    r"hosted\.org|registry\.npm"
    r"js)",
    "a path of one machine": r"(?:/ho" r"me/\w|/ro" r"ot/|/Us" r"ers/\w|/wo" r"rk/)",
}


def _tracked() -> list[Path]:
    """Every file that is in the repository or would be added to it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip("not a git work tree")
    return [path for name in run.stdout.splitlines() if (path := ROOT / name).is_file()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def _python_files() -> list[Path]:
    return [path for path in _tracked() if path.suffix == ".py"]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_outgrows_its_reason() -> None:
    """A file of code has at most 400 lines."""
    lengths = {_name(path): len(_text(path).splitlines()) for path in _python_files()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_fit_a_screen() -> None:
    """A function has at most 60 lines."""
    too_long = {
        f"{_name(path)}:{node.lineno}": node.name
        for path in _python_files()
        for node in ast.walk(ast.parse(_text(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    }
    assert too_long == {}


def test_pages_stay_readable() -> None:
    """A page of the documentation has at most 250 lines."""
    lengths = {_name(path): len(_text(path).splitlines()) for path in DOCS.rglob("*.md")}
    assert {name: length for name, length in lengths.items() if length > LONGEST_PAGE} == {}


def test_each_module_has_its_tests() -> None:
    """``a/b.py`` is tested by ``tests/a/test_b.py``; a private module by those of its users."""
    modules = [path for path in SOURCE.rglob("*.py") if not path.name.startswith("_")]
    expected = {
        ELSEWHERE.get(
            path.relative_to(SOURCE).as_posix(),
            path.relative_to(SOURCE).with_name(f"test_{path.name}").as_posix(),
        )
        for path in modules
    }
    found = {path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("*.py")}
    assert expected - found == set()


@pytest.mark.parametrize("what", FORBIDDEN)
def test_files_name_no_place_of_their_making(what: str) -> None:
    """No file holds an address of a package registry or an absolute path of one machine."""
    pattern = re.compile(FORBIDDEN[what])
    assert [_name(path) for path in _tracked() if pattern.search(_text(path))] == []


def test_pins_have_no_addresses() -> None:
    """The pins name releases and hashes; no lock file that writes addresses is kept."""
    pins = (ROOT / "requirements").glob("*.txt")
    assert [_name(path) for path in pins if "://" in _text(path)] == []
    kinds = re.compile(r"(uv\.lock|pylock.*\.toml|package-lock\.json|poetry\.lock)")
    assert [_name(path) for path in _tracked() if kinds.fullmatch(path.name)] == []


def test_the_page_of_the_configuration_is_current() -> None:
    """Every key stands there with its description and default; docs/config_page.py writes it."""
    assert config_page.PAGE.read_text(encoding="utf-8") == config_page.page()


NEVER_RAISED = (errors.RetortError, errors.DatabaseFailure, errors.StatementFailure)
"""Errors are of their subclasses."""


def _error_codes() -> Iterator[str]:
    """The codes of the classes, and those given where an error is raised or a warning issued."""
    for _, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.RetortError) and kind not in NEVER_RAISED:
            yield kind.code
    yield from (guard.code for guard in guards.KINDS)
    for path in SOURCE.rglob("*.py"):
        for pair in re.findall(r'code="([a-z-]+)"|\[retort:([a-z-]+)\]', _text(path)):
            yield from filter(None, pair)


def test_each_error_code_has_a_page() -> None:
    """A message's code leads to ``docs/errors/<code>.md``, and no page is left over."""
    pages = {path.stem for path in (DOCS / "errors").glob("*.md")} - {"index"}
    assert pages == {*_error_codes()} - {"warning"}


def test_each_public_name_is_documented() -> None:
    """What the package exports stands in the reference."""
    reference = "".join(_text(path) for path in (DOCS / "reference").glob("*.md"))
    missing = [name for name in flask_retort.__all__ if not re.search(rf"\b{name}\b", reference)]
    assert missing == []
