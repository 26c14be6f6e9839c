"""One small Flask application a row: the same route, the same answer, another way to the user."""

from __future__ import annotations

import importlib
import itertools
import types
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from werkzeug.test import EnvironBuilder

import flask_retort
import flask_retort.session

from .databases import USERS

TRIED = 100
"""Requests whose answers are compared before anything is timed."""

Request = Callable[[], bytes]
View = Callable[[int], str]
Config = Mapping[str, object]


class Columns:
    """The columns of "users", for the base class of whichever package maps them."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    city: Mapped[str]
    points: Mapped[int]


def bare() -> Request:
    """Flask alone; the view answers from its argument."""
    return _requests(Flask(__name__), lambda number: f"User {number}")


def raw_driver(url: sa.URL) -> Request:
    """The driver, one kept connection in autocommit: the limit."""
    connection = sa.create_engine(url, isolation_level="AUTOCOMMIT").raw_connection()
    mark = "?" if url.get_backend_name() == "sqlite" else "%s"
    query = f"SELECT id, name, email, city, points FROM users WHERE id = {mark}"

    def view(number: int) -> str:
        cursor = connection.cursor()
        cursor.execute(query, (number,))
        row = cursor.fetchone()
        cursor.close()
        if row is None:
            raise LookupError("the user is not in the database")
        return str(row[1])

    return _requests(Flask(__name__), view)


def plain_sqlalchemy(url: sa.URL) -> Request:
    """SQLAlchemy by itself, default engine, a session opened and closed by the view."""

    class Base(DeclarativeBase):
        pass

    user = _user(Base)
    session_factory: sessionmaker[Session] = sessionmaker(sa.create_engine(url))

    def view(number: int) -> str:
        with session_factory() as session:
            return _name(session.get(user, number))

    return _requests(Flask(__name__), view)


def retort(
    url: sa.URL, *, by_key: bool = True, reads_only: bool = False, config: Config | None = None
) -> Request:
    """This package, ``db.session.get`` in the view; or a view that does not touch the database.

    :param reads_only: the view does it in ``db.read_only()``.
    """

    class Base(DeclarativeBase):
        pass

    class OwnSession(flask_retort.session.Session):
        """Guards listen to the class: those of one row must not be heard in another."""

    db = flask_retort.SQLAlchemy(model_class=Base, session_options={"class_": OwnSession})
    return _extension(db, url, by_key, config or {}, reads_only=reads_only)


def flask_sqlalchemy(url: sa.URL, *, by_key: bool = True, config: Config | None = None) -> Request:
    """The predecessor, the same view.

    :raises ModuleNotFoundError: it is not installed in this environment.
    """

    class Base(DeclarativeBase):
        pass

    # By name: the development environment, where types are checked, does not have it.
    package: Any = importlib.import_module("flask_sqlalchemy")
    return _extension(package.SQLAlchemy(model_class=Base), url, by_key, config or {})


def _extension(
    db: Any, url: sa.URL, by_key: bool, config: Config, *, reads_only: bool = False
) -> Request:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config.from_mapping(config)
    db.init_app(app)
    user = _user(db.Model)

    def view(number: int) -> str:
        return _name(db.session.get(user, number))

    def reading_view(number: int) -> str:
        with db.read_only():
            return _name(db.session.get(user, number))

    if by_key:
        return _requests(app, reading_view if reads_only else view)
    return _requests(app, lambda number: f"User {number}")


def _user(base: type) -> type[Columns]:
    names = {"__tablename__": "users"}
    return types.new_class("User", (Columns, base), exec_body=lambda body: body.update(names))


def _name(user: Columns | None) -> str:
    if user is None:
        raise LookupError("the user is not in the database")
    return user.name


def _requests(app: Flask, view: View) -> Request:
    """A function that sends the next user's GET through the WSGI callable, without a socket.

    :raises AssertionError: at once, when the application does not answer as all must.
    """
    app.add_url_rule("/users/<int:number>", "user", view)
    builders = [EnvironBuilder(f"/users/{number}") for number in range(1, USERS + 1)]
    environs = itertools.cycle([builder.get_environ() for builder in builders])

    def request() -> bytes:
        chunks = app(next(environs).copy(), _start_response)
        try:
            return b"".join(chunks)
        finally:
            chunks.close()  # type: ignore[attr-defined]  # PEP 3333: where the iterable has it

    for number in range(1, TRIED + 1):
        assert request() == f"User {number}".encode()
    return request


def _start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
    assert status == "200 OK", status
    return bytes
