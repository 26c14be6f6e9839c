"""What ``flask db status`` knows of a database, on every back end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from flask_retort.config_sections import MigrationsConfig
from flask_retort.migrations.backends import backend_for
from flask_retort.migrations.runner.journal import Journal, Mark
from flask_retort.migrations.status import (
    DatabaseStatus,
    Pending,
    database_status,
    is_missing_file,
    status_of_nothing,
)

SETTINGS = MigrationsConfig()
SCRIPT = '''"""add {revision}"""

revision = "{revision}"
down_revision = {down!r}


def upgrade():
    pass


def downgrade():
    pass
'''
ALL = (Pending("a1", "add a1"), Pending("b2", "add b2"), Pending("c3", "add c3"))


@pytest.fixture
def script(tmp_path: Path) -> ScriptDirectory:
    """A history of three revisions."""
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    for down, revision in ((None, "a1"), ("a1", "b2"), ("b2", "c3")):
        (versions / f"{revision}.py").write_text(SCRIPT.format(revision=revision, down=down))
    return ScriptDirectory(str(versions.parent))


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def status(engine: sa.Engine, script: ScriptDirectory, **options: Any) -> DatabaseStatus:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return database_status("", context, script, SETTINGS)


def put_at(engine: sa.Engine, *revisions: str, table: str = "alembic_version") -> None:
    versions = sa.Table(table, sa.MetaData(), sa.Column("version_num", sa.String(32)))
    with engine.begin() as connection:
        versions.create(connection, checkfirst=True)
        for revision in revisions:
            connection.execute(versions.insert().values(version_num=revision))


def leave_half_done(engine: sa.Engine, mark: Mark) -> None:
    with engine.begin() as connection:
        journal = Journal(connection, "alembic_version", None)
        journal.prepare()
        journal.write(mark)


def test_an_empty_database_has_all_pending_and_stays_empty(
    engine: sa.Engine, script: ScriptDirectory
) -> None:
    """All revisions in the order they would be applied, and no table is made to find out."""
    found = status(engine, script)
    assert (found.current, found.heads, found.pending) == ((), ("c3",), ALL)
    assert not found.is_ready
    assert sa.inspect(engine).get_table_names() == []


def test_what_is_pending_comes_after_where_the_database_is(
    engine: sa.Engine, script: ScriptDirectory
) -> None:
    """Nothing that is applied already."""
    put_at(engine, "a1")
    found = status(engine, script)
    assert (found.current, found.pending) == (("a1",), ALL[1:])


def test_at_the_head_the_database_is_ready(engine: sa.Engine, script: ScriptDirectory) -> None:
    """Nothing is pending, unknown, half done or left over."""
    put_at(engine, "c3")
    found = status(engine, script)
    assert found.is_ready
    assert (found.unknown, found.runner, found.half_done, found.leftovers) == ((), "", None, ())
    assert found.lines()[1:] == ["  at          c3 (head)"]


def test_a_database_ahead_of_the_code_is_ready_for_it(
    engine: sa.Engine, script: ScriptDirectory
) -> None:
    """The release before goes on while the next one is rolled out; what is pending is not known."""
    put_at(engine, "d4")
    found = status(engine, script)
    assert (found.unknown, found.pending, found.is_ready) == (("d4",), (), True)
    assert "  ahead       d4 is unknown to this code" in found.lines()


def test_another_version_table_is_followed(engine: sa.Engine, script: ScriptDirectory) -> None:
    """As the application or its env.py names it."""
    put_at(engine, "c3", table="versions")
    assert status(engine, script, version_table="versions").is_ready
    assert not status(engine, script).is_ready


def test_a_revision_that_is_half_done_is_shown_with_its_last_statement(
    engine: sa.Engine, script: ScriptDirectory
) -> None:
    """And the command that goes on."""
    put_at(engine, "b2")
    mark = Mark("c3", downgrade=False, done=2, digest="0", last="ALTER TABLE t ADD x INT")
    leave_half_done(engine, mark)
    found = status(engine, script)
    assert found.half_done == mark
    assert not found.is_ready
    assert found.lines()[-1] == (
        "  half done   upgrade c3: 2 statements are made, the last begins"
        " 'ALTER TABLE t ADD x INT'; 'flask db upgrade' goes on from there"
    )


@pytest.mark.parametrize(("at", "is_ready"), [("c3", False), ("d4", True)])
def test_a_downgrade_half_done_concerns_the_code_that_has_the_revision(
    engine: sa.Engine, script: ScriptDirectory, at: str, is_ready: bool
) -> None:
    """Part of c3 is gone; what is undone of d4 this code never had."""
    put_at(engine, at)
    leave_half_done(engine, Mark(at, downgrade=True, done=1, digest="0"))
    assert status(engine, script).is_ready is is_ready


def test_who_migrates_is_named_and_the_lock_stays_theirs(
    engine: sa.Engine, script: ScriptDirectory
) -> None:
    """Looking neither waits for the lock nor takes it."""
    lock = backend_for(engine.dialect, SETTINGS).lock(engine, "alembic_version")
    other = backend_for(engine.dialect, SETTINGS).lock(engine, "alembic_version")
    assert lock.try_acquire()
    try:
        found = status(engine, script)
        assert found.runner
        assert f"  migrating   {found.runner}" in found.lines()
        assert not other.try_acquire()
    finally:
        lock.release()
        other.release()
    assert status(engine, script).runner == ""


def test_a_revision_under_way_is_not_waited_for(engine: sa.Engine, script: ScriptDirectory) -> None:
    """Its transaction holds tables and has moved the version already."""
    put_at(engine, "a1")
    start = time.monotonic()
    with engine.connect() as worker, worker.begin() as transaction:
        worker.execute(sa.text("UPDATE alembic_version SET version_num = 'b2'"))
        if engine.dialect.name != "mysql":  # where it would commit
            worker.execute(sa.text("CREATE TABLE t (id INTEGER)"))
        assert status(engine, script).current == ("a1",)
        transaction.rollback()
    assert time.monotonic() - start < 3


def test_a_table_that_a_batch_left_behind_is_found(
    engine: sa.Engine, script: ScriptDirectory
) -> None:
    """Alembic's copy of a table, which makes every later attempt fail."""
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE _alembic_tmp_users (id INTEGER)"))
    assert status(engine, script).leftovers == ("table _alembic_tmp_users",)


def test_an_index_whose_concurrent_build_failed_is_found(
    postgresql_url: sa.URL, script: ScriptDirectory
) -> None:
    """It costs every write and serves no read."""
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("CREATE TABLE t (x INTEGER)"))
        connection.execute(sa.text("INSERT INTO t VALUES (1), (1)"))
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(sa.text("CREATE UNIQUE INDEX CONCURRENTLY ix_t ON t (x)"))
    assert status(engine, script).leftovers == ("index ix_t is not valid: its build has failed",)


def test_the_password_is_not_shown(postgresql_url: sa.URL, script: ScriptDirectory) -> None:
    """Neither as data nor in the lines."""
    url = postgresql_url.set(password="sesame")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    found = status(engine, script)
    assert "sesame" not in f"{found} {found.lines()}"


def test_a_sqlite_file_that_is_not_there_is_not_made(
    tmp_path: Path, script: ScriptDirectory
) -> None:
    """Its status is that of an empty database."""
    url = sa.URL.create("sqlite", database=str(tmp_path / "no.db"))
    assert is_missing_file(url)
    found = status_of_nothing("", url, script)
    assert (found.current, found.pending, found.is_ready) == ((), ALL, False)
    (tmp_path / "no.db").touch()
    assert not is_missing_file(url)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://localhost/x"])
def test_other_databases_are_looked_at(url: str) -> None:
    """A database in memory has no file; a server's is not for us to judge."""
    assert not is_missing_file(sa.make_url(url))
