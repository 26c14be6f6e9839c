"""How the runner uses PostgreSQL, in short: for the tests of its back end."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from flask_retort.config_sections import MigrationsConfig
from flask_retort.migrations.backends import Kind
from flask_retort.migrations.backends.postgresql import PostgreSQL

DRIVERS = ["postgresql+psycopg", "postgresql+psycopg2"]
SETTINGS = MigrationsConfig(lock_timeout=0.6, statement_timeout=8, idle_timeout=9, wait=1)


def with_items(engine: sa.Engine) -> sa.Engine:
    """The engine, its database with a table ``item`` of ten rows, whose ``n`` is not unique."""
    with engine.begin() as connection:
        execute(connection, "CREATE TABLE item AS SELECT generate_series(1, 10) AS id, 1 AS n")
    return engine


def execute(connection: sa.Connection, statement: str) -> sa.CursorResult[Any]:
    return connection.execute(sa.text(statement))


def alone(backend: PostgreSQL, connection: sa.Connection, statement: str) -> None:
    """As the runner frames a statement that can't be rolled back."""
    assert backend.kind(statement) is Kind.ALONE
    backend.before_statement(connection, statement)
    backend.before_alone(connection, statement)
    try:
        execute(connection, statement)
        backend.after_alone(connection, statement)
    finally:
        backend.alone_ended(connection, statement)
    backend.after_statement(connection, statement)


def autocommit(engine: sa.Engine) -> sa.Connection:
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")
