"""``init`` makes a folder of revisions, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flask
import pytest
from tests.migrations.projects import SINGLE_MAKO, Project

from flask_retort import errors, migrations

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]


@pytest.fixture
def empty(project: Project) -> Project:
    """A project whose folder of revisions is yet to be made."""
    project.folder.joinpath("versions").rmdir()
    project.folder.rmdir()
    return project


def test_init_makes_a_folder_that_works(empty: Project) -> None:
    migrations.init()
    assert sorted(path.name for path in empty.folder.iterdir()) == [
        "README",
        "script.py.mako",
        "versions",
    ]
    migrations.migrate()
    assert migrations.upgrade() == 1


def test_init_makes_packages_and_parents(empty: Project, tmp_path: Path) -> None:
    folder = tmp_path / "src" / "shop" / "revisions"
    migrations.init(folder, package=True)
    assert (folder / "__init__.py").is_file()
    assert (folder / "versions" / "__init__.py").is_file()
    migrations.migrate(folder)
    assert migrations.upgrade(folder) == 1


def test_init_copies_a_template_of_ones_own(empty: Project, tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    template.joinpath("README").write_text("Own template.\n")
    template.joinpath("script.py.mako").write_text(SINGLE_MAKO)
    template.joinpath("alembic.ini.mako").write_text("[alembic]\ntimezone = UTC\n")
    migrations.init(template=str(template))
    assert empty.folder.joinpath("alembic.ini").read_text() == "[alembic]\ntimezone = UTC\n"
    assert empty.folder.joinpath("README").read_text() == "Own template.\n"
    assert not empty.folder.joinpath("alembic.ini.mako").exists()


def test_init_refuses_a_folder_that_is_not_empty(project: Project) -> None:
    before = sorted(project.folder.rglob("*"))
    with pytest.raises(errors.MigrationError, match="is not empty"):
        migrations.init()
    assert sorted(project.folder.rglob("*")) == before


def test_init_refuses_a_template_that_is_not_there(empty: Project) -> None:
    with pytest.raises(errors.MigrationError, match=r"no template 'flask-multi'.*'flask-multidb'"):
        migrations.init(template="flask-multi")
    assert not empty.folder.exists()


def test_init_leaves_nothing_where_it_can_not_write(empty: Project, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.MigrationError, match="can't be made"):
        migrations.init(tmp_path / "file" / "migrations")
    template = tmp_path / "template"
    template.mkdir()
    template.joinpath("alembic.ini.mako").write_text("${unknown.name}")
    with pytest.raises(errors.MigrationError, match="can't be made"):
        migrations.init(template=str(template))
    assert not empty.folder.exists()


def test_list_templates_prints_both(capsys: pytest.CaptureFixture[str]) -> None:
    migrations.list_templates()
    printed = capsys.readouterr().out
    assert "flask - Single-database configuration for Flask." in printed
    assert "flask-multidb - Multi-database configuration for Flask." in printed


def test_init_takes_an_empty_folder_and_leaves_it_empty_on_failure(
    empty: Project, tmp_path: Path
) -> None:
    empty.folder.mkdir()
    template = tmp_path / "template"
    (template / "more").mkdir(parents=True)
    (template / "more" / "notes").write_text("")
    (template / "alembic.ini.mako").write_text("${unknown.name}")
    with pytest.raises(errors.MigrationError, match="can't be made"):
        migrations.init(template=str(template))
    assert list(empty.folder.iterdir()) == []
    migrations.init()
    assert (empty.folder / "script.py.mako").is_file()


def test_init_refuses_a_file_in_the_folders_place(empty: Project) -> None:
    empty.folder.write_text("mine")
    with pytest.raises(errors.MigrationError, match="is not a folder"):
        migrations.init()
    assert empty.folder.read_text() == "mine"
