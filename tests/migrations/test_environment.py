"""A project's own ``env.py`` runs as it is, and the runner does its work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from tests.migrations.env_files import (
    LOGGING_INI,
    ONE_DATABASE,
    PLAIN_ALEMBIC,
    SEVERAL_DATABASES,
)
from tests.migrations.projects import CREATE_USERS, DROP_USERS, SINGLE_MAKO, Project

from flask_retort import errors, migrations
from flask_retort.migrations.progress import Event, RevisionFinished

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]

BY_NAME = """
    def upgrade(engine_name):
        globals()["upgrade_%s" % engine_name]()

    def downgrade(engine_name):
        globals()["downgrade_%s" % engine_name]()

    def upgrade_():
        op.create_table("users", sa.Column("id", sa.Integer))

    def downgrade_():
        op.drop_table("users")
"""
FAR_BY_NAME = """
    def upgrade_far():
        op.create_table("stars_far", sa.Column("id", sa.Integer))

    def downgrade_far():
        op.drop_table("stars_far")
"""


@pytest.fixture
def make_project(make_project: MakeProject) -> MakeProject:
    """Makes projects that have the files of older ones."""

    def make(url: sa.URL | str, **kwargs: Any) -> Project:
        project = make_project(url, **kwargs)
        project.folder.joinpath("alembic.ini").write_text(f"[alembic]\n{LOGGING_INI}")
        project.folder.joinpath("script.py.mako").write_text(SINGLE_MAKO)
        return project

    return make


def write_by_name(project: Project, revision: str, code: str, after: str | None = None) -> None:
    """Write a revision that dispatches by the name of the database."""
    path = project.write(revision, after=after, head=code)
    text = path.read_text()
    path.write_text(text[: text.index("def upgrade():")])


# --- what env.py can do -----------------------------------------------------------------


def test_an_env_py_of_one_database_does_everything(
    make_project: MakeProject, database_url: sa.URL
) -> None:
    project = make_project(database_url)
    project.write_env(ONE_DATABASE)
    (path,) = migrations.migrate(message="users")
    assert migrations.upgrade() == 1
    assert len(project.versions()) == 1
    migrations.check()
    assert migrations.migrate() == []
    assert migrations.downgrade() == 1
    assert "users" not in project.tables()
    assert path.exists()
    migrations.stamp()
    assert len(project.versions()) == 1
    with pytest.raises(errors.SchemaDiffers, match="table users is missing"):
        migrations.check()


def test_an_env_py_that_begins_transactions_leaves_them_idle(
    make_project: MakeProject, database_url: sa.URL, tmp_path: Path
) -> None:
    """Each revision is committed by itself, on a connection that env.py does not hold."""
    far = f"sqlite:///{tmp_path / 'far.db'}"
    project = make_project(database_url, binds={"far": far})
    project.write_env(SEVERAL_DATABASES)
    write_by_name(project, "r1", BY_NAME + FAR_BY_NAME)
    project.write("r2", 'raise RuntimeError("the second one")', after="r1")
    with pytest.raises(errors.RevisionFailed, match="the second one"):
        migrations.upgrade()
    assert project.versions() == ["r1"]
    assert "users" in project.tables()


def test_several_databases_in_one_env_py(
    make_project: MakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(
        f"sqlite:///{tmp_path / 'a.db'}", binds={"far": f"sqlite:///{tmp_path / 'b.db'}"}
    )
    project.write_env(SEVERAL_DATABASES)
    write_by_name(project, "r1", BY_NAME + FAR_BY_NAME)
    events: list[Event] = []
    assert migrations.upgrade(report=events.append) == 2
    finished = [event.database for event in events if isinstance(event, RevisionFinished)]
    assert finished == ["", "far"]
    assert project.versions() == project.versions("far") == ["r1"]
    migrations.current()
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["default: r1 (head)", "far: r1 (head)"]


def test_one_database_of_several(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(
        f"sqlite:///{tmp_path / 'a.db'}", binds={"far": f"sqlite:///{tmp_path / 'b.db'}"}
    )
    project.write_env(SEVERAL_DATABASES)
    write_by_name(project, "r1", BY_NAME + FAR_BY_NAME)
    assert migrations.upgrade(bind="far") == 1
    assert project.versions("far") == ["r1"]
    assert project.versions() == []
    assert migrations.upgrade(bind="default") == 1
    assert migrations.downgrade(bind="") == 1
    assert project.versions() == []


def test_a_database_that_env_py_does_not_work_on_is_told(
    make_project: MakeProject, tmp_path: Path
) -> None:
    project = make_project(
        f"sqlite:///{tmp_path / 'a.db'}", binds={"far": f"sqlite:///{tmp_path / 'b.db'}"}
    )
    project.write_env(ONE_DATABASE)
    project.write("r1")
    with pytest.raises(errors.MigrationError, match="'far', only on default"):
        migrations.upgrade(bind="far")
    assert project.versions() == []


def test_a_bind_that_came_later_has_nothing_to_do_in_older_revisions(
    make_project: MakeProject, tmp_path: Path
) -> None:
    project = make_project(
        f"sqlite:///{tmp_path / 'a.db'}", binds={"far": f"sqlite:///{tmp_path / 'b.db'}"}
    )
    project.write_env(SEVERAL_DATABASES)
    write_by_name(project, "r1", BY_NAME)
    write_by_name(project, "r2", BY_NAME.replace("users", "others") + FAR_BY_NAME, after="r1")
    assert migrations.upgrade() == 4
    assert project.tables("far") == ["alembic_version", "stars_far"]
    assert migrations.downgrade(revision="base") == 4


def test_a_plain_alembic_env_py_uses_the_url_of_its_ini(project: Project, tmp_path: Path) -> None:
    project.folder.joinpath("alembic.ini").write_text(
        f"[alembic]\nsqlalchemy.url = sqlite:///{tmp_path / 'own.db'}\n"
    )
    project.write_env(PLAIN_ALEMBIC)
    project.write("r1", CREATE_USERS, DROP_USERS)
    assert migrations.upgrade() == 1
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'own.db'}", poolclass=sa.NullPool)
    assert "users" in sa.inspect(engine).get_table_names()
    assert project.tables() == []


def test_a_two_phase_transaction_is_left_idle(
    make_project: MakeProject, postgresql_url: sa.URL
) -> None:
    project = make_project(postgresql_url)
    code = SEVERAL_DATABASES.replace('["connection"].begin()', '["connection"].begin_twophase()')
    project.write_env(code)
    write_by_name(project, "r1", BY_NAME)
    assert migrations.upgrade() == 1
    assert project.versions() == ["r1"]


def test_arguments_of_the_command_reach_env_py(project: Project) -> None:
    project.write_env(
        """
        import sqlalchemy as sa
        from alembic import context
        from flask import current_app

        current_app.seen = {
            "x": context.get_x_argument(),
            "tenant": context.get_x_argument(as_dictionary=True).get("tenant"),
            "tag": context.get_tag_argument(),
            "autogenerate": getattr(context.config.cmd_opts, "autogenerate", False),
            "heads": context.get_head_revisions(),
        }
        with current_app.extensions["migrate"].db.engine.connect() as connection:
            context.configure(connection, target_metadata=sa.MetaData())
            context.run_migrations()
        """
    )
    project.write("r1")
    migrations.upgrade(tag="blue", x_arg=["tenant=a", "loud"])
    seen = vars(project.app)["seen"]
    assert seen["x"] == ["tenant=a", "loud"]
    assert (seen["tenant"], seen["tag"]) == ("a", "blue")
    assert seen["heads"] == ("r1",)
    assert not seen["autogenerate"]
    migrations.migrate(x_arg="one")
    seen = vars(project.app)["seen"]
    assert seen["x"] == ["one"]
    assert seen["autogenerate"]


def test_offline_env_py_writes_each_revision_in_its_transaction(
    make_project: MakeProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(f"sqlite:///{tmp_path / 'test.db'}")
    project.write_env(ONE_DATABASE)
    project.write("r1", CREATE_USERS, DROP_USERS)
    project.write("r2", after="r1")
    assert migrations.upgrade(sql=True) == 0
    printed = capsys.readouterr().out
    assert printed.count("BEGIN;") == printed.count("COMMIT;") == 2
    assert "CREATE TABLE users" in printed
    assert not (tmp_path / "test.db").exists()


# --- what stays as it was ---------------------------------------------------------------


def test_env_py_does_not_set_up_logging(project: Project) -> None:
    """The file of an older project would disable this logger, and take the handlers away."""
    project.write_env(ONE_DATABASE)
    project.write("r1")
    logger = logging.getLogger("tests.of_the_application")
    root = logging.getLogger()
    level, handlers, configure = root.level, list(root.handlers), logging.config.fileConfig
    migrations.upgrade()
    assert not logger.disabled
    assert (root.level, list(root.handlers)) == (level, handlers)
    assert logging.config.fileConfig is configure


def test_another_thread_can_set_up_logging_meanwhile(project: Project) -> None:
    project.write_env(
        """
        import logging.config
        import threading
        from alembic import context
        from flask import current_app

        def set_up():
            logging.config.dictConfig(
                {"version": 1, "incremental": True, "loggers": {"tests.other": {"level": "ERROR"}}}
            )

        thread = threading.Thread(target=set_up)
        thread.start()
        thread.join()
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
        with current_app.extensions["migrate"].db.engine.connect() as connection:
            context.configure(connection)
            context.run_migrations()
        """
    )
    project.write("r1")
    migrations.upgrade()
    assert logging.getLogger("tests.other").level == logging.ERROR
    assert not logging.getLogger("tests.other").disabled


def test_what_env_py_writes_into_the_arguments_is_gone_afterwards(project: Project) -> None:
    """With the predecessor, ``check`` after ``migrate`` in one process fails on what it left."""
    project.write_env(ONE_DATABASE)
    before = dict(project.app.extensions["migrate"].configure_args)
    migrations.migrate()
    assert project.app.extensions["migrate"].configure_args == before
    migrations.upgrade()
    migrations.check()
    project.write_env("1 / 0")
    with pytest.raises(errors.BrokenRevision):
        migrations.upgrade()
    assert project.app.extensions["migrate"].configure_args == before


def test_the_connections_of_a_command_are_given_back(
    make_project: MakeProject, postgresql_url: sa.URL
) -> None:
    project = make_project(postgresql_url)
    project.write_env(SEVERAL_DATABASES)
    write_by_name(project, "r1", BY_NAME)
    migrations.upgrade()
    engine = project.db.engine
    own = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 10  # a server process ends a little later than its connection
    with engine.connect() as connection:
        while connection.scalar(own) and time.monotonic() < deadline:
            connection.rollback()
            time.sleep(0.05)
        connection.rollback()
        assert connection.scalar(own) == 0


def test_a_pool_of_one_connection_is_enough(
    make_project: MakeProject, database_url: sa.URL
) -> None:
    project = make_project(
        database_url,
        config={
            "SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 1, "max_overflow": 0, "pool_timeout": 2}
        },
    )
    project.write_env(SEVERAL_DATABASES)
    write_by_name(project, "r1", BY_NAME)
    assert migrations.upgrade() == 1


def test_a_shared_database_in_memory_stays_the_same(make_project: MakeProject) -> None:
    project = make_project("sqlite://", config={"RETORT_SQLITE": {"memory": "shared"}})
    project.write_env(SEVERAL_DATABASES)
    write_by_name(project, "r1", BY_NAME)
    assert migrations.upgrade() == 1
    assert project.tables() == ["alembic_version", "users"]


def test_two_threads_take_turns(make_app: MakeApp, tmp_path: Path) -> None:
    """Alembic knows one context a process; both threads' revisions see their own database."""
    projects = [
        Project(make_app, tmp_path / name, f"sqlite:///{tmp_path / name}.db") for name in "ab"
    ]
    failures: list[BaseException] = []
    for project in projects:
        project.write(
            "r1", "import time; time.sleep(0.2)" + CREATE_USERS.replace("\n    ", "\n", 1)
        )

    def upgrade(project: Project) -> None:
        try:
            with project.app.app_context():
                migrations.upgrade()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test fails
            failures.append(error)

    threads = [threading.Thread(target=upgrade, args=(project,)) for project in projects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [project.versions() for project in projects] == [["r1"], ["r1"]]
