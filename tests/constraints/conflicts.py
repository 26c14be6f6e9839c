"""What goes wrong between transactions, or with one as a whole, made to happen on each engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import sqlalchemy as sa

from flask_retort.errors import DatabaseFailure

from .models import Account, db

ONE_WRITER = "one transaction writes at a time, and waits before its first write"
NO_GIVING_UP = "the transaction goes on after an error"


def change(row: int) -> sa.Update:
    return sa.update(Account).where(Account.id == row).values(age=Account.age + 1)


def deadlock(engine: sa.Engine) -> None:
    """Two transactions change two rows in opposite order."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(engine.connect()) for _ in range(2))
        for connection, row in ((first, 1), (second, 2)):
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text("SET LOCAL deadlock_timeout = '20ms'"))
            connection.execute(change(row))
        found: list[DatabaseFailure] = []

        def cross(connection: sa.Connection, row: int) -> None:
            try:
                connection.execute(change(row))
            except DatabaseFailure as error:
                found.append(error)
            connection.rollback()

        other = threading.Thread(target=cross, args=(first, 2))
        other.start()
        cross(second, 1)
        other.join()
    (error,) = found
    raise error


def serialization(engine: sa.Engine) -> None:
    """A row is read, changed by another transaction, then changed by the first."""
    level = {"postgresql": "REPEATABLE READ"}.get(engine.dialect.name)
    with engine.connect() as reader:
        if level is not None:
            reader.execution_options(isolation_level=level)
        if engine.dialect.name == "sqlite":
            reader.exec_driver_sql("BEGIN")
        reader.execute(sa.select(Account.age).where(Account.id == 1)).all()
        with engine.begin() as writer:
            writer.execute(change(1))
        reader.execute(change(1))


def lock_timeout(engine: sa.Engine) -> None:
    """A row is changed that another transaction has changed and not committed."""
    with engine.connect() as holder, engine.connect() as waiting:
        holder.execute(change(1))
        if engine.dialect.name == "postgresql":
            waiting.execute(sa.text("SET LOCAL lock_timeout = '10ms'"))
        elif engine.dialect.name == "mysql":
            waiting.execute(sa.text("SET innodb_lock_wait_timeout = 0"))
        try:
            waiting.execute(change(1))
        finally:
            waiting.invalidate()


def nowait(engine: sa.Engine) -> None:
    """A row is locked that another transaction has locked."""
    with engine.connect() as holder, engine.connect() as asking:
        query = sa.select(Account).where(Account.id == 1)
        holder.execute(query.with_for_update())
        asking.execute(query.with_for_update(nowait=True))


def statement_timeout(engine: sa.Engine) -> None:
    """A statement runs for longer than it may."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL statement_timeout = '10ms'"))
            connection.execute(sa.text("SELECT pg_sleep(5)"))
        elif engine.dialect.name == "mysql":
            connection.execute(
                sa.text("SET STATEMENT max_statement_time = 0.01 FOR SELECT SLEEP(5)")
            )
        else:
            driver = connection.connection.dbapi_connection
            assert driver is not None
            driver.set_progress_handler(lambda: 1, 1)
            try:
                connection.execute(sa.select(Account)).all()
            finally:
                driver.set_progress_handler(None, 1)


def read_only(engine: sa.Engine) -> None:
    """A row is changed where nothing may be."""
    statement = {
        "sqlite": "PRAGMA query_only = ON",
        "postgresql": "SET TRANSACTION READ ONLY",
        "mysql": "SET SESSION TRANSACTION READ ONLY",
    }[engine.dialect.name]
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
        connection.commit() if engine.dialect.name == "mysql" else None
        try:
            connection.execute(change(1))
        finally:
            connection.invalidate()


def stale_version(engine: sa.Engine) -> None:
    """An object is changed whose row has another version by now."""
    account = db.session.get_one(Account, 1)
    db.session.execute(
        sa.update(Account.__table__).values(version=Account.version + 1)  # type: ignore[arg-type]
    )
    account.age += 1
    db.session.flush()


def after_flush(engine: sa.Engine) -> None:
    """A statement follows a flush whose error was caught, in one block."""
    with db.transaction():
        db.session.add(Account(id=3, mail="ann@x.org"))
        try:
            db.session.flush()
        except sa.exc.IntegrityError:
            db.session.scalars(sa.select(Account)).all()


def after_statement(engine: sa.Engine) -> None:
    """A statement follows one whose error was caught."""
    with engine.connect() as connection:
        for statement in ("SELECT * FROM nowhere", "SELECT 1"):
            try:
                connection.exec_driver_sql(statement)
            except sa.exc.ProgrammingError:
                continue


CONFLICTS: dict[str, Callable[[sa.Engine], None]] = {
    "deadlock": deadlock,
    "serialization": serialization,
    "lock timeout": lock_timeout,
    "lock not free": nowait,
    "statement timeout": statement_timeout,
    "read only": read_only,
    "stale version": stale_version,
    "broken session, after a flush": after_flush,
    "broken session, after a statement": after_statement,
}
