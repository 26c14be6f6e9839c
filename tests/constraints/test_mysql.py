"""What the errors of MySQL's and MariaDB's drivers say.

Both drivers' errors have a number and a text. The texts of MySQL, and of another language, are
those of the servers' own lists of messages; the others come from the server of the tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from pymysql.err import IntegrityError, OperationalError
from sqlalchemy import exc
from tests.servers import new_database

from flask_retort import errors
from flask_retort.constraints.diagnosis import Diagnosis
from flask_retort.constraints.mysql import diagnose


def told(number: int, text: str) -> Diagnosis:
    found = diagnose(OperationalError(number, text))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def database(mysql_server: sa.URL) -> Iterator[sa.Engine]:
    with new_database(mysql_server, "DROP DATABASE {name}") as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as opened:
            opened.exec_driver_sql(
                "CREATE TABLE t (a VARCHAR(90) UNIQUE, b INT, `it's` INT UNIQUE, kind ENUM('x'))"
            )
            opened.exec_driver_sql("INSERT INTO t VALUES ('it''s for key ''b''', 1, 1, 'x')")
        yield engine


@pytest.fixture
def connection(database: sa.Engine) -> Iterator[sa.Connection]:
    with database.connect() as opened:
        yield opened


@pytest.mark.parametrize(
    ("values", "kind", "constraint", "columns"),
    [
        ("'it''s for key ''b''', 2, 2, 'x'", errors.UniqueViolation, "a", ()),
        ("'x', 2, 1, 'x'", errors.UniqueViolation, "it's", ()),
        ("'x', 'it''s for column `c`', 2, 'x'", errors.OutOfRange, None, ("b",)),
        ("'x', 1e20, 2, 'x'", errors.OutOfRange, None, ("b",)),
        ("'x', 2, 2, 'z'", errors.OutOfRange, None, ("kind",)),
    ],
)
def test_quotes_in_values_and_names(
    connection: sa.Connection,
    values: str,
    kind: type[Exception],
    constraint: str | None,
    columns: tuple[str, ...],
) -> None:
    """A value that looks like the rest of the message is not taken for a name."""
    with pytest.raises(exc.DBAPIError) as info:
        connection.exec_driver_sql(f"INSERT INTO t VALUES ({values})")
    assert isinstance(info.value.orig, Exception)
    found = diagnose(info.value.orig)
    assert found is not None
    assert (found.kind, found.constraint, found.columns) == (kind, constraint, columns)


def test_another_language(connection: sa.Connection) -> None:
    """Kind and key are found in what a German server says."""
    connection.exec_driver_sql("SET lc_messages = 'de_DE'")
    with pytest.raises(exc.IntegrityError) as info:
        connection.exec_driver_sql("INSERT INTO t VALUES ('x', 1, 5, 'x'), ('x', 1, 6, 'x')")
    assert isinstance(info.value.orig, Exception)
    found = diagnose(info.value.orig)
    assert found is not None
    assert (found.kind, found.constraint) == (errors.UniqueViolation, "a")


def test_the_message_without_the_value() -> None:
    """The key can still be read, and the value can't."""
    found = told(1062, "Duplicate entry 'hush' for key 'token'")
    assert "hush" in found.said
    assert found.said_without_values == "(1062, \"Duplicate entry for key 'token'\")"


@pytest.mark.parametrize(
    ("number", "text", "constraint", "columns"),
    [
        (1062, "Duplicate entry 'x' for key 'users.email'", "users.email", ()),
        (1062, "Doppelter Eintrag 'x' für Schlüssel 'email'", "email", ()),
        (1062, "", None, ()),
        (3819, "Check constraint 'it's ok' is violated.", "it's ok", ()),
        (1364, "Field 'a' doesn't have a default value", None, ("a",)),
        (1048, "Feld 'a' darf nicht NULL sein", None, ("a",)),
        (1406, "Data too long for column 'a' at row 1", None, ("a",)),
        (1366, "Incorrect integer value: 'x' for column 'a' at row 1", None, ("a",)),
        (1292, "Truncated incorrect DOUBLE value: 'x'", None, ()),
    ],
)
def test_texts_of_other_servers(
    number: int, text: str, constraint: str | None, columns: tuple[str, ...]
) -> None:
    """MySQL names the table with the key; other languages leave what can be found."""
    found = told(number, text)
    assert (found.constraint, found.columns) == (constraint, columns)


@pytest.mark.parametrize(("number", "direction"), [(1216, "missing"), (1217, "referenced")])
def test_a_foreign_key_of_which_the_server_tells_no_more(number: int, direction: str) -> None:
    """It does so to a user who may not see the other table."""
    found = told(number, "Cannot delete or update a parent row: a foreign key constraint fails")
    assert (found.kind, found.direction, found.table) == (
        errors.ForeignKeyViolation,
        direction,
        None,
    )


def test_only_the_option_read_only_is_a_refused_write() -> None:
    """The number stands for any option that forbids a statement."""
    text = "The MariaDB server is running with the --{} option so it cannot execute this statement"
    assert told(1290, text.format("read-only")).kind is errors.ReadOnlyViolation
    assert diagnose(OperationalError(1290, text.format("secure-file-priv"))) is None


@pytest.mark.parametrize("args", [(), (1062,), ("text",), (1146, "Table 'd.t' doesn't exist")])
def test_other_errors_are_none_of_these(args: tuple[object, ...]) -> None:
    """Also an error without number or text."""
    assert diagnose(IntegrityError(*args)) is None
