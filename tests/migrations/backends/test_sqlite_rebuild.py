"""What a rebuild of a table by Alembic's batch mode must not lose."""

from __future__ import annotations

import sqlite3
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.migrations.backends.sqlite_databases import dump, execute, ours, plain, rows
from tests.migrations.scripts import History, migrate

from flask_retort.errors import RevisionFailed
from flask_retort.migrations.backends.sqlite_driver import Driver
from flask_retort.migrations.backends.sqlite_rebuild import Rebuilds

SCHEMA = """
CREATE TABLE people (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT,
    mail TEXT
);
CREATE TABLE log (line TEXT);
CREATE TABLE "some ""table" ("a column" TEXT, other TEXT);
INSERT INTO people VALUES (1, 'Ann', 'a@x'), (2, 'Bob', 'b@x');
"""
REBUILD = """
with op.batch_alter_table("people") as batch:
    batch.alter_column("mail", type_=sa.String(99))
"""
DROP_MAIL = """
with op.batch_alter_table("people") as batch:
    batch.drop_column("mail")
"""
TRIGGER = (
    "CREATE TRIGGER noted AFTER UPDATE OF name ON people"
    " BEGIN INSERT INTO log VALUES (new.mail); END"
)
NOTED = "UPDATE people SET name = 'Eve' WHERE id = 1"

pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    execute(path, SCHEMA)
    return path


@pytest.fixture(params=[ours, plain])
def engine(request: pytest.FixtureRequest, path: Path) -> Iterator[sa.Engine]:
    engine = request.param(path)
    yield engine
    engine.dispose()


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def rebuilt(table: str, more: str = "") -> str:
    return textwrap.dedent(
        f"""
        with op.batch_alter_table({table!r}, {more}) as batch:
            batch.alter_column("x", type_=sa.String(9))
        """
    )


def names(path: Path) -> set[str]:
    return {name for (name,) in rows(path, "SELECT name FROM sqlite_master")}


# --- triggers ----------


def test_triggers_come_back(engine: sa.Engine, path: Path, history: History) -> None:
    """They fire after the rebuild as before it."""
    execute(path, TRIGGER)
    history.add(REBUILD)
    migrate(engine, history)
    execute(path, NOTED)
    assert rows(path, "SELECT * FROM log") == [("a@x",)]


def test_a_trigger_made_in_the_same_revision_comes_back(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """Also one that was not there when the revision began."""
    history.add(f'op.execute("{TRIGGER}")\n{REBUILD}\n{REBUILD}')
    migrate(engine, history)
    assert "noted" in names(path)


@pytest.mark.parametrize(
    "drop",
    ["DROP TRIGGER noted", "drop trigger if exists main.[Noted];", " /* x */ DROP TRIGGER 'noted'"],
)
def test_a_trigger_that_the_revision_drops_stays_away(
    engine: sa.Engine, path: Path, history: History, drop: str
) -> None:
    """Before or, with IF EXISTS, after the rebuild."""
    execute(path, TRIGGER)
    before, after = ("", drop) if "if exists" in drop else (drop, "")
    history.add(f'op.execute("""{before}""")\n{REBUILD}\nop.execute("""{after}""")')
    migrate(engine, history)
    assert "noted" not in names(path)


def test_a_trigger_that_the_revision_makes_anew_is_the_new_one(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """Scripts that know of the loss make their triggers again themselves."""
    execute(path, TRIGGER)
    history.add(f'{REBUILD}\nop.execute("{TRIGGER.replace("new.mail", "new.name")}")')
    migrate(engine, history)
    execute(path, NOTED)
    assert rows(path, "SELECT * FROM log") == [("Eve",)]


def test_a_trigger_without_its_column_is_refused(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """SQLite would make it, and fail at the first UPDATE."""
    execute(path, TRIGGER)
    history.add(DROP_MAIL)
    before = dump(path)
    with pytest.raises(RevisionFailed, match=r"a trigger of people on UPDATE: no such column: new"):
        migrate(engine, history)
    assert dump(path) == before
    history.write(1, f'op.execute("DROP TRIGGER noted")\n{DROP_MAIL}')
    migrate(engine, history)
    assert names(path) == {"people", "log", 'some "table', "alembic_version"} | {
        "sqlite_autoindex_alembic_version_1"
    }


def test_a_trigger_for_a_lost_column_is_refused(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """SQLite would make it, and it would never fire."""
    execute(path, TRIGGER.replace("OF name", 'OF name, "mail"').replace("new.mail", "new.id"))
    history.add(DROP_MAIL)
    with pytest.raises(RevisionFailed, match=r"trigger noted .* no such column: mail"):
        migrate(engine, history)


def test_a_trigger_that_was_broken_before_stays_as_it_is(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """It is not the revision's fault, and comes back too."""
    execute(path, TRIGGER.replace("log", "nowhere"))
    history.add(REBUILD)
    migrate(engine, history)
    assert "noted" in names(path)


def test_a_trigger_of_another_table_that_uses_a_lost_column_is_refused(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """It is not lost, and would not work."""
    execute(
        path, "CREATE TRIGGER far AFTER INSERT ON log BEGIN UPDATE people SET mail = new.line; END"
    )
    history.add(REBUILD)
    migrate(engine, history)
    history.add(DROP_MAIL)
    with pytest.raises(RevisionFailed, match=r"a trigger of log on INSERT: no such column: mail"):
        migrate(engine, history)


def test_triggers_follow_a_table_that_gets_another_name(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """A rebuilt table is renamed with its triggers; so are its columns."""
    execute(path, TRIGGER)
    history.add(
        f'{REBUILD}\nop.rename_table("people", "persons")\n'
        'op.execute("ALTER TABLE persons RENAME COLUMN mail TO post")'
    )
    migrate(engine, history)
    execute(path, NOTED.replace("people", "persons"))
    assert rows(path, "SELECT * FROM log") == [("a@x",)]


@pytest.mark.parametrize("first", ["", REBUILD])
def test_what_goes_with_its_table_is_not_missed(
    engine: sa.Engine, path: Path, history: History, first: str
) -> None:
    """A table that is dropped and made anew by hand has no old triggers."""
    execute(path, TRIGGER)
    history.add(
        f'{first}\nop.drop_table("people")\n'
        'op.create_table("people", sa.Column("id", sa.Integer, primary_key=True))\n'
        'op.rename_table("people", "persons")'
    )
    migrate(engine, history)
    assert "noted" not in names(path)


# --- indexes ----------


def test_indexes_are_the_same(engine: sa.Engine, path: Path, history: History) -> None:
    """On expressions, descending, with a collation, partial, unique: all as they were."""
    execute(
        path,
        """
        CREATE UNIQUE INDEX on_expression ON people (lower(name), id);
        CREATE INDEX descending ON people (name DESC, id);
        CREATE INDEX with_collation ON people (name COLLATE NOCASE);
        CREATE INDEX partial ON people (name) WHERE mail > 'b';
        CREATE UNIQUE INDEX plain ON people (mail);
        """,
    )
    question = (
        "SELECT i.name, i.'unique', i.partial, x.name, x.'desc', x.coll FROM"
        " pragma_index_list('people') i, pragma_index_xinfo(i.name) x ORDER BY 1, x.seqno"
    )
    before = rows(path, question)
    assert len({row[0] for row in before}) == 5
    history.add(REBUILD)
    migrate(engine, history)
    assert rows(path, question) == before
    texts = dict(rows(path, "SELECT name, sql FROM sqlite_master"))
    assert "lower(name)" in texts["on_expression"]


def test_an_index_goes_with_its_column(engine: sa.Engine, path: Path, history: History) -> None:
    """As on every other database, dropping the column drops its indexes."""
    execute(path, "CREATE INDEX lowered ON people (lower(mail))")
    history.add(DROP_MAIL)
    migrate(engine, history)
    assert "lowered" not in names(path)


def test_an_index_dropped_in_the_batch_stays_away(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """Alembic says no DROP INDEX then, it just leaves it out."""
    execute(
        path, "CREATE INDEX plain ON people (name); CREATE INDEX lowered ON people (lower(name))"
    )
    history.add(
        'op.drop_index("lowered")\nwith op.batch_alter_table("people") as batch:\n'
        '    batch.alter_column("mail", type_=sa.String(99))\n    batch.drop_index("plain")'
    )
    migrate(engine, history)
    assert {"plain", "lowered"} & names(path) == set()


def test_an_index_that_the_rows_forbid_now_is_refused(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """The message names the index and what to do."""
    execute(path, "CREATE UNIQUE INDEX lowered ON people (lower(name))")
    history.add(f"{REBUILD}\nop.execute(\"UPDATE people SET name = 'same'\")")
    with pytest.raises(RevisionFailed, match=r"index lowered of the table people .* UNIQUE"):
        migrate(engine, history)


# --- views ----------


def test_a_view_of_the_table_is_in_nobodys_way(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """SQLite refuses the rebuild's rename when a view uses the table; here it does not."""
    execute(path, "CREATE VIEW mails AS SELECT mail FROM people")
    history.add(REBUILD)
    migrate(engine, history)
    assert rows(path, "SELECT * FROM mails") == [("a@x",), ("b@x",)]
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA legacy_alter_table").scalar() == 0


def test_a_view_that_lost_its_column_is_refused(
    engine: sa.Engine, path: Path, history: History
) -> None:
    """Unless the revision makes it anew."""
    execute(path, "CREATE VIEW mails AS SELECT mail FROM people")
    history.add(DROP_MAIL)
    before = dump(path)
    with pytest.raises(RevisionFailed, match=r"the view mails: no such column: mail"):
        migrate(engine, history)
    assert dump(path) == before
    history.write(
        1,
        f'{DROP_MAIL}\nop.execute("DROP VIEW mails")\n'
        'op.execute("CREATE VIEW mails AS SELECT name FROM people")',
    )
    migrate(engine, history)
    assert rows(path, "SELECT * FROM mails") == [("Ann",), ("Bob",)]


def test_only_the_rename_of_a_rebuild_is_lenient(path: Path) -> None:
    """Another rename checks all views, as SQLite does; the user's own choice stays."""
    engine = plain(path)
    with engine.connect() as connection:
        driver, rebuilds = Driver(connection), Rebuilds()
        for own in (0, 1):
            driver.rows(f"PRAGMA legacy_alter_table = {own}")
            for statement, lenient in (
                ('\nALTER TABLE "_alembic_tmp_some ""table""" RENAME TO "some ""table"', 1),
                ("ALTER TABLE main._alembic_tmp_people RENAME TO people", 1),
                ("ALTER TABLE people RENAME TO others", own),
            ):
                rebuilds.before(driver, statement)
                assert driver.value("PRAGMA legacy_alter_table") == lenient
                rebuilds.after(driver, statement)
                assert driver.value("PRAGMA legacy_alter_table") == own
    engine.dispose()


# --- names ----------


def test_names_that_need_quotes(engine: sa.Engine, path: Path, history: History) -> None:
    """Spaces and quotes in the name of a table, an index and a trigger."""
    execute(
        path,
        """
        CREATE TRIGGER "a trigger" AFTER INSERT ON "some ""table"
            BEGIN INSERT INTO log VALUES (new."a column"); END;
        CREATE INDEX "an ""index" ON "some ""table" ("a column" DESC);
        CREATE VIEW "a view" AS SELECT * FROM "some ""table";
        """,
    )
    before = names(path)
    history.add(
        "with op.batch_alter_table('some \"table') as batch:\n"
        "    batch.alter_column('other', type_=sa.String(9))"
    )
    migrate(engine, history)
    assert names(path) - before == {"alembic_version", "sqlite_autoindex_alembic_version_1"}
    assert "DESC" in dict(rows(path, "SELECT name, sql FROM sqlite_master"))['an "index']


def test_numbers_of_autoincrement_go_on(engine: sa.Engine, path: Path, history: History) -> None:
    """A number that was given once is not given again, although its row is gone."""
    execute(
        path,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT);
        INSERT INTO t VALUES (1, 'a'), (7, 'b');
        DELETE FROM t WHERE id = 7;
        CREATE TABLE "Empty" (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT);
        INSERT INTO "Empty" VALUES (9, 'a');
        DELETE FROM "Empty";
        """,
    )
    keep = "table_kwargs={'sqlite_autoincrement': True}"
    history.add(rebuilt("t", keep) + rebuilt("Empty", keep))
    migrate(engine, history)
    execute(path, "INSERT INTO t (x) VALUES ('c'); INSERT INTO \"Empty\" (x) VALUES ('c')")
    assert rows(path, "SELECT max(id) FROM t") == [(8,)]
    assert rows(path, 'SELECT max(id) FROM "Empty"') == [(10,)]


def test_the_driver_alone_would_lose_them(path: Path) -> None:
    """The premise: a rebuild takes triggers along, and fails with a view."""
    script = """
        CREATE TABLE _alembic_tmp_people (id INTEGER PRIMARY KEY, name TEXT, mail TEXT);
        INSERT INTO _alembic_tmp_people SELECT * FROM people;
        DROP TABLE people;
        ALTER TABLE _alembic_tmp_people RENAME TO people;
    """
    execute(path, TRIGGER)
    execute(path, script)
    assert "noted" not in names(path)
    execute(path, "CREATE VIEW mails AS SELECT mail FROM people")
    with pytest.raises(sqlite3.OperationalError, match="error in view mails"):
        execute(path, script)
