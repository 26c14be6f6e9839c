"""Which databases a folder of revisions serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from tests.migrations.projects import CREATE_USERS, DROP_USERS, SINGLE_MAKO, Project

from flask_retort import errors, migrations

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]


@pytest.fixture
def on_files(make_project: MakeProject, tmp_path: Path) -> MakeProject:
    """Makes a project of SQLite files, one for each name."""

    def make(*names: str, default: bool = True, **kwargs: Any) -> Project:
        binds = {name: f"sqlite:///{tmp_path / name}.db" for name in names}
        url = f"sqlite:///{tmp_path / 'default'}.db" if default else None
        return make_project(url, binds=binds, **kwargs)

    return make


# --- one folder for all -------------------------------------------------------------------


def test_all_databases_that_have_tables_are_served(on_files: MakeProject) -> None:
    project = on_files("far", "idle")
    project.db.metadatas["idle"].clear()
    migrations.migrate()
    assert migrations.upgrade() == 2
    assert project.tables() == ["alembic_version", "users"]
    assert project.tables("far") == ["alembic_version", "stars_far"]
    assert project.tables("idle") == []
    migrations.check()


def test_a_database_that_lost_its_tables_is_served_as_before(on_files: MakeProject) -> None:
    """Its tables have to be dropped by somebody."""
    project = on_files("far")
    migrations.migrate()
    migrations.upgrade()
    project.db.metadatas["far"].clear()
    with pytest.raises(errors.SchemaDiffers, match="far: table stars_far is in the database"):
        migrations.check()
    migrations.migrate()
    migrations.upgrade()
    assert project.tables("far") == ["alembic_version"]


def test_a_template_of_one_database_keeps_to_the_default_one(on_files: MakeProject) -> None:
    """The other bind may be a database of somebody else."""
    project = on_files("far")
    project.folder.joinpath("script.py.mako").write_text(SINGLE_MAKO)
    migrations.migrate()
    assert migrations.upgrade() == 1
    assert project.tables("far") == []
    with pytest.raises(errors.MigrationError, match=r"not about 'far'.*--multidb"):
        migrations.upgrade(bind="far")


def test_an_application_without_default_database(on_files: MakeProject) -> None:
    project = on_files("far", default=False)
    project.folder.joinpath("script.py.mako").write_text(SINGLE_MAKO)
    migrations.migrate()
    assert migrations.upgrade() == 1
    assert project.tables("far") == ["alembic_version", "stars_far"]


def test_one_template_for_two_databases_and_no_default_is_refused(
    on_files: MakeProject,
) -> None:
    project = on_files("far", "near", default=False)
    project.folder.joinpath("script.py.mako").write_text(SINGLE_MAKO)
    with pytest.raises(errors.MigrationError, match="far, near and no default"):
        migrations.upgrade()


def test_a_bind_that_comes_later_joins_the_history(on_files: MakeProject) -> None:
    project = on_files("far")
    project.write("r1", CREATE_USERS, DROP_USERS)  # from when there was one database
    assert migrations.upgrade() == 2
    assert project.tables() == ["alembic_version", "users"]
    assert project.tables("far") == ["alembic_version"]
    (path,) = migrations.migrate()
    assert "upgrade_far" in path.read_text()
    assert migrations.upgrade() == 2
    assert "stars_far" in project.tables("far")
    assert migrations.downgrade(revision="base") == 4
    assert project.tables("far") == project.tables() == ["alembic_version"]


def test_changes_are_not_lost_in_a_template_without_a_place_for_them(
    on_files: MakeProject,
) -> None:
    project = on_files("far")
    migrations.migrate()
    migrations.upgrade()
    project.folder.joinpath("script.py.mako").write_text(SINGLE_MAKO)
    project.add_column("stars_far", sa.Column("size", sa.Integer), bind="far")
    with pytest.raises(errors.MigrationError, match="has a place for one database"):
        migrations.migrate()


@pytest.mark.parametrize("key", ["my-bind", "2nd", "with space", "größe"])
def test_bind_keys_need_not_be_names_of_python(on_files: MakeProject, key: str) -> None:
    project = on_files(key)
    migrations.init(project.folder.with_name("other"), multidb=True)
    folder = project.folder.with_name("other")
    migrations.migrate(folder)
    assert migrations.upgrade(folder) == 2
    assert f"stars_{key}" in project.tables(key)
    assert migrations.downgrade(folder) == 2
    assert project.tables(key) == ["alembic_version"]


def test_bind_keys_that_would_share_a_function_are_refused(on_files: MakeProject) -> None:
    on_files("my-bind", "my_bind")
    with pytest.raises(errors.MigrationError, match="'my-bind' and 'my_bind' would share"):
        migrations.migrate()


def test_two_binds_of_one_database_are_refused(make_app: MakeApp, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'one.db'}"
    project = Project(make_app, tmp_path / "migrations", url, binds={"same": url})
    with project.app.app_context():
        with pytest.raises(errors.MigrationError, match="'default' and 'same' are the same"):
            migrations.migrate()
        # A second way to the same database that has no models, such as a replica, is fine.
        project.db.metadatas["same"].clear()
        migrations.migrate()
        assert migrations.upgrade() == 1


def test_two_schemas_of_one_server_database_are_two(
    make_app: MakeApp, tmp_path: Path, postgresql_url: sa.URL
) -> None:
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA other")
    other = postgresql_url.update_query_dict({"options": "-csearch_path=other"})
    project = Project(make_app, tmp_path / "migrations", postgresql_url, binds={"other": other})
    with project.app.app_context():
        migrations.migrate()
        assert migrations.upgrade() == 2
        inspector = sa.inspect(engine)
        assert sorted(inspector.get_table_names("other")) == ["alembic_version", "stars_other"]


# --- a folder for each --------------------------------------------------------------------


@pytest.fixture
def divided(on_files: MakeProject, tmp_path: Path) -> Project:
    """Two databases, each with a folder of its own."""
    folders = {None: tmp_path / "here", "far": tmp_path / "there"}
    for folder in folders.values():
        (folder / "versions").mkdir(parents=True)
    return on_files("far", directory=folders)


def test_each_database_has_its_own_history(divided: Project, tmp_path: Path) -> None:
    first, second = migrations.migrate()
    assert first.is_relative_to(tmp_path / "here")
    assert second.is_relative_to(tmp_path / "there")
    assert migrations.upgrade() == 2
    assert "users" in divided.tables()
    assert "stars_far" in divided.tables("far")
    assert divided.versions() != divided.versions("far")
    migrations.check()
    assert [status.database for status in migrations.status()] == ["", "far"]


def test_a_revision_is_looked_for_in_all_histories(divided: Project, tmp_path: Path) -> None:
    divided.write("near1", folder=tmp_path / "here")
    divided.write("far1", folder=tmp_path / "there")
    assert migrations.upgrade(revision="far1") == 1
    assert divided.versions() == []
    assert divided.versions("far") == ["far1"]
    with pytest.raises(errors.UnknownRevision):
        migrations.upgrade(revision="nowhere1")


def test_one_history_of_several_by_bind_or_folder(divided: Project, tmp_path: Path) -> None:
    divided.write("near1", folder=tmp_path / "here")
    divided.write("far1", folder=tmp_path / "there")
    assert migrations.upgrade(bind="far") == 1
    assert divided.versions() == []
    assert migrations.upgrade(tmp_path / "here") == 1
    assert divided.versions() == ["near1"]


def test_what_is_printed_names_the_database(
    divided: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    divided.write("near1", folder=tmp_path / "here")
    divided.write("far1", folder=tmp_path / "there")
    migrations.upgrade(bind="far")
    migrations.current()
    assert capsys.readouterr().out.splitlines() == [
        "default: no revision",
        "far: far1 (head)",
    ]


def test_init_makes_all_the_folders(on_files: MakeProject, tmp_path: Path) -> None:
    on_files("far", directory={None: tmp_path / "here", "far": tmp_path / "there"})
    migrations.init()
    assert (tmp_path / "here" / "script.py.mako").is_file()
    assert (tmp_path / "there" / "script.py.mako").is_file()


def test_an_empty_revision_is_written_for_one_history_only(divided: Project) -> None:
    with pytest.raises(errors.MigrationError, match="--bind"):
        migrations.revision(message="which one?")
    assert len(migrations.revision(message="this one", bind="far")) == 1


def test_a_folder_for_a_bind_that_is_not_there_is_refused(
    on_files: MakeProject, tmp_path: Path
) -> None:
    on_files(directory={None: tmp_path / "here", "gone": tmp_path / "there"})
    with pytest.raises(errors.MigrationError, match="'gone'"):
        migrations.upgrade()


def test_a_database_without_folder_is_told(on_files: MakeProject, tmp_path: Path) -> None:
    on_files("far", directory={None: tmp_path / "here"})
    with pytest.raises(errors.MigrationError, match="names no folder for the database 'far'"):
        migrations.upgrade(bind="far")
