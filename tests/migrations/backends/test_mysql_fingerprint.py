"""What is found out about a statement whose client was killed while it ran."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from flask_retort.migrations.backends.mysql_fingerprint import Outcome, outcome, taken
from flask_retort.migrations.backends.mysql_statements import Statement

Run = Callable[..., None]

SCHEMA = [
    "CREATE TABLE parent (id INT PRIMARY KEY)",
    "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT DEFAULT 1, b VARCHAR(20), KEY i (a))",
    "CREATE TABLE other (id INT PRIMARY KEY)",
    "CREATE VIEW v AS SELECT id FROM t",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 5",
    "CREATE PROCEDURE p() SELECT 1",
    "CREATE FUNCTION f() RETURNS INT RETURN 1",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
    "CREATE SEQUENCE s",
    "CREATE TABLE parts (id INT PRIMARY KEY) PARTITION BY RANGE (id)"
    " (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
    "CREATE TABLE swapped (id INT PRIMARY KEY)",
    "CREATE TABLE `od``d %s :x-é` (id INT PRIMARY KEY)",
    "INSERT INTO parent VALUES (5)",
    "INSERT INTO t (b) VALUES ('x'), ('y')",
    "INSERT INTO parts VALUES (1), (11)",
]
STATEMENTS = [
    "CREATE TABLE made (id INT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS made (id INT PRIMARY KEY)",
    "CREATE TABLE made LIKE t",
    "CREATE TABLE made AS SELECT * FROM t",
    "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, c INT)",
    "CREATE TABLE {db}.made (id INT PRIMARY KEY)",
    "CREATE TABLE {db}_b.made (id INT PRIMARY KEY)",
    "ALTER TABLE t ADD COLUMN c INT",
    "ALTER TABLE `t` ADD COLUMN c INT",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS c INT",
    "ALTER TABLE t DROP COLUMN b",
    "ALTER TABLE t MODIFY a BIGINT",
    "ALTER TABLE t ALTER a SET DEFAULT 7",
    "ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a",
    "ALTER TABLE t RENAME INDEX i TO j",
    "ALTER TABLE t COMMENT 'new'",
    "ALTER TABLE t CONVERT TO CHARACTER SET latin1",
    "ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES parent (id), ADD CHECK (a > 0)",
    "ALTER TABLE t ADD INDEX (b)",
    "ALTER TABLE t RENAME TO made",
    "ALTER TABLE `od``d %s :x-é` ADD c INT",
    "SET STATEMENT lock_wait_timeout = 5 FOR ALTER TABLE t ADD COLUMN c INT",
    "RENAME TABLE parent TO x, other TO parent, x TO other",
    "RENAME TABLE t TO made",
    "RENAME TABLE t TO made, other TO t",
    "CREATE INDEX k ON t (b)",
    "CREATE UNIQUE INDEX k ON t (b)",
    "DROP INDEX i ON t",
    "DROP TABLE t",
    "DROP TABLE IF EXISTS t, missing",
    "DROP TABLE parent, other",
    "DROP TABLE {db}_b.elsewhere",
    "TRUNCATE TABLE t",
    "TRUNCATE t",
    "CREATE VIEW w AS SELECT 1 AS one",
    "CREATE OR REPLACE VIEW v AS SELECT a FROM t",
    "ALTER VIEW v AS SELECT b FROM t",
    "DROP VIEW v",
    "CREATE TRIGGER h AFTER INSERT ON t FOR EACH ROW SET @x = 1",
    "CREATE OR REPLACE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 6",
    "DROP TRIGGER g",
    "CREATE OR REPLACE PROCEDURE p() SELECT 2",
    "CREATE PROCEDURE q() BEGIN SELECT 1; SELECT 2; END",
    "ALTER PROCEDURE p COMMENT 'new'",
    "DROP PROCEDURE p",
    "CREATE FUNCTION f2() RETURNS INT RETURN 2",
    "DROP FUNCTION f",
    "CREATE EVENT e2 ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
    "ALTER EVENT e ON SCHEDULE EVERY 2 DAY",
    "DROP EVENT e",
    "CREATE SEQUENCE s2",
    "ALTER SEQUENCE s INCREMENT BY 5",
    "DROP SEQUENCE s",
    "ALTER TABLE parts DROP PARTITION p1",
    "ALTER TABLE parts ADD PARTITION (PARTITION p2 VALUES LESS THAN (30))",
    "ALTER TABLE parts TRUNCATE PARTITION p0",
    "ALTER TABLE parts EXCHANGE PARTITION p0 WITH TABLE swapped",
    "CREATE DATABASE {db}_c",
    "ALTER DATABASE {db} CHARACTER SET latin1",
    "DROP DATABASE {db}_b",
]
WITHOUT_TRACE = [
    "ANALYZE TABLE t",
    "OPTIMIZE TABLE t",
    "GRANT SELECT ON {db}.t TO CURRENT_USER",
    "ALTER TABLE t FORCE",
    "ALTER TABLE t ENGINE=InnoDB",
    "ALTER TABLE t AUTO_INCREMENT=100",
    "DROP TABLE IF EXISTS missing",
    "CREATE TABLE IF NOT EXISTS t (id INT)",
    "CREATE OR REPLACE VIEW v AS SELECT id FROM t",
    "FLUSH TABLES",
    "LOCK TABLES t WRITE",
    "COMMIT",
]
UNKNOWN = [
    "CALL p()",
    "EXECUTE IMMEDIATE 'DROP TABLE t'",
    "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END",
    "DROP TABLE t; DROP TABLE other",
    "INSERT INTO t (a) VALUES (1); DROP TABLE other",
    "SOMETHING NEW",
]


@pytest.fixture
def engine(mysql_url: sa.URL) -> Iterator[sa.Engine]:
    """Autocommit, each connection a new session; a database with something of everything in it."""
    engine = sa.create_engine(mysql_url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    run = runner(engine)
    run("CREATE DATABASE {db}_b", "CREATE TABLE {db}_b.elsewhere (id INT)", *SCHEMA)
    yield engine
    run("DROP DATABASE IF EXISTS {db}_b", "DROP DATABASE IF EXISTS {db}_c")


@pytest.fixture
def run(engine: sa.Engine) -> Run:
    """Executes statements as another session."""
    return runner(engine)


def runner(engine: sa.Engine) -> Run:
    def run(*statements: str) -> None:
        with engine.connect() as connection:
            for statement in statements:
                # Read to the end: ANALYZE has rows.
                connection.exec_driver_sql(named(engine, statement).replace("%", "%%")).close()

    return run


def named(engine: sa.Engine, statement: str) -> str:
    return statement.replace("{db}", str(engine.url.database))


def taken_before(engine: sa.Engine, statement: str) -> str:
    with engine.connect() as connection:
        return taken(connection, named(engine, statement))


def outcome_of(engine: sa.Engine, statement: str, fingerprint: str) -> Outcome:
    with engine.connect() as connection:
        return outcome(connection, named(engine, statement), fingerprint)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_took_effect_is_not_run_again_and_what_did_not_is(
    engine: sa.Engine, run: Run, statement: str
) -> None:
    """From another session, after rows came and others made and changed tables."""
    fingerprint = taken_before(engine, statement)
    run(
        "CREATE TABLE unrelated (id INT)",
        "INSERT INTO t (b) VALUES ('z')",
        "INSERT INTO other VALUES (77)",
        "ANALYZE TABLE t",
        "ALTER TABLE {db}_b.elsewhere ADD c INT" if "other" in statement else "SELECT 1",
    )
    assert outcome_of(engine, statement, fingerprint) is Outcome.NOT_DONE
    if "TABLE parent TO x" in statement:
        time.sleep(1.1)  # without a privilege only the second tells of a swap
    run(statement)
    run("CREATE TABLE unrelated_too (id INT)")
    assert outcome_of(engine, statement, fingerprint) is Outcome.DONE


@pytest.mark.parametrize("statement", WITHOUT_TRACE)
def test_what_leaves_no_trace_is_run_again(engine: sa.Engine, run: Run, statement: str) -> None:
    """A second run of these changes nothing."""
    fingerprint = taken_before(engine, statement)
    run(statement)
    assert outcome_of(engine, statement, fingerprint) is Outcome.NOT_DONE
    run(statement)


@pytest.mark.parametrize("statement", UNKNOWN)
def test_nobody_guesses_what_a_procedure_or_half_of_several_statements_did(
    engine: sa.Engine, statement: str
) -> None:
    """Neither skipping nor repeating it would be safe."""
    fingerprint = taken_before(engine, statement)
    assert outcome_of(engine, statement, fingerprint) is Outcome.UNKNOWN


def test_a_drop_of_several_tables_that_ended_halfway(engine: sa.Engine, run: Run) -> None:
    """MariaDB drops one after the other."""
    statement = "DROP TABLE parent, other"
    fingerprint = taken_before(engine, statement)
    run("DROP TABLE parent")
    assert outcome_of(engine, statement, fingerprint) is Outcome.PARTLY


def test_a_dropped_database_that_is_half_there_is_dropped_again(
    engine: sa.Engine, run: Run
) -> None:
    """Its tables go first."""
    statement = "DROP DATABASE {db}_b"
    fingerprint = taken_before(engine, statement)
    run("DROP TABLE {db}_b.elsewhere")
    assert outcome_of(engine, statement, fingerprint) is Outcome.NOT_DONE


def test_a_table_that_was_dropped_to_be_replaced_is_made(engine: sa.Engine, run: Run) -> None:
    """CREATE OR REPLACE TABLE drops first; a server that dies then has neither."""
    statement = "CREATE OR REPLACE TABLE other (id INT, c INT)"
    fingerprint = taken_before(engine, statement)
    run("DROP TABLE other")
    assert outcome_of(engine, statement, fingerprint) is Outcome.NOT_DONE


def test_tables_made_elsewhere_under_the_same_name_do_not_matter(
    engine: sa.Engine, run: Run
) -> None:
    """A statement without a schema is about the current one."""
    statement = "CREATE TABLE made (id INT)"
    fingerprint = taken_before(engine, statement)
    run("CREATE TABLE {db}_b.made (id INT)")
    assert outcome_of(engine, statement, fingerprint) is Outcome.NOT_DONE


@pytest.fixture
def unprivileged(engine: sa.Engine, run: Run) -> Iterator[sa.Engine]:
    """As a user who may do everything in the database, and may not see other users' sessions."""
    user = f"u{engine.url.database}"[:60]
    run(
        f"CREATE USER '{user}'@'%' IDENTIFIED BY 'secret'",
        f"GRANT ALL ON {{db}}.* TO '{user}'@'%'",
        f"GRANT ALL ON {{db}}_b.* TO '{user}'@'%'",
        f"GRANT CREATE, ALTER, DROP ON {{db}}_c.* TO '{user}'@'%'",
    )
    url = engine.url.set(username=user, password="secret")
    yield sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    run(f"DROP USER '{user}'@'%'")


def one_of_each_kind() -> list[str]:
    """A statement for each verb and each kind of thing."""
    kinds = {(Statement(text).verb, Statement(text).object): text for text in STATEMENTS}
    return [text for text in kinds.values() if not re.search("TRUNCATE|EXCHANGE", text)]


def test_a_user_with_rights_on_the_database_only_sees_enough(
    unprivileged: sa.Engine, run: Run
) -> None:
    """All but what needs InnoDB's numbers of tables, and the text of other users' procedures."""
    wrong: list[str] = []
    for statement in one_of_each_kind():
        fingerprint = taken_before(unprivileged, statement)
        before = outcome_of(unprivileged, statement, fingerprint)
        run(statement)
        after = outcome_of(unprivileged, statement, fingerprint)
        if (before, after) != (Outcome.NOT_DONE, Outcome.DONE):
            wrong.append(f"{statement}: {before}, {after}")
        reset(unprivileged, run)
    assert wrong == []


def reset(engine: sa.Engine, run: Run) -> None:
    """Make all of SCHEMA anew."""
    run(
        "DROP DATABASE IF EXISTS {db}_b",
        "DROP DATABASE IF EXISTS {db}_c",
        "DROP DATABASE {db}",
        "CREATE DATABASE {db}",
        "CREATE DATABASE {db}_b",
        "USE {db}",
        "CREATE TABLE {db}_b.elsewhere (id INT)",
        *SCHEMA,
    )


def test_without_the_privilege_a_truncate_is_repeated_and_an_exchange_is_not(
    unprivileged: sa.Engine, run: Run
) -> None:
    """A second TRUNCATE deletes; a second EXCHANGE would undo the first."""
    truncate = "TRUNCATE t"
    fingerprint = taken_before(unprivileged, truncate)
    run(truncate)
    assert outcome_of(unprivileged, truncate, fingerprint) is Outcome.NOT_DONE
    exchange = "ALTER TABLE parts EXCHANGE PARTITION p0 WITH TABLE swapped"
    fingerprint = taken_before(unprivileged, exchange)
    assert outcome_of(unprivileged, exchange, fingerprint) is Outcome.UNKNOWN


def test_a_privilege_that_was_granted_meanwhile_is_no_change(
    engine: sa.Engine, unprivileged: sa.Engine, run: Run
) -> None:
    """A fingerprint without numbers is compared without them."""
    fingerprint = taken_before(unprivileged, "TRUNCATE t")
    assert outcome_of(engine, "TRUNCATE t", fingerprint) is Outcome.NOT_DONE


def test_tables_that_are_not_named_cost_nothing(engine: sa.Engine, run: Run) -> None:
    """Only what the statement names is read; the rest is one list of names."""
    statement = "ALTER TABLE many_7 ADD FOREIGN KEY (id) REFERENCES t (id)"
    run("CREATE TABLE many_7 (id INT PRIMARY KEY)")
    few = statements_of(engine, statement)
    run(*(f"CREATE TABLE more_{number} (id INT) ENGINE=Aria" for number in range(50)))
    assert statements_of(engine, statement) == few <= 8


def statements_of(engine: sa.Engine, statement: str) -> int:
    executed: list[str] = []
    with engine.connect() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *a: executed.append(a[2]))
        taken(connection, statement)
    return len(executed)
