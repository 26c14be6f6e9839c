"""The predecessors' own test suites, from their source releases, run against this package."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.servers import environment_of_the_caller

ROOT = Path(__file__).parents[2]
PINNED = ROOT / "requirements" / "upstream.txt"
DOWNLOADS = ROOT / ".cache" / "upstream"


def unpack_tests(name: str, folder: Path) -> None:
    """Take a release's tests and leave the source, which would be a second package of that name."""
    with tarfile.open(_source_release(name)) as archive:
        wanted = [member for member in archive if "/tests/" in member.name]
        for member in wanted:
            member.name = member.name.partition("/")[2]
        archive.extractall(folder, members=wanted, filter="data")


def run_suite(
    folder: Path, *arguments: str, settings: str, environment: dict[str, str]
) -> tuple[subprocess.CompletedProcess[str], dict[str, int]]:
    """Run the tests in a folder by pytest, in a process of its own; its output and its counts.

    :param settings: the text of the run's ``pytest.ini``.
    :param environment: variables that the run has besides ours.
    """
    (folder / "pytest.ini").write_text(settings)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=short"]
    command += ["-p", "no:cacheprovider", f"--junit-xml={report}", *arguments, "tests"]
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    run = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | own | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.is_file(), run.stdout + run.stderr
    return run, _counts(report)


def _source_release(name: str) -> Path:
    """The path of a source release, downloaded unless a run before has left it."""
    digest = _pinned_digest(name)
    release = DOWNLOADS / f"{name}-{digest}.tar.gz"
    if not release.is_file():
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=DOWNLOADS) as folder:
            _download_all(folder)
            for file in Path(folder).iterdir():
                if _digest(file) == digest:
                    file.replace(release)  # in one step: another run may want it at this moment
    return release


def _pinned_digest(name: str) -> str:
    pinned = re.search(rf"^{name}==\S+[\s\\]+--hash=sha256:(\w+)", PINNED.read_text(), re.MULTILINE)
    assert pinned, f"{PINNED} has no {name}"
    return pinned[1]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _download_all(folder: str) -> None:
    # The releases are not built, but pip asks their build backends for the name and the version.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-binary", ":all:", "--require-hashes"]
    command += ["--dest", folder, "--requirement", str(PINNED)]
    subprocess.run(command, check=True, env=environment_of_the_caller())


def _counts(report: Path) -> dict[str, int]:
    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    return {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
