"""New revision files, and what is refused before one is written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import flask
import pytest
from tests.migrations.projects import SINGLE_MAKO, Project

from flask_retort import errors, migrations

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]


def test_two_heads_are_merged(project: Project) -> None:
    project.write("r1")
    project.write("r2", after="r1")
    project.write("r3", after="r1")
    path = migrations.merge(revisions=["r2", "r3"], message="join", rev_id="r4")
    assert path is not None
    assert path.name == "r4_join.py"
    assert migrations.upgrade() == 4
    assert project.versions() == ["r4"]


def test_an_empty_revision_is_written_with_what_it_is_told(project: Project) -> None:
    project.write("r1")
    project.write("r2", after="r1")
    (path,) = migrations.revision(
        message="Side way", head="r1", splice=True, branch_label="side", rev_id="r9"
    )
    assert path.name == "r9_side_way.py"
    text = path.read_text()
    assert "'r1'" in text.replace('"', "'")
    assert "side" in text


def test_alembic_ini_is_read(project: Project) -> None:
    project.folder.joinpath("alembic.ini").write_text(
        "[alembic]\nfile_template = %%(year)d_%%(rev)s\nversion_locations = %(here)s/a %(here)s/b\n"
        "path_separator = space\n"
    )
    (path,) = migrations.revision(version_path=project.folder / "b", rev_id="abcd")
    assert path.parent.name == "b"
    assert path.name.endswith("_abcd.py")


def test_a_folder_without_versions_is_one_that_git_has_emptied(project: Project) -> None:
    """Git keeps no empty folders."""
    project.folder.joinpath("script.py.mako").write_text(SINGLE_MAKO)
    project.folder.joinpath("versions").rmdir()
    (path,) = migrations.migrate()
    assert path.parent == project.folder / "versions"


def test_edit_opens_the_file_in_the_users_editor(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.write("r1")
    editor = tmp_path / "editor.py"
    editor.write_text("import sys\nopen(sys.argv[1], 'a').write('# edited\\n')\n")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor}")
    migrations.edit()
    assert path.read_text().endswith("# edited\n")
    monkeypatch.setenv("EDITOR", "there-is-no-such-editor")
    with pytest.raises(errors.MigrationError, match="editor failed"):
        migrations.edit(revision="r1")


@pytest.mark.parametrize("command", ["migrate", "check"])
def test_what_is_pending_has_to_be_applied_before_comparing(project: Project, command: str) -> None:
    project.write("r1")
    project.write("r2", after="r1")
    files = sorted(project.folder.rglob("*.py"))
    with pytest.raises(errors.MigrationError, match=r"r1, r2 are pending.*flask db upgrade"):
        getattr(migrations, command)()
    assert sorted(project.folder.rglob("*.py")) == files


def test_an_empty_message_is_refused(project: Project) -> None:
    for command in (migrations.migrate, migrations.revision):
        with pytest.raises(errors.MigrationError, match="message is empty"):
            command(message=" ")
    assert list(project.folder.rglob("*.py")) == []


def test_a_revision_id_that_exists_is_refused(project: Project) -> None:
    path = project.write("r1")
    text = path.read_text()
    with pytest.raises(errors.MigrationError, match="'r1' exists already"):
        migrations.revision(rev_id="r1")
    assert path.read_text() == text


@pytest.mark.parametrize(
    "rev_id",
    ["a-b", "a@b", "a:b", "../a", "a b", "é1", "", "a" * 33, "head", "heads", "base", "current"],
)
def test_a_revision_id_that_commands_could_not_name_is_refused(
    project: Project, rev_id: str
) -> None:
    project.write("r1")
    project.write("r2")
    with pytest.raises(errors.MigrationError, match="can't be the id of a revision"):
        migrations.revision(rev_id=rev_id, head="r1")
    with pytest.raises(errors.MigrationError, match="can't be the id of a revision"):
        migrations.merge(revisions="heads", rev_id=rev_id)
    assert sorted(path.name for path in project.folder.rglob("*.py")) == ["r1.py", "r2.py"]


def test_the_longest_revision_id_is_applied(project: Project) -> None:
    migrations.revision(rev_id="A_" + "0" * 30)
    migrations.upgrade()
    assert project.versions() == ["A_" + "0" * 30]


def test_a_file_that_can_not_be_loaded_after_it_is_written_does_not_stay(project: Project) -> None:
    project.folder.joinpath("script.py.mako").write_text(SINGLE_MAKO + "\nthis is no Python\n")
    with pytest.raises(errors.BrokenRevision, match="SyntaxError"):
        migrations.migrate()
    assert list(project.folder.rglob("*.py")) == []


def test_one_revision_is_nothing_to_merge(project: Project) -> None:
    project.write("r1")
    with pytest.raises(errors.MigrationError, match="nothing to merge in 'heads'"):
        migrations.merge(revisions="heads")
    with pytest.raises(errors.MigrationError, match="nothing to merge"):
        migrations.merge()


def test_the_environment_runs_for_an_empty_revision_where_alembic_ini_asks(
    project: Project,
) -> None:
    project.folder.joinpath("alembic.ini").write_text("[alembic]\nrevision_environment = true\n")
    (path,) = migrations.revision(message="by hand")
    assert "create_table" not in path.read_text()
    assert migrations.upgrade() == 1


def test_a_label_with_two_meanings_is_refused(project: Project) -> None:
    project.write("r1", head="branch_labels = ('side',)")
    project.write("r2", head="branch_labels = ('side',)")
    with pytest.raises(errors.BrokenRevision, match="Branch name 'side'"):
        migrations.heads()
