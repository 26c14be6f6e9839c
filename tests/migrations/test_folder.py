"""What is wrong with a folder of revisions is told with file and line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import flask
import pytest
from tests.migrations.projects import Project

from flask_retort import errors, migrations

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]


def test_a_missing_folder_is_named_with_the_way_to_make_it(project: Project) -> None:
    shutil.rmtree(project.folder)
    with pytest.raises(errors.MissingMigrations) as refusal:
        migrations.upgrade()
    assert str(project.folder) in str(refusal.value)
    assert "flask db init" in str(refusal.value)


def test_a_folder_of_something_else_holds_no_revisions(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "photos"
    other.mkdir()
    with pytest.raises(errors.MissingMigrations, match="photos"):
        migrations.upgrade(other)
    assert list(other.iterdir()) == []


def test_a_file_that_is_no_python_is_named_with_its_line(project: Project) -> None:
    path = project.write("r1")
    path.write_text("revision = 'r1'\ndown_revision = None\ndef upgrade(:\n    pass\n")
    for command in (migrations.upgrade, migrations.history, migrations.migrate, migrations.check):
        with pytest.raises(errors.BrokenRevision, match=r"r1\.py, line 3: SyntaxError"):
            command()


def test_a_file_whose_import_fails_is_named_with_its_line(project: Project) -> None:
    project.write("r1", head="import there_is_no_such_module")
    with pytest.raises(errors.BrokenRevision, match=r"r1\.py, line 8: ModuleNotFoundError: .*such"):
        migrations.upgrade()


def test_two_files_of_one_id_are_both_named(project: Project) -> None:
    path = project.write("r1")
    path.with_name("copy_of_r1.py").write_text(path.read_text())
    with pytest.raises(errors.BrokenRevision, match=r"copy_of_r1\.py and r1\.py"):
        migrations.upgrade()


def test_a_parent_that_is_not_there_is_named_with_its_child(project: Project) -> None:
    project.write("r2", after="r1")
    with pytest.raises(errors.BrokenRevision, match="Revision r1 is the down_revision of r2"):
        migrations.upgrade()


def test_revisions_in_a_circle(project: Project) -> None:
    project.write("r1", after="r2")
    project.write("r2", after="r1")
    with pytest.raises(errors.BrokenRevision, match="Cycle"):
        migrations.heads()


def test_an_unreadable_alembic_ini_is_named(project: Project) -> None:
    project.folder.joinpath("alembic.ini").write_text("no section\n")
    with pytest.raises(errors.MigrationError, match=r"alembic\.ini can't be read"):
        migrations.upgrade()
