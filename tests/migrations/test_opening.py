"""How a command finds the application, its databases and its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import flask
import pytest
from tests.migrations.projects import Project

from flask_retort import errors, migrations

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]


def test_an_application_without_migrate_is_told_how(app: flask.Flask) -> None:
    with app.app_context(), pytest.raises(errors.MigrationError, match=r"Migrate\(app, db\)"):
        migrations.upgrade()


def test_migrate_without_a_database_is_told_how(app: flask.Flask) -> None:
    migrations.Migrate(app)
    with app.app_context(), pytest.raises(errors.MigrationError, match=r"Migrate\(app, db\)"):
        migrations.upgrade()


def test_without_an_application_context_the_block_to_write_is_told() -> None:
    with pytest.raises(errors.NoAppContext, match=r"with app\.app_context\(\)"):
        migrations.upgrade()


def test_a_wrong_setting_is_told_by_its_name(make_project: MakeProject) -> None:
    project = make_project("sqlite://")
    project.app.config["RETORT_MIGRATIONS"] = {"retry": 3}
    with pytest.raises(errors.ConfigurationError, match="'retries'"):
        migrations.upgrade()


def test_the_environment_variable_is_for_the_command_line(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("r1")
    other = tmp_path / "other"
    project.write("other1", folder=other)
    monkeypatch.setenv("FLASK_DB_DIRECTORY", str(other))
    migrations.upgrade()
    assert project.versions() == ["r1"]


def test_a_relative_folder_is_relative_to_the_current_one(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project(make_app, Path("migrations"), f"sqlite:///{tmp_path / 'test.db'}")
    project.write("r1")
    with project.app.app_context():
        assert migrations.upgrade() == 1
