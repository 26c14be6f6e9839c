"""Engines made from configuration keys, as the extension makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from flask_retort.config import Config
from flask_retort.engines import apply_defaults, make_engine

MakeEngine = Callable[..., sa.Engine]

DRIVERS = [
    "postgresql+psycopg",
    "postgresql+psycopg2",
    "mysql+pymysql",
    "mysql+mysqldb",
    "mariadb+pymysql",
    "mariadb+mysqldb",
]


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.server) for name in DRIVERS])
def server_url(request: pytest.FixtureRequest) -> sa.URL:
    """An empty database's URL for each driver under each scheme."""
    name: str = request.param
    need_driver(name.partition("+")[2])
    fixture = "postgresql_url" if name.startswith("postgresql") else "mysql_url"
    url: sa.URL = request.getfixturevalue(fixture)
    return url.set(drivername=name)


def need_driver(name: str) -> None:
    """Skip the test if the driver is not installed; mysqlclient has to be built from source."""
    module = {"mysqldb": "MySQLdb"}.get(name, name)
    if find_spec(module) is None:
        pytest.skip(f"the driver {module} is not installed")


@pytest.fixture
def engine_for(tmp_path: Path) -> Iterator[MakeEngine]:
    """``engine_for(url, options=None, bind_key=None, **keys)``; disposed at the end."""
    engines: list[sa.Engine] = []

    def make(
        url: str | sa.URL,
        options: dict[str, Any] | None = None,
        bind_key: str | None = None,
        **keys: Any,
    ) -> sa.Engine:
        config = Config.from_mapping(
            {"SQLALCHEMY_BINDS": {bind_key: {"url": url, **(options or {})}}, **keys}
        )
        raw = config.engine_options({})[bind_key]
        apply_defaults(raw, instance_path=str(tmp_path / "instance"), config=config)
        engine = make_engine(raw, bind_key=bind_key, config=config)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def sqlite_file(engine_for: MakeEngine, tmp_path: Path) -> sa.Engine:
    """A SQLite file with a table ``item (id, n)`` and one row (1, 0)."""
    engine = engine_for(f"sqlite:///{tmp_path / 'test.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE item (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
        connection.exec_driver_sql("INSERT INTO item VALUES (1, 0)")
    return engine
