"""The keys that hold a dict: each section with its settings, their defaults and checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import checks


def about(check: checks.Check, description: str) -> dict[str, Any]:
    """What a field's metadata holds: its check, and its sentence in the documentation."""
    return {"check": check, "description": description}


@dataclass(frozen=True, slots=True)
class SQLiteConfig:
    """What ``RETORT_SQLITE`` may hold: how every SQLite database of the application is opened."""

    foreign_keys: bool = field(
        default=True, metadata=about(checks.boolean, "Enforce foreign keys.")
    )
    journal_mode: str | None = field(
        default="wal",
        metadata=about(
            checks.one_of("wal", "delete", "truncate", "persist", "memory", "off", None),
            "Journal mode of database files; None leaves it as it is. With wal, readers and a"
            " writer do not wait for each other.",
        ),
    )
    synchronous: str | None = field(
        default="normal",
        metadata=about(
            checks.one_of("off", "normal", "full", "extra", None),
            "How often SQLite waits for the disk; None leaves it as it is. normal is set only where"
            " the journal mode is wal, because elsewhere it can damage a database at power loss.",
        ),
    )
    busy_timeout: float = field(
        default=20.0,
        metadata=about(checks.seconds, "Seconds a statement waits for a lock before it fails."),
    )
    transactions: str = field(
        default="immediate",
        metadata=about(
            checks.one_of("immediate", "driver"),
            "immediate: a transaction that writes takes the write lock at its first write, in"
            " order of arrival. driver: Python's sqlite3 module decides, as it does by default.",
        ),
    )
    memory: str = field(
        default="isolated",
        metadata=about(
            checks.one_of("isolated", "shared"),
            "isolated: every session of sqlite:// has a connection of its own to one temporary"
            " database. shared: all share one connection, and each other's uncommitted rows.",
        ),
    )


@dataclass(frozen=True, slots=True)
class MySQLConfig:
    """What ``RETORT_MYSQL`` may hold: how every MySQL and MariaDB connection is set up."""

    snapshot_isolation: bool = field(
        default=True,
        metadata=about(
            checks.boolean,
            "Set innodb_snapshot_isolation where the server has it, so that a row changed by"
            " another transaction since it was read is an error and not a lost update.",
        ),
    )


@dataclass(frozen=True, slots=True)
class MigrationsConfig:
    """What ``RETORT_MIGRATIONS`` may hold: how long ``flask db`` waits, and for what."""

    wait: float = field(
        default=600.0,
        metadata=about(
            checks.seconds,
            "Seconds to wait while another process migrates the same database.",
        ),
    )
    lock_timeout: float = field(
        default=3.0,
        metadata=about(
            checks.seconds,
            "Seconds a statement of a revision waits for a lock. Whoever comes after it waits as"
            " long, readers too.",
        ),
    )
    statement_timeout: float = field(
        default=300.0,
        metadata=about(
            checks.seconds,
            "Seconds a statement of a revision may take; 0 is no limit. Statements that block"
            " nobody, such as a concurrent index, have none.",
        ),
    )
    idle_timeout: float = field(
        default=300.0,
        metadata=about(
            checks.seconds,
            "Seconds after which the server ends a revision whose process is silent; 0 is never.",
        ),
    )
    retries: int = field(
        default=5,
        metadata=about(
            checks.count,
            "How often a revision is tried again that met a lock or a deadlock.",
        ),
    )
