"""``Migrate`` has the signature, the attributes and the registration that projects know."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import flask
import pytest
from alembic.config import Config

from flask_retort import SQLAlchemy
from flask_retort.errors import MigrationError
from flask_retort.migrations import Migrate, alembic_version, heads

MakeApp = Callable[..., flask.Flask]


def test_the_arguments_are_those_of_the_predecessor() -> None:
    arguments = list(inspect.signature(Migrate).parameters)
    assert arguments == [
        "app",
        "db",
        "directory",
        "command",
        "compare_type",
        "render_as_batch",
        "kwargs",
    ]
    assert list(inspect.signature(Migrate.init_app).parameters)[1:] == arguments


def test_the_registered_object_has_what_an_env_py_reads(app: flask.Flask) -> None:
    db = SQLAlchemy(app)
    migrate = Migrate(app, db, version_table="revisions")
    registered = app.extensions["migrate"]
    assert registered.migrate is migrate
    assert registered.db is db
    assert registered.metadata is db.metadata
    assert registered.directory == "migrations"
    assert registered.configure_args == {
        "compare_type": True,
        "render_as_batch": True,
        "version_table": "revisions",
    }


def test_init_app_has_the_last_word(app: flask.Flask, tmp_path: Path) -> None:
    db = SQLAlchemy(app)
    migrate = Migrate(directory="elsewhere", command="schema", compare_type=True)
    migrate.init_app(app, db, tmp_path, "database", compare_type=False, include_schemas=True)
    registered = app.extensions["migrate"]
    assert registered.directory == str(tmp_path)
    assert registered.configure_args["compare_type"] is False
    assert registered.configure_args["include_schemas"] is True
    assert "database" in app.cli.commands


def test_a_path_becomes_a_text(app: flask.Flask) -> None:
    Migrate(app, SQLAlchemy(app), directory=Path("a") / "b")
    assert app.extensions["migrate"].directory == str(Path("a") / "b")


def test_two_applications_of_one_object_keep_their_own_folders(make_app: MakeApp) -> None:
    one, other = make_app("one"), make_app("other")
    db = SQLAlchemy()
    migrate = Migrate()
    for app in (one, other):
        db.init_app(app)
        migrate.init_app(app, db, directory=app.name)
    assert one.extensions["migrate"].directory == "one"
    assert other.extensions["migrate"].directory == "other"


def test_folders_by_bind_key_show_the_default_ones(app: flask.Flask) -> None:
    Migrate(app, SQLAlchemy(app), directory={"far": "there", None: Path("here")})
    assert app.extensions["migrate"].directory == "here"


def test_without_db_the_applications_own_is_used(app: flask.Flask, tmp_path: Path) -> None:
    SQLAlchemy(app)
    (tmp_path / "versions").mkdir()
    Migrate(app, directory=tmp_path)
    with app.app_context():
        heads()


def test_configure_callbacks_change_or_replace_the_configuration(
    app: flask.Flask, tmp_path: Path
) -> None:
    migrate = Migrate(app, SQLAlchemy(app), directory=tmp_path)
    other = Config()

    @migrate.configure
    def change(config: Config) -> Config:
        config.set_main_option("timezone", "UTC")
        return config

    config = migrate.get_config(x_arg="tenant=a", opts=["autogenerate"])
    assert config.get_main_option("timezone") == "UTC"
    assert config.get_main_option("script_location") == str(tmp_path)
    assert config.cmd_opts is not None
    assert config.cmd_opts.x == ["tenant=a"]
    assert config.cmd_opts.autogenerate is True

    migrate.configure(lambda config: other)
    assert migrate.get_config() is other


def test_a_callback_that_forgets_to_return_is_named(app: flask.Flask, tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    migrate = Migrate(app, SQLAlchemy(app), directory=tmp_path)

    @migrate.configure
    def forgetful(config: Config) -> Config:
        return None  # type: ignore[return-value] # the mistake

    with app.app_context(), pytest.raises(MigrationError, match="'forgetful' returned None"):
        heads()


def test_the_version_of_alembic_is_three_numbers() -> None:
    assert len(alembic_version) == 3
    assert all(isinstance(number, int) for number in alembic_version)
