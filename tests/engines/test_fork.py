"""Engines in forked children, by real forks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from flask_retort.errors import Disconnected

from .conftest import MakeEngine

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")


def in_child(work: Callable[[], object], *, finalise: bool = False) -> Callable[[], None]:
    """Run it in a forked child; call the result to wait and to see that it went well.

    With ``finalise`` the child also runs what Python runs at exit (``atexit`` and finalizers).
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            if finalise:
                import atexit

                atexit._run_exitfuncs()
            code = 0
        except BaseException:  # noqa: BLE001 - printed, and reported by the exit code
            traceback.print_exc()
        finally:
            os._exit(code)

    def wait() -> None:
        assert os.waitpid(pid, 0)[1] == 0, "the child failed, see its traceback"

    return wait


SESSION = {
    "postgresql": "SELECT pg_backend_pid()",
    "mysql": "SELECT connection_id()",
    "mariadb": "SELECT connection_id()",
}


def session_id(connection: sa.Connection) -> Any:
    return connection.exec_driver_sql(SESSION[connection.dialect.name]).scalar()


def current_session(engine: sa.Engine) -> Any:
    with engine.connect() as connection:
        return session_id(connection)


def test_a_child_opens_its_own_connections(engine_for: MakeEngine, server_url: sa.URL) -> None:
    """No child uses a session of its parent's, and the parent keeps its own."""
    engine = engine_for(server_url)
    before = current_session(engine)

    def work() -> None:
        assert current_session(engine) != before
        assert current_session(engine) == current_session(engine)

    for wait in [in_child(work) for _ in range(3)]:
        wait()
    assert current_session(engine) == before


def test_a_connection_in_use_at_the_fork_is_cut_off_in_the_child(
    engine_for: MakeEngine, server_url: sa.URL
) -> None:
    """The child can neither use nor disturb the transaction that its parent has open."""
    engine = engine_for(server_url)
    with engine.begin() as connection:
        before = session_id(connection)
        connection.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO item VALUES (1)")

        def work() -> None:
            with pytest.raises(Disconnected):
                connection.exec_driver_sql("INSERT INTO item VALUES (2)")
            connection.close()
            assert current_session(engine) != before

        in_child(work)()
        connection.exec_driver_sql("INSERT INTO item VALUES (3)")
        assert session_id(connection) == before
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id FROM item ORDER BY id").scalars()
        assert list(rows) == [1, 3]


PROGRAM = """
    import os, sys
    import sqlalchemy as sa
    from flask_retort.config import Config
    from flask_retort.engines import apply_defaults, make_engine

    url, statement = sys.argv[1:]
    config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": url})
    options = config.engine_options({})[None]
    apply_defaults(options, instance_path=None, config=config)
    engine = make_engine(options, bind_key=None, config=config)

    def session():
        with engine.connect() as connection:
            return connection.exec_driver_sql(statement).scalar()

    before = session()
    busy = engine.connect()
    busy_before = busy.exec_driver_sql(statement).scalar()
    pid = os.fork()
    if pid == 0:
        sys.exit(0)  # the child ends as a program does: everything is collected
    assert os.waitpid(pid, 0)[1] == 0
    assert busy.exec_driver_sql(statement).scalar() == busy_before, "the one in use"
    busy.close()
    assert session() == before, "an idle one"
    engine.dispose()
"""


def test_the_exit_of_a_child_ends_no_session_of_its_parent(server_url: sa.URL) -> None:
    """When the child's interpreter ends, no driver says goodbye over the parent's sockets."""
    url = server_url.render_as_string(hide_password=False)
    statement = SESSION[server_url.get_backend_name()]
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM), url, statement]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_sqlite_file_is_written_by_parent_and_child(sqlite_file: sa.Engine) -> None:
    """Each has its own connection; the child's end does not disturb the parent's transaction."""
    with sqlite_file.connect() as connection:
        connection.exec_driver_sql("SELECT n FROM item").all()
        parents = connection.connection.dbapi_connection

        def work() -> None:
            with sqlite_file.begin() as mine:
                assert mine.connection.dbapi_connection is not parents
                mine.exec_driver_sql("UPDATE item SET n = n + 1")

        in_child(work)()
        in_child(work)()
        connection.rollback()
        connection.exec_driver_sql("UPDATE item SET n = n + 1")
        connection.commit()
        assert connection.exec_driver_sql("SELECT n FROM item").scalar() == 3


def test_a_database_in_memory_is_copied_by_the_fork(engine_for: MakeEngine) -> None:
    """With one shared connection the child keeps its copy of the rows."""
    engine = engine_for("sqlite://", RETORT_SQLITE={"memory": "shared"})
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE item (n INTEGER)")

    def work() -> None:
        assert sa.inspect(engine).has_table("item")

    in_child(work)()
