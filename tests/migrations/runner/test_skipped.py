"""What a script learns from its statements is true, or it is told that it can't be known."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.migrations.scripts import History, contents, engine_for, migrate

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import CannotResume, ChangedRevision, RevisionFailed
from flask_retort.migrations.progress import Event, Retrying

USERS = """
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("visits", sa.Integer, server_default="0"),
    )
    users = sa.table("users", sa.column("id"))
    op.bulk_insert(users, [{"id": n} for n in range(1, 8)])
"""
# The indentation is that of the loop, behind which more can be put.
BATCHES = """
    connection = op.get_bind()
    batch = (
        "UPDATE users SET visits = 1 WHERE id IN (SELECT id FROM"
        " (SELECT id FROM users WHERE visits = 0 ORDER BY id LIMIT 2) AS few)"
    )
    while True:
        with op.get_context().autocommit_block():
            changed = connection.execute(sa.text(batch)).rowcount
        if not changed:
            break
"""
STOPS = """
        if connection.scalar(sa.text("SELECT sum(visits) FROM users")) > 3:
            raise ValueError
"""
VISITS = sa.text("SELECT sum(visits) FROM users")


@pytest.fixture
def history(tmp_path: Path) -> History:
    """A history whose first revision makes a table with seven rows."""
    history = History(tmp_path / "history")
    history.add(USERS)
    return history


@pytest.fixture(params=["postgresql", "mysql"])
def engine(request: pytest.FixtureRequest, history: History) -> Iterator[sa.Engine]:
    """An engine on a server's database with the table."""
    engine = engine_for(request.getfixturevalue(f"{request.param}_url"))
    migrate(engine, history)
    yield engine
    engine.dispose()


def test_batches_that_meet_a_lock_go_on_to_the_last(engine: sa.Engine, history: History) -> None:
    """The batch alone is tried again; those before it are not, so that none is left out."""
    history.add(BATCHES)
    events: list[Event] = []
    settings = MigrationsConfig(wait=30, lock_timeout=1, retries=5)
    with engine.connect() as holder:
        holder.exec_driver_sql("UPDATE users SET visits = 0 WHERE id = 3")
        ending = threading.Timer(2.5, holder.rollback)
        ending.start()
        assert migrate(engine, history, settings=settings, report=events.append) == 1
        ending.join()
    assert any(isinstance(told, Retrying) for told in events)
    with engine.connect() as connection:
        assert connection.scalar(VISITS) == 7


def test_the_result_of_a_statement_made_before_is_not_invented(
    engine: sa.Engine, history: History
) -> None:
    """A script that asks for it is ended; in the database nothing has changed."""
    history.add(BATCHES + STOPS)
    with pytest.raises(RevisionFailed, match="ValueError"):
        migrate(engine, history)
    before = contents(engine)
    with pytest.raises(CannotResume, match="asks for the result of 'UPDATE users"):
        migrate(engine, history)
    assert contents(engine) == before


@pytest.mark.parametrize(
    "asks",
    [
        "result.rowcount",
        "result.lastrowid",
        "result.inserted_primary_key",
        "result.all()",
        "result.scalar_one()",
        "list(result)",
    ],
)
def test_no_question_to_such_a_result_is_answered(
    mysql_url: sa.URL, history: History, asks: str
) -> None:
    """Neither counts nor keys nor rows."""
    body = (
        "users = sa.table('users', sa.column('id'), sa.column('visits'))\n"
        "result = op.get_bind().execute(users.insert().values(visits=9))\n"
        "op.create_table('posts', sa.Column('id', sa.Integer))\n"
    )
    history.add(f"{body}op.execute('wrong')")
    engine = engine_for(mysql_url)
    with pytest.raises(RevisionFailed):
        migrate(engine, history)
    history.write(2, f"{body}{asks}")
    with pytest.raises(CannotResume):
        migrate(engine, history)
    history.write(2, f"{body}op.get_bind().execute(sa.text('SELECT 1')).scalar_one()")
    migrate(engine, history)
    engine.dispose()


class TestTheScriptCommits:
    """A script that commits by itself, whichever way."""

    @pytest.mark.parametrize("commit", ["op.execute('COMMIT')", "op.get_bind().commit()"])
    def test_what_it_committed_is_known(
        self, engine: sa.Engine, history: History, commit: str
    ) -> None:
        """The next run does not repeat it."""
        body = f"op.execute('UPDATE users SET visits = visits + 1')\n{commit}\n"
        history.add(f"{body}op.execute('wrong')")
        with pytest.raises(RevisionFailed, match="made"):
            migrate(engine, history)
        history.write(2, f"{body}op.execute('UPDATE users SET visits = visits + 10')")
        migrate(engine, history)
        with engine.connect() as connection:
            assert connection.scalar(VISITS) == 77
        assert {"alembic_version", "users"} == set(contents(engine))

    def test_an_engine_in_autocommit_is_not(self, engine: sa.Engine, history: History) -> None:
        """A revision is a transaction also where the application's statements are none."""
        history.add("op.execute('UPDATE users SET visits = visits + 1')\nraise ValueError")
        application = sa.create_engine(engine.url, isolation_level="AUTOCOMMIT")
        with pytest.raises(RevisionFailed, match="All that it did is rolled back"):
            migrate(application, history)
        with application.connect() as connection:
            connection.exec_driver_sql("UPDATE users SET visits = 1 WHERE id = 1")
        with engine.connect() as connection:
            assert connection.scalar(VISITS) == 1
        application.dispose()


def test_an_error_that_the_script_catches_is_a_step(mysql_url: sa.URL, history: History) -> None:
    """The same script goes on behind it, also where the statement failed only the first time."""
    body = """
        try:
            op.drop_table("missing")
        except sa.exc.DBAPIError:
            pass
        op.create_table("posts", sa.Column("id", sa.Integer))
        op.execute("UPDATE users SET {}")
    """
    history.add(body.format("wrong = 1"))
    engine = engine_for(mysql_url)
    with pytest.raises(RevisionFailed, match="2 statements are made"):
        migrate(engine, history)
    history.write(2, body.format("visits = 1"))
    assert migrate(engine, history) == 1
    engine.dispose()


def test_other_numbers_of_rows_are_another_script(mysql_url: sa.URL, history: History) -> None:
    """Rows that were added to a list whose rows are in the database already are not left out."""
    body = """
        op.bulk_insert(sa.table("users", sa.column("id")), [{"id": n} for n in range(10, %d)])
        op.create_table("posts", sa.Column("id", sa.Integer))
        %s
    """
    history.add(body % (12, "op.execute('wrong')"))
    engine = engine_for(mysql_url)
    with pytest.raises(RevisionFailed):
        migrate(engine, history)
    history.write(2, body % (13, "pass"))
    with pytest.raises(ChangedRevision, match="ran otherwise"):
        migrate(engine, history)
    engine.dispose()


CREATE_PROCEDURE = {
    "postgresql": (
        "CREATE PROCEDURE twice() LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE users SET visits = visits + 1; COMMIT;"
        " INSERT INTO users (id) VALUES (1); END $$"
    ),
    "mysql": (
        "CREATE PROCEDURE twice() BEGIN UPDATE users SET visits = visits + 1; COMMIT;"
        " INSERT INTO users (id) VALUES (1); END"
    ),
}


class TestProcedures:
    """A CALL can have committed a part of its work when it fails."""

    def test_it_is_neither_repeated_nor_skipped(self, engine: sa.Engine, history: History) -> None:
        """The next run leaves the decision to somebody who can look."""
        with engine.begin() as connection:
            connection.exec_driver_sql(CREATE_PROCEDURE[engine.dialect.name])
        history.add("""
            with op.get_context().autocommit_block():
                op.execute("CALL twice()")
        """)
        with pytest.raises(RevisionFailed, match="'CALL twice\\(\\)' was begun"):
            migrate(engine, history)
        with pytest.raises(RevisionFailed, match="a second run could do harm"):
            migrate(engine, history)
        with engine.connect() as connection:
            assert connection.scalar(VISITS) == 7


def test_a_reader_of_the_journal_does_not_fail_the_run(engine: sa.Engine, history: History) -> None:
    """All revisions are applied, and the empty journal goes with the next run."""
    history.add("""
        with op.get_context().autocommit_block():
            op.execute("UPDATE users SET visits = 1")
        import threading
        threading.begin_reading()
    """)
    reader = engine.connect()

    def begin_reading() -> None:
        reader.exec_driver_sql("SELECT * FROM alembic_version_steps")

    threading.begin_reading = begin_reading  # type: ignore[attr-defined]
    try:
        assert migrate(engine, history) == 1
    finally:
        del threading.begin_reading  # type: ignore[attr-defined]
        reader.close()
    history.add("pass")
    migrate(engine, history)
    assert {"alembic_version", "users"} == set(contents(engine))


def test_a_long_name_of_the_version_table_fits(mysql_url: sa.URL, tmp_path: Path) -> None:
    """The journal's name is shortened, and two long names stay different."""
    from flask_retort.migrations.runner.journal import journal_name

    names = [journal_name(letter * 63) for letter in "ab"]
    assert names[0] != names[1]
    assert max(map(len, names)) <= 63
    assert journal_name("alembic_version") == "alembic_version_steps"
