"""Fixtures of the extension's tests: an application, and a database on each back end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa

# They run in an environment of their own (./dev interop), which has the real predecessor.
collect_ignore = [] if find_spec("flask_migrate") else ["interop"]

MakeApp = Callable[..., flask.Flask]
Disposed = Callable[[sa.Engine], sa.Engine]

SERVER_FIXTURES = {"postgresql_url", "mysql_url", "postgresql_server", "mysql_server"}


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """Makes Flask applications from configuration keys; their engines are disposed at the end.

    ``make_app("shop", SQLALCHEMY_DATABASE_URI=...)``: an import name, then keys. The instance
    folder lies in the test's temporary folder. Each application gets ``TESTING=True``, and a
    SQLite database in memory unless a URL is given.
    """
    apps: list[flask.Flask] = []

    def make(import_name: str = "test", /, **config: object) -> flask.Flask:
        app = flask.Flask(import_name, instance_path=str(tmp_path / "instance"))
        app.config.update(TESTING=True, SQLALCHEMY_DATABASE_URI="sqlite://")
        app.config.update(config)
        apps.append(app)
        return app

    yield make
    for app in apps:
        _dispose_engines(app)


@pytest.fixture
def app(make_app: MakeApp) -> flask.Flask:
    """One application whose database is SQLite in memory."""
    return make_app()


@pytest.fixture
def disposed() -> Iterator[Disposed]:
    """Hands an engine back, and disposes it when the test ends.

    ``engine = disposed(make_engine(...))``
    """
    engines: list[sa.Engine] = []

    def keep(engine: sa.Engine) -> sa.Engine:
        engines.append(engine)
        return engine

    yield keep
    for engine in engines:
        engine.dispose()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks a test that asks for a server by name as ``server``."""
    for item in items:
        if SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("server")


def _dispose_engines(app: flask.Flask) -> None:
    extension = app.extensions.get("sqlalchemy")
    if extension is not None:
        with app.app_context():
            engines = list(extension.engines.values())
        for engine in engines:
            engine.dispose()
