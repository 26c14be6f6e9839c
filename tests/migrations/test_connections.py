"""A migration's connection comes at once, is the database's own, and is closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from tests.migrations.projects import CREATE_USERS, Project

from flask_retort import errors, migrations
from flask_retort.migrations.connections import outside_transaction, own_connection

Disposed = Callable[[sa.Engine], sa.Engine]
MakeProject = Callable[..., Project]


def test_it_is_another_one_and_is_closed(database_url: sa.URL, disposed: Disposed) -> None:
    engine = disposed(sa.create_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=1))
    closed: list[object] = []
    sa.event.listen(engine, "close", lambda connection, record: closed.append(connection))
    with engine.connect() as theirs:
        first = theirs.connection.dbapi_connection
        with own_connection(engine) as connection:
            own = connection.connection.dbapi_connection
            assert own is not first
            assert connection.engine is engine
    assert closed == [own]


def test_it_is_set_up_like_the_pools_own(database_url: sa.URL, disposed: Disposed) -> None:
    engine = disposed(sa.create_engine(database_url))
    made: list[object] = []
    sa.event.listen(engine, "connect", lambda connection, record: made.append(connection))
    with own_connection(engine) as connection:
        assert made == [connection.connection.dbapi_connection]


def test_a_database_that_is_one_connection_stays_it(disposed: Disposed) -> None:
    engine = disposed(sa.create_engine("sqlite://", poolclass=sa.StaticPool))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE here (id INTEGER)")
    with own_connection(engine) as connection:
        assert sa.inspect(connection).get_table_names() == ["here"]


def test_a_transaction_is_stepped_out_of(database_url: sa.URL, disposed: Disposed) -> None:
    engine = disposed(sa.create_engine(database_url))
    with engine.connect() as theirs:
        transaction = theirs.begin()
        theirs.exec_driver_sql("CREATE TABLE one (id INTEGER)")
        with outside_transaction(theirs) as connection:
            assert not connection.in_transaction()
            assert connection.connection is theirs.connection
            with connection.begin():
                connection.exec_driver_sql("CREATE TABLE two (id INTEGER)")
            connection.exec_driver_sql("INSERT INTO two VALUES (1)")  # never committed
        assert transaction.is_active
        transaction.rollback()
        assert sorted(sa.inspect(theirs).get_table_names()) == ["one", "two"]
        assert theirs.exec_driver_sql("SELECT count(*) FROM two").scalar() == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
        "mysql+pymysql://nobody@127.0.0.1:1/nothing",
        "sqlite:////there/is/no/such/folder/test.db",
    ],
)
def test_a_server_that_can_not_be_reached_is_told(make_project: MakeProject, url: str) -> None:
    project = make_project(url)
    project.write("r1")
    for command in (migrations.upgrade, migrations.current):
        with pytest.raises(errors.CannotConnect):
            command()


# --- with an env.py ----------------------------------------------------------------------


def test_settings_of_env_py_s_connection_go_over_to_the_one_that_migrates(
    make_project: MakeProject, postgresql_url: sa.URL
) -> None:
    project = make_project(postgresql_url)
    project.write_env(
        """
        import sqlalchemy as sa
        from alembic import context
        from flask import current_app

        engine = current_app.extensions["migrate"].db.engine
        with engine.connect() as connection:
            connection = connection.execution_options(schema_translate_map={None: "tenant"})
            connection.execute(sa.text("CREATE SCHEMA tenant"))
            connection.commit()
            connection.begin()
            context.configure(connection=connection, version_table_schema="tenant")
            context.run_migrations()
        """
    )
    project.write("r1", CREATE_USERS)
    assert migrations.upgrade() == 1
    assert "users" not in project.tables()
    tables = sa.inspect(project.db.engine).get_table_names(schema="tenant")
    assert sorted(tables) == ["alembic_version", "users"]


IN_A_SCHEMA = """
    import sqlalchemy as sa
    from alembic import context
    from flask import current_app

    engine = current_app.extensions["migrate"].db.engine
"""
BEFORE_CONFIGURE = """
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA tenant"))
        connection.execute(sa.text("SET search_path TO tenant"))
        context.configure(connection=connection)
        context.run_migrations()
"""
AFTER_CONFIGURE = """
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.execute("CREATE SCHEMA tenant")
            context.execute("SET search_path TO tenant")
            context.run_migrations()
"""


@pytest.mark.parametrize("way", [BEFORE_CONFIGURE, AFTER_CONFIGURE])
def test_what_env_py_executes_holds_for_the_revisions(
    make_project: MakeProject, postgresql_url: sa.URL, way: str
) -> None:
    project = make_project(postgresql_url, config={"SQLALCHEMY_ENGINE_OPTIONS": {"pool_size": 1}})
    project.write_env(IN_A_SCHEMA + way)
    project.write("r1", CREATE_USERS)
    project.write("r2", 'raise RuntimeError("late")', after="r1")
    with pytest.raises(errors.RevisionFailed, match="late"):
        migrations.upgrade()
    inspector = sa.inspect(project.db.engine)
    assert inspector.get_table_names(schema="public") == []
    tables = inspector.get_table_names(schema="tenant")
    assert sorted(tables) == ["alembic_version", "users"]
