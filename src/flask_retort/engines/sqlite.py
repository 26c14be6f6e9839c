"""SQLite: paths, databases in memory, and what is set on each new connection."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import time
import weakref
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool, StaticPool

from flask_retort.config_sections import SQLiteConfig
from flask_retort.errors import ConfigurationError

from .sqlite_transactions import BEGIN_AS_WRITER, TransactionalConnection, primary_code

_QUEUE_OPTIONS = ("pool_size", "max_overflow", "pool_timeout", "pool_use_lifo")


def is_pysqlite(url: URL) -> bool:
    """Whether Python's own sqlite3 module is the driver. Others are not touched."""
    return url.get_backend_name() == "sqlite" and url.get_driver_name() == "pysqlite"


def apply_defaults(
    options: dict[str, Any], instance_path: str | None, config: SQLiteConfig
) -> None:
    """Put a relative path under the instance path; one shared connection for memory; busy timeout.

    ``sqlite:///file:NAME?uri=true`` is a path for the driver's own URI form and treated alike.
    """
    url: URL = options["url"]
    if is_memory(url):
        _share_connection(options, config)
    elif instance_path is not None and url.database is not None:
        options["url"] = url.set(database=_absolute(url, url.database, instance_path))
    if is_pysqlite(url) and "timeout" not in url.query:
        options.setdefault("connect_args", {}).setdefault("timeout", config.busy_timeout)


def is_memory(url: URL) -> bool:
    """Whether the database lives in memory, and is not a file."""
    return url.database in (None, "", ":memory:", "file::memory:") or (
        url.query.get("mode") == "memory"
    )


def prepare(options: dict[str, Any], config: SQLiteConfig) -> TemporaryDatabase | None:
    """Put our connection class into the options; for an isolated memory database, a pool too.

    A connection class (``factory``) that the user gives is kept, and then the driver decides about
    transactions.

    :return: the database that stands for the one in memory; None for all others.
    """
    if config.transactions == "immediate" and "factory" not in options.get("connect_args", {}):
        connect_args = dict(options.get("connect_args", {}))
        options["connect_args"] = {**connect_args, "factory": TransactionalConnection}
    if config.memory == "shared" or not _is_isolable(options):
        return None
    options["poolclass"] = QueuePool
    # A StaticPool serves any number of users at once.
    options.setdefault("max_overflow", -1)
    return TemporaryDatabase()


def attach(engine: sa.Engine, config: SQLiteConfig, memory: TemporaryDatabase | None) -> None:
    """Set journal mode, synchronous and foreign keys on each new connection."""
    if memory is not None:
        event.listen(engine, "do_connect", memory.redirect)

    def set_up(connection: Any, record: Any) -> None:
        _set_up(connection, config, is_temporary=memory is not None)

    event.listen(engine, "connect", set_up)


def drop_tables(engine: sa.Engine, metadata: sa.MetaData) -> None:
    """Drop the tables of the metadata, also where their rows refer to each other in a circle.

    Dropping a table deletes its rows, which SQLite refuses while another row refers to them. So the
    check waits for the end of the transaction; what is outside the metadata and still refers to a
    dropped table is refused there.
    """
    # The savepoint begins the transaction in which the setting holds.
    with engine.begin() as connection, connection.begin_nested():
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        metadata.drop_all(connection)


def begin_as_writer(connection: sa.Connection) -> None:
    """Begin the transaction as writer, unless it has begun or the driver is to decide."""
    driver_connection = connection.connection.driver_connection
    if (
        isinstance(driver_connection, TransactionalConnection)
        and not driver_connection.in_transaction
    ):
        # Said as a statement, so that its error is translated and the log shows it.
        connection.exec_driver_sql(BEGIN_AS_WRITER)


def set_busy_timeout(connection: sa.Connection, seconds: float) -> float:
    """Let the connection wait so long for other writers; gives back how long it did before."""
    before: int = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {max(1, round(seconds * 1000))}")
    driver_connection = connection.connection.driver_connection
    if isinstance(driver_connection, TransactionalConnection):
        driver_connection.timeout = seconds
    return before / 1000


class TemporaryDatabase:
    """A database file that stands for one in memory, so that each session has its own connection.

    One connection for all, the only other way to share a database in memory, lets every session
    see and roll back what others have not committed. The file lies in a folder of its own that only
    this user may enter, is never synchronised to the disk, and is removed with the engine, by the
    process that made it.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._folder: str | None = None

    def redirect(self, dialect: Any, record: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Before a connection is made: put the file's path in place of ``:memory:``."""
        args[0] = os.path.join(self._made_folder(), "memory.db")

    def _made_folder(self) -> str:
        with self._mutex:
            if self._folder is None:
                self._folder = self._make_folder()
            return self._folder

    def _make_folder(self) -> str:
        try:
            folder = tempfile.mkdtemp(prefix="flask-retort-")
        except OSError as error:
            raise ConfigurationError(
                f"There is no folder for the temporary file behind sqlite://: {error}. Set TMPDIR"
                " to a folder that may be written, or let all sessions share one connection with"
                " RETORT_SQLITE = {'memory': 'shared'}.",
                code="no-temporary-folder",
            ) from error
        weakref.finalize(self, _remove, folder, os.getpid())
        return folder


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _is_isolable(options: dict[str, Any]) -> bool:
    """An unnamed database in memory that was to be shared by all threads, and by this driver."""
    url: URL = options["url"]
    is_shared = options.get("poolclass") is StaticPool
    return is_shared and not url.query and is_memory(url) and "creator" not in options


def _share_connection(options: dict[str, Any], config: SQLiteConfig) -> None:
    if "pool" in options:
        return
    options.setdefault("poolclass", StaticPool)
    if options["poolclass"] is StaticPool:
        options.setdefault("connect_args", {}).setdefault("check_same_thread", False)
        if config.memory == "shared" or options["url"].query:
            for name in _QUEUE_OPTIONS:
                options.pop(name, None)


def _absolute(url: URL, database: str, instance_path: str) -> str:
    prefix = "file:" if _is_true(url.query.get("uri")) and database.startswith("file:") else ""
    path = database[len(prefix) :]
    if not os.path.isabs(path):
        os.makedirs(instance_path, exist_ok=True)
        path = os.path.join(instance_path, path)
    return prefix + path


def _is_true(word: object) -> bool:
    return isinstance(word, str) and word.lower() in ("true", "1", "yes", "on", "t", "y")


def _set_up(connection: sqlite3.Connection, config: SQLiteConfig, *, is_temporary: bool) -> None:
    journal_mode = "wal" if is_temporary else config.journal_mode
    if journal_mode is not None:
        _set_journal_mode(connection, journal_mode, config.busy_timeout)
    if is_temporary:
        connection.execute("PRAGMA synchronous = OFF")
    elif config.synchronous is not None and (
        config.synchronous != "normal" or _pragma(connection, "journal_mode") == "wal"
    ):
        connection.execute(f"PRAGMA synchronous = {config.synchronous}")
    if config.foreign_keys:
        connection.execute("PRAGMA foreign_keys = ON")


def _set_journal_mode(connection: sqlite3.Connection, mode: str, patience: float) -> None:
    """Change the journal mode if it is another. Databases that can't have it keep their own.

    The change needs the file for itself, and SQLite does not wait for that: it answers at once that
    the database is locked. So when many open a new database together, all but one must try again.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            if _pragma(connection, "journal_mode") != mode:
                connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
            return
        except sqlite3.OperationalError as error:
            code = primary_code(error)
            if code == sqlite3.SQLITE_READONLY:
                return
            if code != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(0.005)


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
