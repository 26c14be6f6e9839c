"""Without an ``env.py``: all databases of a history together, and SQL without any."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from tests.migrations.projects import CREATE_USERS, DROP_USERS, Project

from flask_retort import errors, migrations
from flask_retort.migrations.progress import Event, NothingToDo, RevisionFinished

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]

BOTH = """
    def upgrade(engine_name):
        globals()[f"upgrade_{engine_name}"]()

    def downgrade(engine_name):
        globals()[f"downgrade_{engine_name}"]()

    def upgrade_():
        op.create_table("NAME", sa.Column("id", sa.Integer))

    def downgrade_():
        op.drop_table("NAME")

    def upgrade_far():
        op.create_table("far_NAME", sa.Column("id", sa.Integer))

    def downgrade_far():
        op.drop_table("far_NAME")
"""


def write_both(project: Project, revision: str, after: str | None = None, code: str = BOTH) -> None:
    """Write a revision with functions for the default database and for "far"."""
    path = project.write(revision, after=after, head=code.replace("NAME", revision))
    text = path.read_text()
    path.write_text(text[: text.index("\ndef upgrade():")])


# --- several databases ------------------------------------------------------------------


@pytest.fixture
def several(make_project: MakeProject, database_url: sa.URL, tmp_path: Path) -> Project:
    """Two databases of one history: one on each back end in turn, and a SQLite file."""
    return make_project(database_url, binds={"far": f"sqlite:///{tmp_path / 'far.db'}"})


def test_databases_advance_revision_by_revision(several: Project) -> None:
    write_both(several, "r1")
    write_both(several, "r2", after="r1")
    events: list[Event] = []
    assert migrations.upgrade(report=events.append) == 4
    order = [(e.revision, e.database) for e in events if isinstance(e, RevisionFinished)]
    assert order == [("r1", ""), ("r1", "far"), ("r2", ""), ("r2", "far")]
    events.clear()
    assert migrations.downgrade(revision="base", report=events.append) == 4
    order = [(e.revision, e.database) for e in events if isinstance(e, RevisionFinished)]
    assert order == [("r2", ""), ("r2", "far"), ("r1", ""), ("r1", "far")]


def test_a_failure_in_one_database_leaves_none_far_ahead(several: Project) -> None:
    write_both(several, "r1")
    broken = BOTH.replace("def upgrade_far():", "def upgrade_far():\n        raise RuntimeError")
    write_both(several, "r2", after="r1", code=broken)
    write_both(several, "r3", after="r2")
    with pytest.raises(errors.RevisionFailed, match=r"r2.*'far'"):
        migrations.upgrade()
    assert several.versions() == ["r2"]
    assert several.versions("far") == ["r1"]


def test_a_relative_target_has_to_mean_the_same_for_all(several: Project) -> None:
    """Where the databases are at different revisions, "-1" is refused before anything is done."""
    for number in (1, 2):
        write_both(several, f"r{number}", after=f"r{number - 1}" if number > 1 else None)
    migrations.upgrade()
    migrations.downgrade(revision="r1", bind="far")
    with pytest.raises(errors.UnknownRevision, match="default at r2, far at r1"):
        migrations.downgrade()
    assert migrations.downgrade(revision="r1") == 1
    assert migrations.downgrade() == 2


def test_one_that_lags_behind_is_brought_along(several: Project) -> None:
    write_both(several, "r1")
    assert migrations.upgrade(bind="far") == 1
    events: list[Event] = []
    assert migrations.upgrade(report=events.append) == 1
    assert any(isinstance(event, NothingToDo) and event.database == "far" for event in events)


def test_changes_of_all_databases_come_into_one_revision(several: Project) -> None:
    (path,) = migrations.migrate(message="all")
    assert migrations.upgrade() == 2
    assert "users" in several.tables()
    assert "stars_far" in several.tables("far")
    migrations.check()
    several.add_column("stars_far", sa.Column("size", sa.Integer), bind="far")
    with pytest.raises(errors.SchemaDiffers, match="far: table stars_far: column size is missing"):
        migrations.check()
    migrations.check(bind="default")
    assert migrations.migrate(bind="default") == []
    (path,) = migrations.migrate(bind="far")
    assert "size" in path.read_text()


def test_stamp_notes_all_databases(several: Project) -> None:
    write_both(several, "r1")
    migrations.stamp()
    assert several.versions() == several.versions("far") == ["r1"]
    migrations.stamp(revision="base", bind="far")
    assert (several.versions(), several.versions("far")) == (["r1"], [])


# --- connections ------------------------------------------------------------------------


def test_the_application_may_hold_its_last_connection(
    make_project: MakeProject, database_url: sa.URL
) -> None:
    """``upgrade()`` inside a request that reads: the pool has no second connection."""
    options = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 2}
    project = make_project(database_url, config={"SQLALCHEMY_ENGINE_OPTIONS": options})
    project.write("r1", CREATE_USERS)
    project.db.session.execute(sa.text("SELECT 1"))
    assert migrations.upgrade() == 1
    project.db.session.rollback()
    assert project.versions() == ["r1"]


@pytest.mark.parametrize("memory", ["isolated", "shared"])
def test_a_database_in_memory_can_be_migrated(make_project: MakeProject, memory: str) -> None:
    project = make_project("sqlite://", config={"RETORT_SQLITE": {"memory": memory}})
    migrations.migrate()
    assert migrations.upgrade() == 1
    assert project.tables() == ["alembic_version", "users"]
    migrations.check()


def test_a_revision_can_ask_where_it_runs(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project(
        f"sqlite:///{tmp_path / 'a.db'}", binds={"far": f"sqlite:///{tmp_path / 'b.db'}"}
    )
    code = """
        from alembic import context
        from flask import current_app

        def upgrade(engine_name):
            assert not context.is_offline_mode()
            assert context.get_bind() is op.get_bind()
            assert context.get_context() is op.get_context()
            current_app.urls.append(op.get_bind().engine.url.database)
            current_app.x = context.get_x_argument()

        def downgrade(engine_name):
            pass
    """
    write_both(project, "r1", code=code)
    project.app.urls = []  # type: ignore[attr-defined] # where the revision tells
    migrations.upgrade(x_arg=["a=b"])
    urls = vars(project.app)["urls"]
    # Its script takes the name and has no function for "far", so the default one is served.
    assert urls == [str(tmp_path / "a.db"), str(tmp_path / "b.db")]
    assert vars(project.app)["x"] == ["a=b"]


def test_arguments_of_migrate_are_used(make_project: MakeProject, database_url: sa.URL) -> None:
    project = make_project(database_url, version_table="revisions")
    project.write("r1")
    migrations.upgrade()
    assert project.tables() == ["revisions"]
    assert project.versions(table="revisions") == ["r1"]


def test_eight_threads_do_the_work_once(make_project: MakeProject, database_url: sa.URL) -> None:
    project = make_project(database_url)
    project.write("r1", CREATE_USERS)
    applied: list[int] = []

    def upgrade() -> None:
        with project.app.app_context():
            applied.append(migrations.upgrade())

    threads = [threading.Thread(target=upgrade) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(applied) == [0] * 7 + [1]


# --- SQL without a database -------------------------------------------------------------

UNREACHABLE = {
    "postgresql": "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
    "mysql": "mysql+pymysql://nobody@127.0.0.1:1/nothing",
    "mariadb": "mariadb+pymysql://nobody@127.0.0.1:1/nothing",
    "sqlite": "sqlite:////there/is/no/such/folder/test.db",
}
FILLED = """
    users = op.create_table(
        "users", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20))
    )
    op.bulk_insert(users, [{"id": 1, "name": "it's"}])
    op.execute(users.update().values(name="new"))
"""


@pytest.mark.parametrize("kind", UNREACHABLE)
def test_sql_is_written_for_the_dialect_without_connecting(
    make_project: MakeProject, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(UNREACHABLE[kind])
    project.write("r1", FILLED, DROP_USERS)
    add, drop = (
        'op.add_column("users", sa.Column("nick", sa.Text))',
        'op.drop_column("users", "nick")',
    )
    project.write("r2", add, drop, after="r1")
    assert migrations.upgrade(sql=True) == 0
    printed = capsys.readouterr().out
    assert f"-- Database default, {kind}" in printed
    serial = {"postgresql": "id SERIAL", "sqlite": "id INTEGER NOT NULL"}.get(
        kind, "AUTO_INCREMENT"
    )
    assert serial in printed
    assert "VALUES (1, 'it''s')" in printed
    assert "SET name='new'" in printed
    assert "ADD COLUMN nick TEXT" in printed
    transactions = 0 if kind in ("mysql", "mariadb") else 2
    assert printed.count("BEGIN;") == printed.count("COMMIT;") == transactions
    migrations.downgrade(revision="r2:r1", sql=True)
    assert "DROP COLUMN nick" in capsys.readouterr().out
    migrations.stamp(revision="r1:r2", sql=True)
    assert "UPDATE alembic_version SET version_num='r2'" in capsys.readouterr().out


def test_written_sql_makes_the_same_schema(
    make_project: MakeProject,
    make_app: MakeApp,
    database_url: sa.URL,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make_project(database_url)
    project.write("r1", FILLED, DROP_USERS)
    migrations.upgrade(sql=True)
    printed = capsys.readouterr().out
    engine = sa.create_engine(database_url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in printed.split(";\n"):
            code = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
            if code.strip():
                connection.exec_driver_sql(code)
    assert project.versions() == ["r1"]
    assert migrations.upgrade() == 0
    migrations.check()


def test_sql_of_several_databases_names_each(
    make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(UNREACHABLE["postgresql"], binds={"far": UNREACHABLE["mysql"]})
    write_both(project, "r1")
    migrations.upgrade(sql=True)
    first, _, second = capsys.readouterr().out.partition("-- Database far, mysql")
    assert first.startswith("-- Database default, postgresql")
    assert "CREATE TABLE r1" in first
    assert "far_r1" not in first
    assert "CREATE TABLE far_r1" in second
    migrations.upgrade(sql=True, bind="far")
    assert "postgresql" not in capsys.readouterr().out


def test_a_script_that_reads_can_not_be_written_as_sql(make_project: MakeProject) -> None:
    project = make_project("sqlite://")
    project.write("r1", 'op.get_bind().execute(sa.text("SELECT 1")).scalar()')
    with pytest.raises(errors.RevisionFailed, match=r"r1\.py, line 11: .*--sql"):
        migrations.upgrade(sql=True)


# --- a script's own function ----------------------------------------------------------------


def test_a_key_error_of_the_script_itself_is_a_failure(several: Project) -> None:
    """Only the look-up of the database's own function may find nothing."""
    write_both(
        several,
        "r1",
        code=BOTH.replace('op.create_table("far_NAME"', '{}["upgrade_far"], ("far_NAME"'),
    )
    with pytest.raises(errors.RevisionFailed, match="KeyError"):
        migrations.upgrade()
    assert several.versions("far") == []
