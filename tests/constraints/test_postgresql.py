"""What the errors of PostgreSQL's drivers say."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg.errors
import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from tests.servers import new_database

from flask_retort import errors
from flask_retort.constraints.diagnosis import Diagnosis
from flask_retort.constraints.postgresql import diagnose

TABLES = """
CREATE TABLE parent (id INT PRIMARY KEY);
CREATE TABLE t (id INT PRIMARY KEY, "a b" INT, code TEXT NOT NULL, parent_id INT REFERENCES parent,
    UNIQUE ("a b", code));
INSERT INTO parent VALUES (1);
INSERT INTO t VALUES (1, 1, 'x', 1);
"""


@pytest.fixture(scope="module", params=["psycopg", "psycopg2"])
def connection(
    request: pytest.FixtureRequest, postgresql_server: sa.URL
) -> Iterator[sa.Connection]:
    drivername = f"postgresql+{request.param}"
    with new_database(postgresql_server, "DROP DATABASE {name} WITH (FORCE)") as url:
        engine = sa.create_engine(url.set(drivername=drivername), poolclass=sa.NullPool)
        with engine.connect() as opened:
            opened.exec_driver_sql(TABLES)
            yield opened


def told(connection: sa.Connection, statement: str) -> Diagnosis | None:
    savepoint = connection.begin_nested()
    with pytest.raises(exc.DBAPIError) as info:
        connection.exec_driver_sql(statement)
    savepoint.rollback()
    assert isinstance(info.value.orig, Exception)
    return diagnose(info.value.orig)


def test_names_and_values(connection: sa.Connection) -> None:
    """Table, columns and constraint; the message with the values, and without."""
    found = told(connection, "INSERT INTO t VALUES (2, 1, 'x')")
    assert found is not None
    assert (found.schema, found.table, found.columns) == ("public", "t", ("a b", "code"))
    assert found.constraint == "t_a b_code_key"
    assert "=(1, x) already exists" in found.said
    assert found.said_without_values is not None
    assert "x)" not in found.said_without_values
    assert found.said_without_values in found.said


@pytest.mark.parametrize(
    "text",
    [
        r"""'{"a": "\u0000"}'::jsonb""",
        r"""'{"a": "\ud800"}'::jsonb""",
        r"convert_from('\xff'::bytea, 'UTF8')",
    ],
)
def test_what_is_no_text_of_postgresql(connection: sa.Connection, text: str) -> None:
    """JSON, and bytes, can write more than a text can hold."""
    found = told(connection, f"SELECT {text}")
    assert found is not None
    assert found.kind is errors.OutOfRange


def test_the_row_is_never_shown(connection: sa.Connection) -> None:
    """A missing value's details hold all the others of its row."""
    found = told(connection, "INSERT INTO t VALUES (2, 1234567, NULL)")
    assert found is not None
    assert found.kind is errors.NotNullViolation
    assert found.columns == ("code",)
    assert "1234567" not in found.said


def test_the_value_of_a_wrong_type_is_left_out_where_it_must(connection: sa.Connection) -> None:
    """It stands in the message itself, and not in its details."""
    found = told(connection, "INSERT INTO t VALUES ('hush', 1, 'y')")
    assert found is not None
    assert "hush" in found.said
    assert found.said_without_values == "invalid input syntax for type integer"


@pytest.mark.parametrize(
    ("statement", "direction"),
    [
        ("INSERT INTO t VALUES (2, 2, 'y', 9)", "missing"),
        ("UPDATE t SET parent_id = 9", "missing"),
        ("DELETE FROM parent", "referenced"),
        ("UPDATE parent SET id = 2", "referenced"),
    ],
)
def test_the_direction_of_a_foreign_key(
    connection: sa.Connection, statement: str, direction: str
) -> None:
    """Both times the table is the one that has the foreign key; the direction tells them apart."""
    found = told(connection, statement)
    assert found is not None
    assert (found.table, found.constraint) == ("t", "t_parent_id_fkey")
    assert found.direction == direction


def test_a_cancelled_statement_is_a_timeout(connection: sa.Connection) -> None:
    """The server has one code for both."""
    found = told(connection, "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)")
    assert found is not None
    assert found.kind is errors.StatementTimeout


def test_other_errors_are_none_of_these(connection: sa.Connection) -> None:
    """A missing table stays what it is."""
    assert told(connection, "SELECT * FROM nowhere") is None


def test_an_error_without_diagnostics_has_its_kind() -> None:
    """One that another program has made, or that was pickled, has no more than its code."""
    found = diagnose(psycopg.errors.UniqueViolation("doppelter Schlüssel"))
    assert found == Diagnosis(errors.UniqueViolation, "doppelter Schlüssel", "doppelter Schlüssel")
