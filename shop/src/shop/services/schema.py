"""Setting up the database."""

from __future__ import annotations

from sqlalchemy import URL, NullPool, create_engine, select, text
from sqlalchemy.exc import DBAPIError

from flask_retort import migrations
from flask_retort.errors import CannotConnect, RetortError
from flask_retort.migrations.progress import Report
from shop.db import db
from shop.errors import ShopError
from shop.models import Product, User

# By back end: a database that is always there, what finds one by name, what creates one.
_SERVERS = {
    "postgresql": (
        "postgres",
        "SELECT 1 FROM pg_database WHERE datname = :name",
        "createdb --host {host} --port {port} --username {user} {name}",
    ),
    "mysql": (
        "",
        "SELECT 1 FROM information_schema.schemata WHERE schema_name = :name",
        "mariadb --host {host} --port {port} --user {user} --password"
        ' --execute "CREATE DATABASE {name} CHARACTER SET utf8mb4"',
    ),
}
_PORTS = {"postgresql": 5432, "mysql": 3306}


def upgrade(report: Report) -> None:
    """Bring the database to the newest revision. Waits while another process does the same.

    :param report: is told of each revision.
    :raises ShopError: the server does not know the database, can't be reached or refuses, or a
        revision fails.
    """
    try:
        migrations.upgrade(report=report)
    except CannotConnect as error:
        raise ShopError(_missing(db.engine.url) or str(error)) from error
    except RetortError as error:
        raise ShopError(str(error)) from error


def is_empty() -> bool:
    """Whether there is neither a user nor a product yet."""
    return not any(db.session.scalar(select(model.id).limit(1)) for model in (User, Product))


def shown(url: URL) -> str:
    """A URL for people: without password and without query, which can hold one."""
    return url.set(query={}).render_as_string(hide_password=True)


def _missing(url: URL) -> str | None:
    """What to do where the server answers and has no such database."""
    backend = _backend(url)
    if backend is None or not _is_missing(url, backend):
        return None
    command = _SERVERS[backend][2].format(
        host=url.host or "127.0.0.1",
        port=url.port or _PORTS[backend],
        user=url.username or "USER",
        name=url.database,
    )
    return f"There is no database {url.database!r} on {url.host}. Create it: {command}"


def _is_missing(url: URL, backend: str) -> bool:
    always_there, statement, _ = _SERVERS[backend]
    try:
        return _scalar(url.set(database=always_there), statement, name=url.database) is None
    except DBAPIError:
        return False


def _backend(url: URL) -> str | None:
    name = {"mariadb": "mysql"}.get(url.get_backend_name(), url.get_backend_name())
    return name if name in _SERVERS else None


def _scalar(url: URL, statement: str, **parameters: object) -> object:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return connection.execute(text(statement), parameters).scalar()
