"""Where the data set comes from: a text file inside a wheel, which is never imported."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from zipfile import ZipFile, is_zipfile

from shop.errors import ShopError

REQUIREMENTS = Path(__file__).with_name("requirements-data.txt")
MEMBER = "lifetimes/datasets/CDNOW_master.txt"


def fetch(folder: Path) -> Path:
    """The path of the pinned wheel in a folder, downloaded by pip unless it lies there already.

    Its SHA-256 is checked either way.

    :raises ShopError: pip could not get it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return _pinned_wheel(folder) or _download(folder)


@contextmanager
def open_lines(path: Path) -> Generator[Iterator[str]]:
    """The lines of the data set in a wheel or a text file, open until the block ends.

    :raises ShopError: the file can't be read, or is an archive without the data set.
    """
    try:
        if is_zipfile(path):
            with ZipFile(path) as wheel, wheel.open(MEMBER) as member:
                yield TextIOWrapper(member, encoding="ascii", errors="replace")
        else:
            with path.open(encoding="ascii", errors="replace") as text:
                yield text
    except KeyError:
        raise ShopError(f"{path} holds no file {MEMBER}.") from None
    except OSError as error:
        raise ShopError(f"{path} can't be read: {error.strerror or error}.") from error


def _pinned_wheel(folder: Path) -> Path | None:
    pinned = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", REQUIREMENTS.read_text("ascii")))
    return next((path for path in sorted(folder.glob("*.whl")) if _sha256(path) in pinned), None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    files = ["--requirement", str(REQUIREMENTS), "--dest", str(folder)]
    # S603: every word of the command stands in this file.
    run = subprocess.run(  # noqa: S603
        [*pip, *options, *files], capture_output=True, text=True, check=False
    )
    wheel = _pinned_wheel(folder)
    if run.returncode or wheel is None:
        raise ShopError(
            f"pip could not download the CDNOW data set ({REQUIREMENTS.name}):\n"
            f"{run.stderr.strip()}\n"
            "Where there is no network, name the wheel or its text file with --file."
        )
    return wheel
