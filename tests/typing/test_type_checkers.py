"""What mypy and pyright say about programs that use the extension, asserted line by line.

A line of a case that has to be refused carries ``# reported: <mypy's codes> | <pyright's rules>``.
Every other line has to pass, in strict mode.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

Reports = dict[str, set[str]]
"""The codes reported for each place, as ``file.py:line``."""

HERE = Path(__file__).parent
MARK = "# reported:"
WITHOUT_PLUGIN = ["declared.py", "foreign.py"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cases and the typed application, checked by nobody yet."""
    folder = tmp_path_factory.mktemp("programs")
    for file in [*HERE.glob("cases/*.py"), HERE / "app.py"]:
        shutil.copy(file, folder)
    return folder


@pytest.fixture(scope="module")
def mypy_at_first(programs: Path) -> Reports:
    """What mypy reports with the plugin and without a cache."""
    return run_mypy(programs, plugins=["flask_retort.mypy_plugin"])


def test_mypy_reports_the_marked_lines_only(programs: Path, mypy_at_first: Reports) -> None:
    """With the plugin mypy takes ``db.Model`` for the base it is, and infers what we promise."""
    assert mypy_at_first == expected(programs, checker=0)


@pytest.mark.parametrize("options", [[], ["--num-workers=2"]], ids=["alone", "workers"])
def test_mypy_says_the_same_from_its_cache(
    programs: Path, mypy_at_first: Reports, options: list[str]
) -> None:
    """Changed models, read against the cache, are judged as before, also by worker processes.

    Workers get their own test because a plugin sees less there: parsing is not in its process.
    """
    for models in ("a_cycle_of_models.py", "bases.py"):
        with (programs / models).open("a") as file:
            file.write("\n")
    again = run_mypy(programs, *options, plugins=["flask_retort.mypy_plugin"])
    assert again == mypy_at_first


def test_mypy_needs_no_plugin_for_a_declared_base(programs: Path) -> None:
    """``class User(Base)`` is typed without the plugin; other ``Model`` names are judged alike."""
    wanted = expected(programs, checker=0, files=WITHOUT_PLUGIN)
    assert run_mypy(programs, files=WITHOUT_PLUGIN, plugins=[]) == wanted


def test_pyright_reports_the_marked_lines_only(programs: Path) -> None:
    """Pyright takes ``db.Model`` for the base it is without help, and infers what we promise."""
    assert run_pyright(programs) == expected(programs, checker=1)


def test_the_typed_application_is_without_ignores() -> None:
    """The application that both checkers accept silences neither."""
    source = (HERE / "app.py").read_text()
    assert "ignore" not in source.split('"""', 2)[2]
    assert MARK not in source
    assert "cast(" not in source


def expected(folder: Path, *, checker: int, files: list[str] | None = None) -> Reports:
    """What the marks of the programs ask for: ``checker`` 0 is mypy, 1 is pyright."""
    reports: Reports = {}
    for name in files or names_of(folder):
        for number, line in enumerate((folder / name).read_text().splitlines(), start=1):
            if MARK in line:
                codes = line.split(MARK)[1].split("|")[checker].split()
                reports |= {f"{name}:{number}": set(codes)} if codes else {}
    return reports


def run_mypy(
    folder: Path, *options: str, plugins: list[str], files: list[str] | None = None
) -> Reports:
    """What ``mypy --strict`` reports, with a cache for each set of plugins."""
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = true\nplugins = {', '.join(plugins)}\n")
    cache = f"--cache-dir=.cache-{len(plugins)}"
    command = ["mypy", "--config-file=mypy.ini", "--output=json", cache, *options]
    output = run(folder, *command, *(files or names_of(folder)))
    reports: Reports = {}
    for report in map(json.loads, output.splitlines()):
        if report["severity"] == "error":
            add(reports, report["file"], report["line"], report["code"])
    return reports


def run_pyright(folder: Path) -> Reports:
    """What pyright reports in strict mode."""
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    output = run(folder, "pyright", "--outputjson", "--pythonpath", sys.executable)
    reports: Reports = {}
    for report in json.loads(output)["generalDiagnostics"]:
        name = Path(report["file"]).name
        add(reports, name, report["range"]["start"]["line"] + 1, report["rule"])
    return reports


def add(reports: Reports, name: str, line: int, code: str) -> None:
    reports.setdefault(f"{name}:{line}", set()).add(code)


def names_of(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.py"))


def run(folder: Path, module: str, *arguments: str) -> str:
    """The standard output of a checker that finished, with or without findings."""
    if importlib.util.find_spec(module) is None and not os.environ.get("CI"):
        pytest.skip(f"{module} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout
