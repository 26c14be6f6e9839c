"""What is said of sessions that block, and of an index that is being built."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import Disposed
from tests.migrations.programs import eventually

from flask_retort.migrations.backends import Observed
from flask_retort.migrations.backends.postgresql_sessions import _blocker, observed

SECRET = "correct-horse"


@pytest.fixture
def engine(postgresql_url: sa.URL, disposed: Disposed) -> sa.Engine:
    """An engine of a database with a table ``item`` of some rows."""
    engine = disposed(sa.create_engine(postgresql_url))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE item AS SELECT generate_series(1, 10) AS n"))
    return engine


@contextmanager
def at_work(engine: sa.Engine, statement: str) -> Iterator[int]:
    """A session that executes the statement in another thread, by its number."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        pid: int = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        thread = threading.Thread(target=connection.execute, args=(sa.text(statement),))
        thread.start()
        try:
            yield pid
        finally:
            thread.join()


def test_who_does_not_wait_has_no_blockers(engine: sa.Engine) -> None:
    """And whose session is gone has none either."""
    with engine.connect() as look:
        pid = look.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        assert observed(look, pid) == Observed()
        assert observed(look, 2**22) == Observed()


def test_who_blocks_is_named_without_its_statement(
    engine: sa.Engine, postgresql_url: sa.URL, disposed: Disposed
) -> None:
    """User, program, address, state and age: enough to find it, nothing that may be secret."""
    url = postgresql_url.update_query_dict({"application_name": "report"})
    with disposed(sa.create_engine(url)).connect() as blocker, engine.connect() as look:
        session = blocker.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        blocker.execute(sa.text(f"UPDATE item SET n = 0 WHERE '{SECRET}' <> ''"))
        look = look.execution_options(isolation_level="AUTOCOMMIT")
        with at_work(engine, f"ALTER TABLE item ADD COLUMN b text DEFAULT '{SECRET}'") as worker:
            try:
                eventually(lambda: observed(look, worker).blockers)
                (words,) = observed(look, worker).blockers
            finally:
                blocker.rollback()
        user = re.escape(str(postgresql_url.username))
        place = r"report( at [\d.:a-f]+)?"
        assert re.fullmatch(
            rf"session {session} of user {user} \({place}\), idle in transaction since \d s", words
        )
        assert SECRET not in words


def test_a_user_of_few_rights_learns_whose_session_it_is(
    engine: sa.Engine, postgresql_url: sa.URL, disposed: Disposed
) -> None:
    """What the server hides is left out."""
    role = f"few_{postgresql_url.database}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN; ALTER TABLE item OWNER TO {role}"))
    limited = disposed(sa.create_engine(postgresql_url.set(username=role)))
    try:
        with engine.connect() as blocker, limited.connect() as look:
            session = blocker.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
            blocker.execute(sa.text("LOCK TABLE item IN ACCESS SHARE MODE"))
            look = look.execution_options(isolation_level="AUTOCOMMIT")
            with at_work(limited, "ALTER TABLE item ADD COLUMN b int") as worker:
                try:
                    eventually(lambda: observed(look, worker).blockers)
                    (words,) = observed(look, worker).blockers
                finally:
                    blocker.rollback()
            assert words == f"session {session} of user {postgresql_url.username}"
    finally:
        limited.dispose()
        with engine.begin() as connection:
            connection.execute(sa.text(f"DROP OWNED BY {role}; DROP ROLE {role}"))


def test_an_index_that_waits_says_for_whom(engine: sa.Engine) -> None:
    """How many transactions have to end, and the session of the next."""
    with engine.connect() as old, engine.connect() as look:
        session = old.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        old.execute(sa.text("DELETE FROM item WHERE n = 1"))
        look = look.execution_options(isolation_level="AUTOCOMMIT")
        with at_work(engine, "CREATE INDEX CONCURRENTLY ix_item_n ON item (n)") as worker:
            try:
                eventually(lambda: observed(look, worker).blockers)
                seen = observed(look, worker)
            finally:
                old.rollback()
        assert seen.blockers[0].startswith(f"session {session} of user ")
        assert seen.detail == f"waiting for older transactions (0 of 1 ended): {seen.blockers[0]}"


def test_an_index_that_is_built_says_how_far_it_is(engine: sa.Engine) -> None:
    """In percent of what the server has to read."""
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO item SELECT generate_series(1, 2000)"))
        connection.execute(
            sa.text(
                "CREATE FUNCTION slow(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
                " $$ BEGIN PERFORM pg_sleep(0.0001); RETURN n; END $$"
            )
        )
    with engine.connect() as look:
        look = look.execution_options(isolation_level="AUTOCOMMIT")
        with at_work(engine, "CREATE INDEX ix_slow ON item (slow(n))") as worker:
            details: set[str] = set()

            def has_advanced() -> bool:
                details.add(observed(look, worker).detail)
                return len([d for d in details if d.endswith(" %")]) > 1

            eventually(has_advanced)
    known = r"|initializing|building index(: [a-z ]+)?( \d+ %)?"
    assert [detail for detail in details if not re.fullmatch(known, detail)] == []


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((0, None, None, None, None, None, None), "a prepared transaction, one of pg_prepared"),
        ((7, None, None, None, "autovacuum worker", None, None), "session 7 (autovacuum worker)"),
        ((7, None, None, None, None, None, None), "session 7"),
        ((7, "app", "", "active", "client backend", None, -1), "session 7 of user app, active sin"),
    ],
)
def test_who_is_no_ordinary_session_is_named_too(
    engine: sa.Engine, row: tuple[object, ...], words: str
) -> None:
    """A prepared transaction has no session, the server's own processes no user."""
    names = ("pid", "usename", "application_name", "state", "backend_type", "address", "seconds")
    values = [sa.literal(value).label(name) for name, value in zip(names, row, strict=True)]
    with engine.connect() as connection:
        session: Any = connection.execute(sa.select(*values)).one()
        assert _blocker(session).startswith(words)
