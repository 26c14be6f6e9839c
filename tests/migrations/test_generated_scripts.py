"""What ``flask db migrate`` writes makes the schema of the models, and unmakes it, everywhere."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from tests.migrations import models_zoo
from tests.migrations.catalogs import catalog
from tests.migrations.projects import Project

from flask_retort import migrations

MakeApp = Callable[..., flask.Flask]
Make = Callable[[sa.URL], Project]


@pytest.fixture
def make(make_app: MakeApp, tmp_path: Path) -> Iterator[Make]:
    """Makes a project without models, and enters its application context."""
    contexts: list[Any] = []

    def make(url: sa.URL) -> Project:
        project = Project(make_app, tmp_path / "migrations", url)
        project.db.metadata.clear()
        contexts.append(project.app.app_context())
        contexts[-1].push()
        return project

    yield make
    for context in contexts:
        context.pop()


@pytest.fixture
def project(make: Make, database_url: sa.URL) -> Project:
    """A project without models, on a database of each kind."""
    return make(database_url)


@pytest.fixture
def zoo(project: Project) -> Project:
    """A project with every kind of column and constraint."""
    models_zoo.fill(project.db.metadata, project.db.engine.dialect.name)
    return project


def test_a_schema_made_by_create_all_has_no_differences(zoo: Project) -> None:
    zoo.db.create_all()
    migrations.check()


def test_a_migrated_schema_has_no_differences(zoo: Project) -> None:
    migrations.migrate(message="all")
    migrations.upgrade()
    migrations.check()


def test_a_migrated_schema_has_the_columns_of_create_all(zoo: Project) -> None:
    zoo.db.create_all()
    created = {name: table.get("columns") for name, table in _tables(zoo).items()}
    zoo.db.drop_all()
    migrations.migrate(message="all")
    migrations.upgrade()
    assert {name: table.get("columns") for name, table in _tables(zoo).items()} == created


def test_downgrade_leaves_nothing_and_upgrade_makes_the_same_again(zoo: Project) -> None:
    empty = catalog(zoo.db.engine)
    migrations.migrate(message="all")
    migrations.upgrade()
    made = catalog(zoo.db.engine)
    migrations.downgrade(revision="base")
    assert catalog(zoo.db.engine) == empty
    migrations.upgrade()
    assert catalog(zoo.db.engine) == made


def test_models_that_are_taken_away_are_dropped_and_come_back(zoo: Project) -> None:
    empty = catalog(zoo.db.engine)
    migrations.migrate(message="all")
    migrations.upgrade()
    made = catalog(zoo.db.engine)
    zoo.db.metadata.clear()
    migrations.migrate(message="none")
    migrations.upgrade()
    assert catalog(zoo.db.engine) == empty
    migrations.downgrade()
    assert _without_texts(catalog(zoo.db.engine)) == _without_texts(made)


def test_printed_sql_makes_the_same_schema(
    make: Make, database_url: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    if database_url.get_backend_name() == "mysql":
        # Which of the two it is, "mysql" learns from the server.
        database_url = database_url.set(
            drivername=database_url.drivername.replace("mysql", "mariadb", 1)
        )
    zoo = make(database_url)
    models_zoo.fill(zoo.db.metadata, zoo.db.engine.dialect.name)
    migrations.migrate(message="all")
    capsys.readouterr()
    migrations.upgrade(sql=True)
    sql = capsys.readouterr().out
    migrations.upgrade()
    made = catalog(zoo.db.engine)
    migrations.downgrade(revision="base")
    version = sa.table("alembic_version")
    with zoo.db.engine.begin() as connection:
        connection.execute(sa.schema.DropTable(sa.Table(version.name, sa.MetaData())))
    _run(zoo.db.engine, sql)
    assert catalog(zoo.db.engine) == made
    assert len(zoo.versions()) == 1


@pytest.mark.parametrize("use_alter", [True, False])
def test_tables_that_reference_each_other_come_and_go(project: Project, use_alter: bool) -> None:
    empty = catalog(project.db.engine)
    models_zoo.circle(project.db.metadata, use_alter=use_alter)
    migrations.migrate(message="circle")
    migrations.upgrade()
    migrations.check()
    made = catalog(project.db.engine)
    migrations.downgrade(revision="base")
    assert catalog(project.db.engine) == empty
    migrations.upgrade()
    project.db.metadata.clear()
    migrations.migrate(message="no circle")
    migrations.upgrade()
    assert catalog(project.db.engine) == empty
    migrations.downgrade()
    assert catalog(project.db.engine) == made


def _tables(project: Project) -> dict[str, Any]:
    return {k: v for k, v in catalog(project.db.engine).items() if k != "types"}


def _without_texts(found: dict[str, Any]) -> dict[str, Any]:
    """PostgreSQL rewrites the text of a CHECK that it has rewritten before."""
    for name, table in found.items():
        if name != "types":
            table["checks"] = [check["name"] for check in table["checks"]]
    return found


def _run(engine: sa.Engine, sql: str) -> None:
    """Run a script as the database's own client would."""
    raw = engine.raw_connection()
    try:
        driver: Any = raw.driver_connection
        if isinstance(driver, sqlite3.Connection):
            driver.executescript(sql)
        elif engine.dialect.name == "postgresql":
            driver.autocommit = True
            driver.execute(sql)
        else:
            for statement in _statements(sql):
                driver.cursor().execute(statement)
            driver.commit()
    finally:
        raw.invalidate()
        raw.close()


def _statements(sql: str) -> list[str]:
    lines = io.StringIO(sql).readlines()
    code = "".join(line for line in lines if not line.startswith("--"))
    return [statement for statement in code.split(";\n") if statement.strip()]
