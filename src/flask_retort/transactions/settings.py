"""What a transaction is begun with: isolation, read only, time limits; set for it alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, event
from sqlalchemy.orm import SessionTransaction
from sqlalchemy.pool import ConnectionPoolEntry

from flask_retort.engines import sqlite
from flask_retort.errors import ConfigurationError

Isolation = Literal["read uncommitted", "read committed", "repeatable read", "serializable"]
ISOLATION_LEVELS = ("read uncommitted", "read committed", "repeatable read", "serializable")

_RESTORED = "retort_restore"


@dataclass(frozen=True, slots=True)
class Settings:
    """What :meth:`.SQLAlchemy.transaction` was asked for.

    In a savepoint of a transaction that somebody else has begun, as a test does on the connection
    that it binds the session to, a server takes no isolation level any more, and MariaDB and MySQL
    no ``READ ONLY``. Those are left out there, so that the code under test runs.

    :param isolation: one of SQL's four levels; SQLite gives the strictest whatever is asked.
    :param read_only: the database refuses writes.
    :param lock_timeout: seconds to wait for a lock; MariaDB counts whole seconds, rounded up.
    :param statement_timeout: seconds a statement may take.
    :param resolvable: ask for the transaction's number before the commit, on PostgreSQL.
    """

    isolation: str | None = None
    read_only: bool = False
    lock_timeout: float | None = None
    statement_timeout: float | None = None
    resolvable: bool = True

    def __post_init__(self) -> None:
        if self.isolation is not None:
            level = self.isolation.lower().replace("_", " ")
            if level not in ISOLATION_LEVELS:
                raise ValueError(
                    f"isolation is {self.isolation!r}; it can be {', '.join(ISOLATION_LEVELS)}."
                )
            object.__setattr__(self, "isolation", level)
        for name in ("lock_timeout", "statement_timeout"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1_000_000:
                raise ValueError(f"{name} is {value!r}; it is a number of seconds above 0.")

    @property
    def needs_new(self) -> bool:
        """Whether they have to be there before the first statement."""
        return self != Settings(resolvable=self.resolvable)

    def apply(self, connection: Any) -> None:
        """Send them over a connection whose transaction has had no statement yet."""
        if self.needs_new:
            _APPLY[connection.dialect.name](self, connection)

    def restore(self, transaction: SessionTransaction) -> None:
        """Give connections back what does not end with the transaction by itself."""
        if self.lock_timeout is None and self.statement_timeout is None and not self.read_only:
            return
        for connection in transaction.connections:
            if not connection.invalidated:
                for restore in connection.info.pop(_RESTORED, ()):
                    restore()


def _postgresql(settings: Settings, connection: Connection) -> None:
    _set_characteristics(settings, connection)
    for name in ("lock_timeout", "statement_timeout"):
        seconds = getattr(settings, name)
        if seconds is not None:
            connection.exec_driver_sql(f"SET LOCAL {name} = {_milliseconds(seconds)}")


def _mysql(settings: Settings, connection: Connection) -> None:
    _set_characteristics(settings, connection)
    variables: dict[str, float] = {}
    if settings.lock_timeout is not None:
        variables["innodb_lock_wait_timeout"] = math.ceil(settings.lock_timeout)
    if settings.statement_timeout is not None:
        if getattr(connection.dialect, "is_mariadb", False):
            variables["max_statement_time"] = settings.statement_timeout
        else:
            variables["max_execution_time"] = _milliseconds(settings.statement_timeout)
    if variables:
        kept = [f"@retort_{name} = @@SESSION.{name}" for name in variables]
        new = [f"SESSION {name} = {value}" for name, value in variables.items()]
        old = [f"SESSION {name} = @retort_{name}" for name in variables]
        connection.exec_driver_sql(f"SET {', '.join(kept + new)}")
        _later(connection, lambda: connection.exec_driver_sql(f"SET {', '.join(old)}"))


def _set_characteristics(settings: Settings, connection: Connection) -> None:
    """Of the transaction that the next statement begins, as far as it is a new one."""
    is_joined = connection.in_nested_transaction()
    characteristics: list[str] = []
    if settings.isolation is not None and not is_joined:
        characteristics.append(f"ISOLATION LEVEL {settings.isolation.upper()}")
    if settings.read_only and not (is_joined and connection.dialect.name != "postgresql"):
        characteristics.append("READ ONLY")
    if characteristics:
        connection.exec_driver_sql(f"SET TRANSACTION {', '.join(characteristics)}")


def _sqlite(settings: Settings, connection: Connection) -> None:
    if settings.statement_timeout is not None:
        raise ConfigurationError(
            "SQLite has no limit on the time of a statement, so statement_timeout can't be kept."
            " Leave it out, or give it only where the engine is another:"
            " with db.transaction(statement_timeout=None if db.engine.dialect.name == 'sqlite' else"
            " 5). That asks the application, so it stands inside a function, not above one."
        )
    if settings.lock_timeout is not None:
        before = sqlite.set_busy_timeout(connection, settings.lock_timeout)
        _later(connection, lambda: sqlite.set_busy_timeout(connection, before))
    if settings.read_only:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        _later(connection, lambda: connection.exec_driver_sql("PRAGMA query_only = OFF"))


_APPLY = {"postgresql": _postgresql, "mysql": _mysql, "mariadb": _mysql, "sqlite": _sqlite}


def _later(connection: Connection, restore: Callable[[], object]) -> None:
    """Have it called before the transaction ends: the connection goes back to the pool then."""
    engine = connection.engine
    if not event.contains(engine, "checkin", _drop_unrestored):
        event.listen(engine, "checkin", _drop_unrestored)
    connection.info.setdefault(_RESTORED, []).append(restore)


def _drop_unrestored(connection: object, record: ConnectionPoolEntry) -> None:
    """Close a connection that was given back inside the block, by ``session.close()``."""
    if record.info.pop(_RESTORED, None) and connection is not None:
        record.invalidate()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
