"""The labelled collection: programs that a guard must find, and such that look alike and are right.

A program is a function that does what a Flask developer does with a small shop (``models.py``):

    @must_fire("lost-write", "POST /users")
    def a_view_forgets_to_commit(shop: Shop) -> None:
        @shop.app.post("/users")
        def create_user() -> str: ...

        shop.client.post("/users")

It must end without an error of its own: the guards only count while it runs.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flask
import sqlalchemy as sa
from flask.ctx import AppContext
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from flask_retort import SQLAlchemy

from . import models, programs

Finding = tuple[str, str]
"""A guard's code, and what its message is about."""


class Shop:
    """A fresh application on a database with a few rows, for one program.

    :param url: of the database, which must hold the schema.
    :param config: further keys of the application's configuration.
    """

    def __init__(self, url: str, **config: Any) -> None:
        self.db: SQLAlchemy[Any] = models.db
        self.app = flask.Flask(models.__name__)
        self.app.config.update(TESTING=True, SQLALCHEMY_DATABASE_URI=url)
        self.app.config.update(config)
        self.db.init_app(self.app)

    @property
    def client(self) -> FlaskClient:
        """A new client each time."""
        return self.app.test_client()

    def push(self) -> AppContext:
        """An application context, as scripts and jobs have one."""
        return self.app.app_context()

    def flask(self, *arguments: str) -> None:
        """Run a command of the application's, as ``flask import-users`` does in a shell."""
        result = self.app.test_cli_runner().invoke(args=arguments)
        if result.exception is not None:
            raise result.exception

    @property
    def found(self) -> Counter[Finding]:
        """What the guards have found so far, and how often."""
        with self.push():
            return self.db.guards.reports.found


@dataclass(frozen=True)
class Program:
    """One labelled program.

    :param subject: what the finding must be about; None where nothing may be found.
    :param config: further keys of its application's configuration.
    """

    code: str
    run: Callable[[Shop], None]
    must_fire: bool
    subject: str | None = None
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.code}: {self.run.__name__}"

    @functools.cached_property
    def found(self) -> set[Finding]:
        """What the guards find when it runs."""
        with new_shop(**{"RETORT_GUARDS": "count", **self.config}) as shop:
            self.run(shop)
            return set(shop.found)

    @property
    def false_alarms(self) -> set[Finding]:
        """What was found beyond what it is labelled with, another guard's findings included."""
        return self.found - {(self.code, self.subject)} if self.must_fire else self.found

    @property
    def is_missed(self) -> bool:
        """Whether it is labelled with a finding that was not made."""
        return self.must_fire and (self.code, self.subject) not in self.found


_programs: list[Program] = []

Decorator = Callable[[Callable[[Shop], None]], Callable[[Shop], None]]


def must_fire(code: str, subject: str, **config: Any) -> Decorator:
    """The guard must report the decorated program, about the subject and about nothing else.

    :param config: further keys of the application's configuration, such as ``DEBUG=True``.
    """

    def keep(run: Callable[[Shop], None]) -> Callable[[Shop], None]:
        _programs.append(Program(code, run, must_fire=True, subject=subject, config=config))
        return run

    return keep


def must_not_fire(code: str, **config: Any) -> Decorator:
    """The decorated program looks like a mistake that the guard reports, and is right."""

    def keep(run: Callable[[Shop], None]) -> Callable[[Shop], None]:
        _programs.append(Program(code, run, must_fire=False, config=config))
        return run

    return keep


@functools.cache
def collection() -> list[Program]:
    """Every program of the folder ``programs``."""
    for module in pkgutil.iter_modules(programs.__path__):
        importlib.import_module(f"{programs.__name__}.{module.name}")
    return _programs


@contextmanager
def new_shop(**config: Any) -> Iterator[Shop]:
    """A shop on a SQLite database of its own, whose engines are disposed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shop.db")
        path.write_bytes(_filled_database())
        shop = Shop(f"sqlite:///{path}", **config)
        with shop.push():
            engines = list(shop.db.engines.values())
        try:
            yield shop
        finally:
            for engine in engines:
                engine.dispose()


@functools.cache
def _filled_database() -> bytes:
    """The file that every program starts with; making it anew would take most of the time."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    models.db.metadata.create_all(engine)
    with Session(engine) as session:
        models.fill(session)
    with closing(engine.raw_connection()) as connection:
        driver = connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        content = driver.serialize()
    engine.dispose()
    return content
