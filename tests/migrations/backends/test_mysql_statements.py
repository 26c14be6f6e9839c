"""The kind of a statement of MySQL and the names in it, from its text."""

from __future__ import annotations

import time

import pytest

from flask_retort.migrations.backends import Kind
from flask_retort.migrations.backends.mysql_statements import Statement

READS = [
    "",
    "-- nothing",
    "SELECT 1",
    "  select * from t",
    "-- a remark; with INSERT\nSELECT 1",
    "# another\nSELECT 1",
    "/* DROP TABLE t */ SELECT 1;",
    "/*+ NO_ICP(t) */ SELECT 1",
    "((SELECT 1) UNION (SELECT 2))",
    "VALUES (1)",
    "TABLE t",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "WITH a AS (SELECT 1), b AS (SELECT 'UPDATE') SELECT * FROM a, b",
    "SELECT 'it''s; DELETE', \"UPDATE\", 'it\\'s; DROP' FROM `a;b`",
    "SELECT * FROM t FOR UPDATE",
    "SHOW TABLES",
    "EXPLAIN DELETE FROM t",
    "DESC t",
    "DO SLEEP(0)",
    "USE other",
    "SET @a = 1",
    "SET SESSION sql_mode = ''",
    "SET NAMES utf8mb4",
    "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
    "/*!40101 SET NAMES utf8 */",
    "PREPARE s FROM 'SELECT 1'",
    "DEALLOCATE PREPARE s",
    "SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "ROLLBACK TO SAVEPOINT a",
    "ROLLBACK WORK TO a",
    "CREATE TEMPORARY TABLE t (id INT)",
    "CREATE OR REPLACE TEMPORARY TABLE t (id INT)",
    "DROP TEMPORARY TABLE IF EXISTS t",
]
WRITES = [
    "INSERT INTO t VALUES (1)",
    "insert into t values ('a; b')",
    "UPDATE t SET a = 1",
    "/* why */ DELETE FROM t",
    "REPLACE INTO t VALUES (1)",
    "WITH a AS (SELECT 1) DELETE FROM t WHERE id IN (SELECT * FROM a)",
    "WITH a AS (SELECT (1)) UPDATE t, a SET b = 1",
    "LOAD DATA INFILE 'f' INTO TABLE t",
    "SET STATEMENT max_statement_time = 1 FOR UPDATE t SET a = 1",
    "/*!50000 INSERT INTO t VALUES (1) */",
    "INSERT INTO t VALUES (1); -- end",
]
ALONES = [
    "CREATE TABLE t (id INT)",
    "CREATE TABLE temporary_things (id INT)",
    "create or replace table t (id int)",
    "ALTER TABLE t ADD a INT",
    "DROP TABLE t",
    "DROP TABLE `temporary`",
    "RENAME TABLE a TO b",
    "TRUNCATE t",
    "CREATE INDEX i ON t (a)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 1; SET NEW.b = 1; END",
    "CREATE DEFINER=`a`@`b` PROCEDURE p() BEGIN SELECT 1; SELECT 2; END",
    "GRANT SELECT ON t TO u",
    "REVOKE SELECT ON t FROM u",
    "ANALYZE TABLE t",
    "OPTIMIZE TABLE t",
    "REPAIR TABLE t",
    "FLUSH TABLES",
    "LOCK TABLES t WRITE",
    "UNLOCK TABLES",
    "START TRANSACTION",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "CALL p()",
    "EXECUTE s",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END",
    "SET PASSWORD FOR u = 'x'",
    "SET DEFAULT ROLE r",
    "LOAD INDEX INTO CACHE t",
    "XA START 'x'",
    "SOMETHING NEW",
    "/*!50000 ALTER TABLE t ADD a INT */",
    "/*M!100000 ALTER TABLE t ADD a INT */",
    "SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE t ADD a INT",
    "INSERT INTO t VALUES (1); DROP TABLE u",
    "SELECT 1; SELECT 2",
]


@pytest.mark.parametrize("text", READS)
def test_what_changes_nothing_or_only_the_session_is_read(text: str) -> None:
    """It is run again in a new session, as a session's settings and temporary tables are gone."""
    assert Statement(text).kind is Kind.READ


@pytest.mark.parametrize("text", WRITES)
def test_what_rolls_back_is_write(text: str) -> None:
    """Whatever stands before the verb."""
    assert Statement(text).kind is Kind.WRITE


@pytest.mark.parametrize("text", ALONES)
def test_what_commits_or_is_not_known_is_alone(text: str) -> None:
    """Taking something for a write that commits would lose what was done before it."""
    assert Statement(text).kind is Kind.ALONE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ALTER TABLE Users ADD x INT", "TABLE"),
        ("ALTER ONLINE TABLE t ADD x INT", "TABLE"),
        ("CREATE UNIQUE INDEX i ON t (a)", "INDEX"),
        ("CREATE ALGORITHM=MERGE DEFINER=`table`@`%` VIEW v AS SELECT 1", "VIEW"),
        ("CREATE OR REPLACE TRIGGER g AFTER INSERT ON t FOR EACH ROW SET @a = 1", "TRIGGER"),
        ("DROP SCHEMA s", "DATABASE"),
        ("DROP TABLES a, b", "TABLE"),
        ("TRUNCATE t", "TABLE"),
        ("CREATE USER u", "USER"),
        ("CREATE `table` (a INT)", ""),
    ],
)
def test_what_a_statement_is_about(text: str, expected: str) -> None:
    """The first word that is the name of a kind of thing; what is quoted is no such word."""
    assert Statement(text).object == expected


def test_names_are_found_however_they_are_written() -> None:
    """Bare, quoted, with their schema, with quotes in them; not those in texts and comments."""
    text = "ALTER TABLE Shop.`odd``name` ADD `a b` INT COMMENT 'texts', -- remarks\n ADD é$1 INT"
    names = Statement(text).names
    assert {"shop", "odd`name", "a b", "é$1"} <= names
    assert not {"texts", "remarks"} & names
    assert "quoted" in Statement('DROP TABLE "quoted"').names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO t VALUES (1)", "t"),
        ("INSERT IGNORE t VALUES (1)", "t"),
        ("INSERT LOW_PRIORITY INTO `T` (a) SELECT 1", "t"),
        ("REPLACE s.t VALUES (1)", "s.t"),
        ("UPDATE t SET a = 1", "t"),
        ("UPDATE t AS x SET a = 1", "t"),
        ("DELETE FROM t", "t"),
        ("DELETE QUICK FROM t WHERE a = 1", "t"),
        ("LOAD DATA LOCAL INFILE 'f' REPLACE INTO TABLE t (a)", "t"),
        ("UPDATE t, u SET u.a = 1", ""),
        ("UPDATE t JOIN u ON 1 SET u.a = 1", ""),
        ("UPDATE t x LEFT JOIN u ON 1 SET u.a = 1", ""),
        ("DELETE t FROM t JOIN u", ""),
        ("DELETE t, u FROM t JOIN u", ""),
        ("DELETE FROM t, u USING t JOIN u", ""),
        ("WITH a AS (SELECT 1) DELETE FROM t", ""),
    ],
)
def test_the_only_table_that_is_written(text: str, expected: str) -> None:
    """Nothing where there can be several."""
    assert Statement(text).written_table == expected


def test_a_statement_of_megabytes_costs_less_than_sending_it() -> None:
    """Its rows are not taken apart."""
    rows = ", ".join(f"({number}, 'te;xt', NULL)" for number in range(100_000))
    begin = time.monotonic()
    assert Statement(f"INSERT INTO t VALUES {rows}").kind is Kind.WRITE
    assert Statement(f"INSERT INTO t VALUES {rows}; DROP TABLE u").kind is Kind.ALONE
    assert time.monotonic() - begin < 2
