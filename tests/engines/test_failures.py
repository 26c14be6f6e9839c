"""Errors of connecting and of lost connections, in our words."""

from __future__ import annotations

import pickle
import socket
import traceback
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort.errors import CannotConnect, Disconnected

from .conftest import MakeEngine
from .test_fork import current_session, session_id
from .test_recovery import end_session

SECRET = "hush-hush/7"


def failure(engine: sa.Engine) -> CannotConnect:
    with pytest.raises(CannotConnect) as info:
        engine.connect()
    error = info.value
    text = str(error)
    assert isinstance(error, exc.OperationalError)
    assert text.startswith("Can't connect to the ")
    assert text.endswith("[retort:cannot-connect]")
    assert isinstance(error.orig, BaseException)
    shown = "".join(traceback.format_exception(error))
    assert SECRET not in shown
    assert SECRET not in repr(error)
    assert "hush-hush%2F7" not in shown
    return error


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("as_bind", [None, "reports"])
def test_a_server_that_is_not_there(
    engine_for: MakeEngine, server_url: sa.URL, as_bind: str | None
) -> None:
    """Connection refused: which database, its URL without the password, what to do."""
    url = server_url.set(username="shop", password=SECRET, host="127.0.0.1", port=closed_port())
    text = str(failure(engine_for(url, None, as_bind)))
    assert ("default database" if as_bind is None else "database 'reports'") in text
    assert f"shop:***@127.0.0.1:{url.port}" in text
    assert "No server listens there" in text


def test_a_host_that_does_not_exist(engine_for: MakeEngine, server_url: sa.URL) -> None:
    """An unknown host is said to be unknown."""
    url = server_url.set(host="no-such-host.invalid", password=SECRET)
    assert "The host's name is unknown" in str(failure(engine_for(url)))


def test_a_wrong_password(
    engine_for: MakeEngine, server_url: sa.URL, request: pytest.FixtureRequest
) -> None:
    """The server refuses it: the sentence says so, without the password."""
    url = server_url.set(username="nobody_here", password=SECRET)
    text = str(failure(engine_for(url)))
    assert "no such user" in text or "User or password are wrong" in text


def test_a_database_that_does_not_exist(engine_for: MakeEngine, server_url: sa.URL) -> None:
    """An unknown database is told from a wrong password."""
    url = server_url.set(database="no_such_database")
    assert "no database of that name" in str(failure(engine_for(url)))


def test_a_folder_that_does_not_exist(engine_for: MakeEngine, tmp_path: Path) -> None:
    """SQLite's "unable to open" names the path and the likely cause."""
    text = str(failure(engine_for(f"sqlite:///{tmp_path / 'none' / 'a.db'}")))
    assert str(tmp_path) in text
    assert "folder does not exist" in text


def test_a_file_that_is_no_database(engine_for: MakeEngine, tmp_path: Path) -> None:
    """Another kind of file is not taken for a database."""
    (tmp_path / "a.db").write_bytes(b"not a database" * 100)
    assert "holds something else" in str(failure(engine_for(f"sqlite:///{tmp_path / 'a.db'}")))


def test_a_password_in_the_driver_s_own_message_is_removed(
    engine_for: MakeEngine, server_url: sa.URL
) -> None:
    """Also in the driver's error that is shown as the cause, and when it is pickled."""
    engine = engine_for(server_url.set(password=SECRET))
    driver_error = engine.dialect.loaded_dbapi.OperationalError

    @sa.event.listens_for(engine, "do_connect")
    def refuse(*args: object) -> None:
        raise driver_error(f"bad conninfo: host=h password={SECRET} dbname=d")

    error = failure(engine)
    assert "password=*** dbname" in str(error)
    assert SECRET.encode() not in pickle.dumps(str(error))


def test_a_password_that_is_also_a_name_is_removed_where_it_is_one(
    engine_for: MakeEngine, postgresql_url: sa.URL
) -> None:
    """user "shop" with password "shop": the name can be read, the password can't."""
    engine = engine_for(postgresql_url.set(username="shop", password="shop"))
    driver_error = engine.dialect.loaded_dbapi.OperationalError

    @sa.event.listens_for(engine, "do_connect")
    def refuse(*args: object) -> None:
        raise driver_error('user "shop" at postgresql://shop:shop@h, password=shop')

    text = str(failure(engine))
    assert 'user "shop" at postgresql://shop:***@h, password=***' in text


def test_a_lost_connection(engine_for: MakeEngine, server_url: sa.URL) -> None:
    """The session is ended during a transaction: our error, SQLAlchemy's data, then recovery."""
    engine = engine_for(server_url)
    with engine.connect() as connection:
        number = session_id(connection)
        end_session(server_url, number)
        with pytest.raises(Disconnected) as info:
            connection.exec_driver_sql("SELECT 'x'")
        error = info.value
        assert not isinstance(error, CannotConnect)
        assert error.connection_invalidated
        assert error.statement == "SELECT 'x'"
        assert isinstance(error.orig, engine.dialect.loaded_dbapi.Error)
        assert error.__cause__ is error.orig
        assert "The connection to the default database" in str(error)
        assert str(error).endswith("[retort:disconnected]")
        connection.rollback()
        assert session_id(connection) != number
    current_session(engine)


def test_ordinary_errors_are_sqlalchemy_s(engine_for: MakeEngine, database_url: sa.URL) -> None:
    """A statement that is wrong says what it always said."""
    engine = engine_for(database_url)
    with engine.connect() as connection, pytest.raises(exc.DBAPIError) as info:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    assert not isinstance(info.value, Disconnected)


def test_a_closed_sqlite_connection_is_a_mistake_and_not_a_disconnect(
    sqlite_file: sa.Engine,
) -> None:
    """There is no server that could have left."""
    with sqlite_file.connect() as connection:
        driver = connection.connection.dbapi_connection
        assert driver is not None
        driver.close()
        with pytest.raises(exc.ProgrammingError, match="closed database"):
            connection.exec_driver_sql("SELECT 1")
