"""The shop as a package that is installed, without its repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from flit_core import buildapi  # type: ignore[import-untyped] # it ships no types

PROJECT = Path(__file__).parents[2]
PROGRAM = """
import shop
from shop.config import Testing
app = shop.create_app(Testing("sqlite:///installed.db"))
print(shop.__file__)
print(app.test_cli_runner().invoke(args=["db", "upgrade"]).output)
"""


def test_an_installed_shop_has_its_revisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From nothing but the wheel, in any folder, the database is brought up to date."""
    monkeypatch.chdir(PROJECT)
    wheel = buildapi.build_wheel(str(tmp_path))
    installed = tmp_path / "site"
    zipfile.ZipFile(tmp_path / wheel).extractall(installed)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, *said = done.stdout.splitlines()
    assert Path(where).is_relative_to(installed)
    assert said[0].startswith("upgrade ")
