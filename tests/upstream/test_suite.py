"""The predecessors' own test suites, each run as it is against this package."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.upstream.releases import run_suite, unpack_tests

HERE = Path(__file__).parent
FLASK_SQLALCHEMY_CASES = 452
FLASK_MIGRATE_CASES = 7

SETTINGS = """
[pytest]
filterwarnings =
    error
"""
UTCNOW = "    ignore:datetime.datetime.utcnow:DeprecationWarning\n"


@pytest.mark.timeout(600)
def test_all_of_flask_sqlalchemy_passes(tmp_path: Path) -> None:
    """All 452 cases of release 3.1.1 pass; none is skipped, and no warning is tolerated."""
    unpack_tests("flask-sqlalchemy", tmp_path)
    # The suite's own models call utcnow; Python deprecated it after the release.
    settings = SETTINGS + (UTCNOW if sys.version_info >= (3, 12) else "")
    environment = {"PYTHONPATH": str(HERE)}
    run, counts = run_suite(
        tmp_path, "-p", "alias_plugin", settings=settings, environment=environment
    )
    assert counts == _all_passed(FLASK_SQLALCHEMY_CASES), run.stdout


@pytest.mark.timeout(600)
def test_all_of_flask_migrate_passes(tmp_path: Path) -> None:
    """All 7 cases of release 4.1.0 pass, and the ``flask`` commands they start warn of nothing."""
    unpack_tests("flask-migrate", tmp_path)
    environment = {
        "PYTHONPATH": str(HERE / "aliases"),
        "PYTHONWARNINGS": "error",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    run, counts = run_suite(tmp_path, settings=SETTINGS, environment=environment)
    assert counts == _all_passed(FLASK_MIGRATE_CASES), run.stdout


def _all_passed(cases: int) -> dict[str, int]:
    return {"tests": cases, "failures": 0, "errors": 0, "skipped": 0}
