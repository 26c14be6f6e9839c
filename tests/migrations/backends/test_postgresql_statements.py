"""The kind of a statement and the names in it, from its text."""

from __future__ import annotations

import pytest

from flask_retort.migrations.backends import Kind
from flask_retort.migrations.backends.postgresql_statements import (
    CreatedIndex,
    Reindexed,
    blocks_nobody,
    created_index,
    dropped_index,
    kind,
    reindexed,
    validates,
    what_it_does,
)

READS = [
    "",
    " ; -- nothing",
    "SELECT 1",
    "  select * from t",
    "-- a remark; with INSERT\nSELECT 1",
    "/* outer /* inner */ DROP TABLE t */ SELECT 1",
    "((SELECT 1) UNION (SELECT 2))",
    "VALUES (1)",
    "TABLE t",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "SELECT 'INSERT INTO t', $$ UPDATE t $$, $x$ ; DROP $$ $x$",
    "SELECT 'it''s', E'\\'; DELETE FROM t --' FROM t",
    'SELECT "INTO", "update" FROM "DELETE"',
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t FOR NO KEY UPDATE",
    "SELECT t.delete, update FROM t",
    "SELECT EXISTS (SELECT 1 FROM information_schema.tables)",
    "SELECT to_regclass('t')",
    "SELECT pg_catalog.version()",
    "SELECT current_setting('x')",
    "SELECT set_config('x', 'y', false)",
    "SELECT nextval('s')",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT count(*) FROM t",
    "SELECT similarity(a, b) FROM t",
    "SELECT * FROM generate_series(1, 3)",
    "SELECT * FROM jsonb_array_elements('[]')",
    "SHOW lock_timeout",
    "SET LOCAL search_path = a",
    "RESET ALL",
    "LOCK TABLE t IN SHARE MODE",
    "EXPLAIN DELETE FROM t",
    "EXPLAIN ANALYZE SELECT 1",
    "COPY t TO STDOUT",
    "COPY (SELECT 1 FROM t) TO STDOUT",
    "SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "ROLLBACK TO SAVEPOINT a",
    "ROLLBACK",
    "BEGIN",
    "PREPARE p AS SELECT 1",
]
WRITES = [
    "INSERT INTO t VALUES (1)",
    "insert into t values ('; COMMIT')",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
    "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
    "WITH a AS MATERIALIZED (UPDATE t SET a = 1 RETURNING *) SELECT 1",
    "SELECT * INTO s FROM t",
    "SELECT setval('s', 3)",
    "SELECT pg_catalog.setval(pg_get_serial_sequence('t', 'id'), max(id)) FROM t",
    "SELECT create_hypertable('t', 'time')",
    "SELECT public.\"Audit\"('t')",
    "SELECT * FROM create_distributed_table('t', 'id')",
    "SELECT pg_create_restore_point('x')",
    "CREATE TABLE t (a int)",
    "CREATE INDEX i ON t (a)",
    "CREATE TABLE t (concurrent int)",
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
    "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$",
    "ALTER TABLE t ADD COLUMN a int",
    "ALTER TYPE t ADD ATTRIBUTE a int",
    "ALTER DATABASE d SET lock_timeout = 1",
    "DROP TABLE t",
    "TRUNCATE t",
    "ANALYZE t",
    "GRANT SELECT ON t TO u",
    "COMMENT ON TABLE t IS 'VACUUM'",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
    "NOTIFY channel",
    "EXECUTE p",
    "EXPLAIN ANALYZE DELETE FROM t",
    "EXPLAIN (ANALYZE, VERBOSE) UPDATE t SET a = 1",
    "COPY t FROM STDIN",
    "DO $$ BEGIN PERFORM 1; END $$",
    "SELECT 1; UPDATE t SET a = 1; SELECT 2",
    "some_extension_word",
]
ALONES = [
    "CREATE INDEX CONCURRENTLY i ON t (a)",
    "/* why */ create unique index concurrently i on t (a)",
    "DROP INDEX CONCURRENTLY i",
    "REINDEX INDEX CONCURRENTLY i",
    "REINDEX (VERBOSE) TABLE t",
    "REINDEX SYSTEM d",
    "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
    "VACUUM",
    "VACUUM (FULL) t",
    "CREATE DATABASE d",
    "DROP DATABASE d WITH (FORCE)",
    "ALTER DATABASE d SET TABLESPACE s",
    "CREATE TABLESPACE s LOCATION '/s'",
    "DROP TABLESPACE s",
    "ALTER SYSTEM SET wal_level = logical",
    "CLUSTER",
    "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
    "ALTER SUBSCRIPTION s REFRESH PUBLICATION",
    "ALTER TYPE status ADD VALUE IF NOT EXISTS 'new'",
    "CALL p()",
    "DO $$ BEGIN COMMIT; END $$",
    "DO LANGUAGE plpgsql 'BEGIN CALL p(); END'",
    "COMMIT",
    "END",
    "COMMIT PREPARED 'x'",
    "ROLLBACK PREPARED 'x'",
    "PREPARE TRANSACTION 'x'",
    "INSERT INTO t VALUES (1); COMMIT",
]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        *((statement, Kind.READ) for statement in READS),
        *((statement, Kind.WRITE) for statement in WRITES),
        *((statement, Kind.ALONE) for statement in ALONES),
    ],
)
def test_each_statement_has_its_kind(statement: str, expected: Kind) -> None:
    """The words decide, wherever comments, strings, quotes and parentheses stand."""
    assert kind(statement) is expected


@pytest.mark.parametrize("statement", [*READS, *WRITES, *ALONES])
def test_comments_and_spaces_do_not_change_the_kind(statement: str) -> None:
    """Between any two statements that differ in them only, there is no difference."""
    assert kind(f"\n/* VACUUM; */ -- COMMIT\n\t{statement}\n;;\n-- end") is kind(statement)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", CreatedIndex("i", "t", False)),
        (
            'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "a b" ON ONLY "S x"."T""t" (a)',
            CreatedIndex('"a b"', '"S x"."T""t"', True),
        ),
        (
            "create /* c */ index concurrently Mixed on Public . T(a)",
            CreatedIndex("Mixed", "Public.T", False),
        ),
        ("CREATE INDEX CONCURRENTLY if ON t (a)", CreatedIndex("if", "t", False)),
        ("CREATE INDEX CONCURRENTLY ON t (a)", None),
        ("CREATE INDEX i ON t (a)", None),
        ("DROP INDEX CONCURRENTLY i", None),
        ("", None),
    ],
)
def test_a_created_index_is_found(statement: str, expected: CreatedIndex | None) -> None:
    """Name and table stand as they are written, for the server to read them."""
    assert created_index(statement) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DROP INDEX CONCURRENTLY i", "i"),
        ('drop index concurrently if exists "S"."i" cascade', '"S"."i"'),
        ("DROP INDEX i", None),
    ],
)
def test_a_dropped_index_is_found(statement: str, expected: str | None) -> None:
    """The name stands as it is written."""
    assert dropped_index(statement) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("REINDEX INDEX CONCURRENTLY s.i", Reindexed("s.i", False)),
        ("REINDEX (VERBOSE) TABLE CONCURRENTLY t", Reindexed("t", True)),
        ("REINDEX (CONCURRENTLY) TABLE t", Reindexed("t", True)),
        ("REINDEX TABLE t", None),
        ("REINDEX SCHEMA CONCURRENTLY s", None),
    ],
)
def test_what_is_reindexed_is_found(statement: str, expected: Reindexed | None) -> None:
    """Only where it is one index or table, and concurrent."""
    assert reindexed(statement) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", True),
        ("DROP INDEX CONCURRENTLY i", True),
        ("VACUUM ANALYZE t", True),
        ("VACUUM FULL t", False),
        ("VACUUM (FULL, ANALYZE) t", False),
        ("REINDEX TABLE t", False),
        ("CLUSTER t", False),
        ("INSERT INTO t VALUES ('CONCURRENTLY')", False),
        ("SELECT 1", False),
        ("", False),
    ],
)
def test_only_what_blocks_nobody_is_without_limit(statement: str, expected: bool) -> None:
    """VACUUM FULL and a plain REINDEX keep everybody waiting, and have their limits."""
    assert blocks_nobody(statement) is expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE t VALIDATE CONSTRAINT c", True),
        ("alter table only s.t validate constraint c", True),
        ("ALTER TABLE t VALIDATE CONSTRAINT c, ADD COLUMN b int", False),
        ("ALTER TABLE t ADD CHECK (a > 0)", False),
        ("SELECT 'VALIDATE'", False),
    ],
)
def test_validating_is_seen(statement: str, expected: bool) -> None:
    """Only where the statement does nothing else, which would take a stronger lock."""
    assert validates(statement) is expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("CREATE TABLE t (a int)", "CREATE"),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", ""),
        ("DROP TABLE t", "DROP"),
        ("ALTER TABLE t ADD COLUMN a int", "ALTER ADD"),
        ("ALTER TABLE t DROP COLUMN a", "ALTER DROP"),
        ("ALTER TABLE t RENAME TO s", "ALTER RENAME"),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "ALTER DETACH"),
        ("ALTER TABLE t ALTER COLUMN a TYPE int", "ALTER"),
        ("VACUUM", ""),
    ],
)
def test_a_statement_says_what_it_does(statement: str, expected: str) -> None:
    """The word by which an error is judged when the statement is repeated."""
    assert what_it_does(statement) == expected
