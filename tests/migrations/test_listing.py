"""What the commands print about revisions and databases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from tests.migrations.projects import Project

from flask_retort import migrations

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]


@pytest.fixture
def branched(project: Project, capsys: pytest.CaptureFixture[str]) -> Project:
    """At r2, with a second head r3 and r1 below both."""
    project.write("r1")
    project.write("r2", after="r1")
    project.write("r3", after="r1")
    migrations.upgrade(revision="r2")
    capsys.readouterr()
    return project


@pytest.mark.usefixtures("branched")
def test_listings_are_printed_as_alembic_does(capsys: pytest.CaptureFixture[str]) -> None:
    def printed(command: Callable[..., None], **kwargs: Any) -> list[str]:
        command(**kwargs)
        return sorted(capsys.readouterr().out.strip().splitlines())

    assert printed(migrations.heads) == ["r2 (head)", "r3 (head)"]
    assert printed(migrations.current) == ["r2 (head)"]
    assert printed(migrations.history) == [
        "<base> -> r1 (branchpoint), title of r1",
        "r1 -> r2 (head), title of r2",
        "r1 -> r3 (head), title of r3",
    ]
    assert "r1 -> r2 (head) (current), title of r2" in printed(
        migrations.history, indicate_current=True
    )
    assert printed(migrations.history, rev_range="r1:r3") == [
        "<base> -> r1 (branchpoint), title of r1",
        "r1 -> r3 (head), title of r3",
    ]
    assert printed(migrations.history, rev_range="r1:current") == [
        "<base> -> r1 (branchpoint), title of r1",
        "r1 -> r2 (head) (current), title of r2",
    ]
    assert printed(migrations.branches) == [
        "   -> r2 (head)",
        "   -> r3 (head)",
        "r1 (branchpoint)",
    ]
    assert "Rev: r3 (head)" in printed(migrations.show, revision="r3")
    assert "Rev: r2 (head) (current)" not in printed(migrations.show, revision="r3")
    assert any(line.startswith("Rev: r2") for line in printed(migrations.show, revision="current"))
    verbose = printed(migrations.current, verbose=True)
    assert any("Current revision(s) for sqlite:" in line for line in verbose)


def test_passwords_are_not_printed(
    make_project: MakeProject, postgresql_url: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(postgresql_url.set(password="s3cret"))
    migrations.current(verbose=True)
    assert "s3cret" not in capsys.readouterr().out


def test_a_history_up_to_where_each_database_is_names_them(
    make_project: MakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(
        f"sqlite:///{tmp_path / 'a.db'}", binds={"far": f"sqlite:///{tmp_path / 'b.db'}"}
    )
    project.write("r1")
    project.write("r2", after="r1")
    migrations.upgrade(revision="r1")
    migrations.upgrade(bind="far")
    capsys.readouterr()
    migrations.history(rev_range=":current")
    assert capsys.readouterr().out.splitlines() == [
        "Database default:",
        "<base> -> r1 (current), title of r1",
        "Database far:",
        "r1 -> r2 (head) (current), title of r2",
        "<base> -> r1, title of r1",
    ]
