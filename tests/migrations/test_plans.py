"""A count of revisions is followed where it has one meaning, else refused before the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.migrations.projects import Project

from flask_retort import errors, migrations

MakeProject = Callable[..., Project]


@pytest.fixture
def diamond(project: Project) -> Project:
    """The history r1, then x1 and y1 beside each other, then their merge m1."""
    project.write("r1")
    project.write("x1", after="r1")
    project.write("y1", after="r1")
    project.write("m1", after=("x1", "y1"))
    return project


def test_one_down_from_a_merge_names_the_merged(diamond: Project) -> None:
    migrations.upgrade()
    with pytest.raises(
        errors.UnknownRevision, match=r"'-1' does not .* at the merge of x1 and y1;"
    ):
        migrations.downgrade()
    assert diamond.versions() == ["m1"]
    assert migrations.downgrade(revision="x1") == 1
    assert diamond.versions() == ["x1", "y1"]


def test_several_down_over_a_merge_names_the_merged(diamond: Project) -> None:
    diamond.write("m2", after="m1")
    migrations.upgrade()
    with pytest.raises(errors.UnknownRevision, match=r"at the merge of x1 and y1; .* down to"):
        migrations.downgrade(revision="-3")
    assert diamond.versions() == ["m2"]
    assert migrations.downgrade() == 1


@pytest.mark.parametrize("target", ["+20", "r1+1"])
def test_a_count_up_over_a_branch_point_names_the_branches(diamond: Project, target: str) -> None:
    with pytest.raises(errors.UnknownRevision, match=r"after r1, where x1 and y1 part; .* up to"):
        migrations.upgrade(revision=target)
    assert diamond.versions() == []
    assert migrations.upgrade(revision="+1") == 1


def test_a_count_up_over_several_beginnings_names_them(project: Project) -> None:
    project.write("a1")
    project.write("b1")
    with pytest.raises(errors.UnknownRevision, match=r"after the beginning, where a1 and b1 part"):
        migrations.upgrade(revision="+1")


def test_a_count_from_two_applied_heads_asks_from_which(diamond: Project) -> None:
    diamond.folder.joinpath("versions", "m1.py").unlink()
    migrations.upgrade(revision="heads")
    with pytest.raises(errors.UnknownRevision, match=r"is at x1 and y1, and '-1' .* 'x1@-1'"):
        migrations.downgrade()
    assert diamond.versions() == ["x1", "y1"]
    diamond.write("x2", after="x1")
    with pytest.raises(errors.UnknownRevision, match=r"is at x1 and y1, and '\+1' .* 'x1@\+1'"):
        migrations.upgrade(revision="+1")
    assert migrations.upgrade(revision="x1@+1") == 1
    assert diamond.versions() == ["x2", "y1"]
    assert migrations.downgrade(revision="x2@-1") == 1
    assert diamond.versions() == ["x1", "y1"]


def test_a_count_elsewhere_than_from_a_database_is_refused_in_our_words(diamond: Project) -> None:
    migrations.upgrade()
    with pytest.raises(errors.UnknownRevision, match=r"does not say which way where branches"):
        migrations.history(rev_range="-2:")


@pytest.mark.parametrize(
    ("command", "target"),
    [
        (migrations.downgrade, "-1"),
        (migrations.upgrade, "+1"),
        (migrations.upgrade, "r1+1"),
    ],
)
def test_a_count_is_not_made_in_several_histories_at_once(
    make_project: MakeProject, tmp_path: Path, command: Callable[..., int], target: str
) -> None:
    folders = {None: tmp_path / "here", "far": tmp_path / "there"}
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("default", "far")]
    project = make_project(urls[0], binds={"far": urls[1]}, directory=folders)
    for prefix, folder in zip("rs", folders.values(), strict=True):
        project.write(f"{prefix}1", folder=folder)
        project.write(f"{prefix}2", after=f"{prefix}1", folder=folder)
    migrations.upgrade(revision="r1")
    migrations.upgrade(revision="s1")
    with pytest.raises(errors.UnknownRevision, match=r"would be counted in each.* --bind NAME"):
        command(revision=target)
    assert (project.versions(), project.versions("far")) == (["r1"], ["s1"])
    assert migrations.upgrade(revision="+1", bind="far") == 1
    assert (project.versions(), project.versions("far")) == (["r1"], ["s2"])
