"""The real third-party packages on our ``db``: with the old import name aliased, and without.

Run in an environment of its own, which has the real Flask-SQLAlchemy too (Flask-Migrate requires
it). ``RETORT_ALIAS=1`` aliases the old import name before any package is imported; without it, the
tests of packages that need the alias are left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

import flask_retort

ALIASED = os.environ.get("RETORT_ALIAS") == "1"
if ALIASED:
    flask_retort.install_as_flask_sqlalchemy()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the alias where there is none."""
    left_out = [] if ALIASED else [item for item in items if item.get_closest_marker("needs_alias")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "needs_alias: imports or tests against the old import name")


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Applications on a SQLite file of the test's own; their connections are closed at the end."""
    apps: list[Flask] = []

    def make(**config: Any) -> Flask:
        app = Flask(
            "interop",
            instance_path=str(tmp_path / "instance"),
            root_path=str(tmp_path),
        )
        app.config.update(
            SQLALCHEMY_DATABASE_URI="sqlite:///interop.db",
            SECRET_KEY="only for tests",
            TESTING=True,
        )
        app.config.update(config)
        apps.append(app)
        return app

    yield make
    for app in apps:
        with app.app_context():
            for engine in app.extensions["sqlalchemy"].engines.values():
                engine.dispose()


@pytest.fixture
def make_db() -> Callable[[Flask], tuple[Any, Any]]:
    """A function that gives an application a ``db`` and a model ``User`` with two rows."""

    def make(app: Flask) -> tuple[Any, Any]:
        db: Any = flask_retort.SQLAlchemy(app)

        class User(db.Model):
            id = sa.Column(sa.Integer, primary_key=True)
            name = sa.Column(sa.String(30), unique=True)

        with app.app_context():
            db.create_all()
            db.session.add_all([User(name="Ada"), User(name="Grace")])
            db.session.commit()
        return db, User

    return make
