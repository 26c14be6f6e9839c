"""Engines from options: the defaults of each back end, and what is attached to every engine."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from flask_retort.config import Config

from . import drivers, failures, fork, mysql, pool, postgresql, reading, recovery, sqlite
from .reading import ReadingEngines, attach_to_all, refuse_writes

__all__ = [
    "ReadingEngines",
    "apply_defaults",
    "are_one_database",
    "attach_to_all",
    "begin_as_writer",
    "dispose_all",
    "drop_all",
    "make_engine",
    "refuse_writes",
]


def apply_defaults(options: dict[str, Any], *, instance_path: str | None, config: Config) -> None:
    """Complete an engine's options in place with the defaults of its back end and driver.

    What is given already stays. SQLite: a relative path is put under the instance path, which is
    created; a database in memory gets one shared connection (see :func:`make_engine` for what
    becomes of it); the busy timeout. MySQL and MariaDB: utf8mb4. All servers: ``pool_recycle`` of
    two hours, a connect timeout of ten seconds.

    :param options: arguments of ``create_engine``, with "url" as text or URL object.
    :param instance_path: folder for SQLite databases with a relative path; None: they stay relative
        to the working directory.
    :raises ConfigurationError: SQLAlchemy has no dialect of the URL's name.
    """
    url = options["url"] = make_url(options["url"])
    drivers.check_dialect(url)
    match url.get_backend_name():
        case "sqlite":
            sqlite.apply_defaults(options, instance_path, config.RETORT_SQLITE)
        case "mysql" | "mariadb":
            mysql.apply_defaults(options)
        case "postgresql":
            postgresql.apply_defaults(options, config.RETORT_POOLER)
        case _:
            pass


def make_engine(options: dict[str, Any], *, bind_key: str | None, config: Config) -> sa.Engine:
    """A new engine that has no connection yet; it lives until it is disposed or collected.

    Beyond ``create_engine`` it answers errors of connecting, of a lost connection and of an
    exhausted pool with the classes of :mod:`flask_retort.errors`; starts anew in a forked child;
    tries a server's connection that was idle; and sets up each new connection as ``RETORT_SQLITE``
    and ``RETORT_MYSQL`` say. ``engine.dispose()`` closes its connections, those in use when they
    are given back, and keeps all of this; the temporary database behind an isolated ``sqlite://``
    lives as long as the engine.

    :param options: as completed by :func:`apply_defaults`; text values are converted as
        ``sqlalchemy.engine_from_config`` does. Not changed.
    :param bind_key: named in messages; None is the default database.
    :raises ConfigurationError: the driver is not installed, or there is no such dialect.
    """
    given = options
    options = {**options, "url": make_url(options["url"])}
    drivers.check_dialect(options["url"])
    is_pysqlite = sqlite.is_pysqlite(options["url"])
    memory = sqlite.prepare(options, config.RETORT_SQLITE) if is_pysqlite else None
    ping_after_idle = None if is_pysqlite else recovery.prepare(options, config)
    pool.set_class(options, bind_key)
    engine = drivers.create_engine(options, bind_key)
    failures.translate(engine, bind_key, options.get("connect_args", {}))
    if is_pysqlite:
        sqlite.attach(engine, config.RETORT_SQLITE, memory)
    elif engine.dialect.name in ("mysql", "mariadb"):
        mysql.attach(engine, config.RETORT_MYSQL)
    if ping_after_idle is not None:
        recovery.attach(engine, ping_after_idle)
    fork.protect(engine)
    make = functools.partial(make_engine, bind_key=bind_key, config=config)
    reading.remember(engine, given, make, pooler=config.RETORT_POOLER)
    return engine


def begin_as_writer(connection: sa.Connection) -> None:
    """On SQLite, make the connection's transaction the one that writes, before it has read.

    Waits its turn among the writers, at most the busy timeout, and sends BEGIN IMMEDIATE; so what
    it reads from now on no one else can change before it writes, as a row lock does elsewhere.
    Nothing on other databases, in a transaction that has written, and with AUTOCOMMIT.

    :raises sqlalchemy.exc.OperationalError: another writer did not end within the busy timeout.
    """
    if connection.dialect.name == "sqlite":
        sqlite.begin_as_writer(connection)


def are_one_database(engines: list[sa.Engine]) -> bool:
    """Whether all the engines have the same URL; in memory, each has a database of its own."""
    urls = {engine.url for engine in engines}
    return len(urls) == 1 and not any(
        url.get_backend_name() == "sqlite" and sqlite.is_memory(url) for url in urls
    )


def drop_all(engine: sa.Engine, metadata: sa.MetaData) -> None:
    """Drop the tables of the metadata, with their rows, whatever order they refer to each other in.

    :raises sqlalchemy.exc.IntegrityError: on SQLite, another table refers to one of them.
    """
    if engine.dialect.name == "sqlite":
        sqlite.drop_tables(engine, metadata)
    else:
        metadata.drop_all(engine)


def dispose_all(engines: Mapping[str | None, sa.Engine]) -> None:
    """Close the connections of all these engines; those in use are closed when given back.

    The engines stay usable. For ``weakref.finalize``: an engine that is only collected leaves its
    connections open until the collector comes to them, of which drivers warn.
    """
    for engine in engines.values():
        engine.dispose()
