"""The predecessor's own test suite, from its source release, run against this package."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PINNED = ROOT / "requirements" / "upstream.txt"
DOWNLOADS = ROOT / ".cache" / "upstream"
CASES = 452

SETTINGS = """
[pytest]
filterwarnings =
    error
"""
if sys.version_info >= (3, 12):
    # The suite's own models call it; Python deprecated it after the release.
    SETTINGS += "    ignore:datetime.datetime.utcnow:DeprecationWarning\n"


@pytest.mark.timeout(600)
def test_the_whole_suite_passes(tmp_path: Path) -> None:
    """All 452 cases of release 3.1.1 pass; none is skipped, and no warning is tolerated."""
    _unpack_tests(_source_release(), tmp_path)
    run, report = _run_suite(tmp_path)
    assert report.is_file(), run.stdout + run.stderr
    counts = _counts(report)
    assert counts == {"tests": CASES, "failures": 0, "errors": 0, "skipped": 0}, run.stdout


def _source_release() -> Path:
    """The path of the source release, downloaded unless a run before has left it."""
    if not _pinned_files():
        # The release is not built, but pip asks its build backend for the name and the version.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--no-binary", ":all:", "--require-hashes"]
        command += ["--dest", str(DOWNLOADS), "--requirement", str(PINNED)]
        subprocess.run(command, check=True)
    (release,) = _pinned_files()
    return release


def _pinned_files() -> list[Path]:
    digests = re.findall(r"--hash=sha256:(\w+)", PINNED.read_text())
    return [
        file
        for file in DOWNLOADS.glob("*.tar.gz")
        if hashlib.sha256(file.read_bytes()).hexdigest() in digests
    ]


def _unpack_tests(release: Path, folder: Path) -> None:
    """Take the tests and leave the source, which would be a second package of that name."""
    with tarfile.open(release) as archive:
        wanted = [member for member in archive if "/tests/" in member.name]
        for member in wanted:
            member.name = member.name.partition("/")[2]
        archive.extractall(folder, members=wanted, filter="data")


def _run_suite(folder: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    (folder / "pytest.ini").write_text(SETTINGS)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=short"]
    command += ["-p", "alias_plugin", "-p", "no:cacheprovider", f"--junit-xml={report}", "tests"]
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
    }
    run = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return run, report


def _counts(report: Path) -> dict[str, int]:
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    return {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
