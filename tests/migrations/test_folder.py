"""What is wrong with a folder of revisions is told with file and line."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import flask
import pytest
from tests.migrations.projects import CREATE_USERS, SINGLE_MAKO, Project

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


# --- folders and files that are missing or can't be read -----------------------------------


def test_without_its_files_no_command_takes_the_history_for_an_empty_one(project: Project) -> None:
    project.write("r1", CREATE_USERS)
    project.folder.joinpath("alembic.ini").write_text("[alembic]\n")
    versions = project.folder / "versions"
    versions.rename(project.folder.parent / "elsewhere")
    commands: list[Callable[..., object]] = [
        *(migrations.upgrade, migrations.downgrade, migrations.stamp, migrations.check),
        *(migrations.current, migrations.heads, migrations.history, migrations.status),
        *(migrations.show, migrations.branches, migrations.merge, migrations.edit),
    ]
    for command in commands:
        with pytest.raises(errors.MissingMigrations, match=r"/versions' is missing"):
            command()
    assert project.tables() == []


def test_a_missing_folder_of_version_locations_is_named(project: Project) -> None:
    project.write("r1")
    project.folder.joinpath("alembic.ini").write_text(
        "[alembic]\npath_separator = space\nversion_locations = %(here)s/versions %(here)s/plugin\n"
    )
    with pytest.raises(errors.MissingMigrations, match=r"/plugin' is missing"):
        migrations.upgrade()
    assert project.versions() == []


def test_a_file_in_the_place_of_versions_is_refused(project: Project) -> None:
    project.folder.joinpath("script.py.mako").write_text(SINGLE_MAKO)
    project.folder.joinpath("versions").rmdir()
    project.folder.joinpath("versions").write_text("")
    for command in (migrations.upgrade, migrations.migrate):
        with pytest.raises(errors.MissingMigrations, match=r"can't be read .Not a directory"):
            command()


@pytest.mark.parametrize("command", [migrations.migrate, migrations.revision])
def test_the_first_revision_makes_the_folder_versions(
    project: Project, command: Callable[..., list[Path]]
) -> None:
    project.folder.joinpath("alembic.ini").write_text("[alembic]\n")
    project.folder.joinpath("versions").rmdir()
    (path,) = command(message="first")
    assert path.parent.resolve() == project.folder.joinpath("versions").resolve()
    assert migrations.upgrade() == 1


@pytest.mark.parametrize("name", ["script.py.mako", "alembic.ini"])
def test_a_file_of_another_encoding_is_named(project: Project, name: str) -> None:
    project.folder.joinpath(name).write_bytes(b"# caf\xe9\n")
    with pytest.raises(errors.MigrationError, match=rf"{name} can't be read: byte 6 is no utf-8"):
        migrations.upgrade()


@pytest.mark.parametrize("name", ["script.py.mako", "alembic.ini"])
def test_a_file_that_the_user_may_not_read_is_named(
    project: Project, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is the system's own, told by hand: tests may run as root, who reads all."""
    path = project.folder / name
    path.write_text("[alembic]\n")
    read_text = Path.read_text

    def refused(self: Path, *args: str | None, **kwargs: str | None) -> str:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(errors.MigrationError, match=rf"{name} can't be read: Permission denied"):
        migrations.upgrade()


# --- scripts that lack something -------------------------------------------------------------


def test_a_script_without_upgrade_is_named_before_anything_is_done(project: Project) -> None:
    project.write("r1", CREATE_USERS)
    path = project.write("r2", after="r1")
    path.write_text("revision = 'r2'\ndown_revision = 'r1'\ndef downgrade():\n    pass\n")
    with pytest.raises(errors.BrokenRevision, match=r"/r2\.py has no function upgrade\(\)"):
        migrations.upgrade()
    assert project.tables() == []


def test_a_script_without_downgrade_only_refuses_to_be_taken_back(project: Project) -> None:
    path = project.write("r1", CREATE_USERS)
    path.write_text(path.read_text().partition("def downgrade")[0])
    project.write("r2", after="r1")
    migrations.upgrade()
    migrations.downgrade()
    migrations.upgrade()
    with pytest.raises(errors.BrokenRevision, match=r"/r1\.py has no function downgrade\(\)"):
        migrations.downgrade(revision="base")
    assert project.versions() == ["r2"]


def test_a_script_that_exits_while_it_is_loaded_is_named_with_its_line(project: Project) -> None:
    project.write("r1", head="raise SystemExit(0)")
    with pytest.raises(errors.BrokenRevision, match=r"r1\.py, line 8: SystemExit: 0"):
        migrations.upgrade()
