"""The models' tables on each driver, one database for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from tests.servers import new_database

from .models import Account, Country, db

DRIVERS = {
    "sqlite3": "sqlite",
    "psycopg": "postgresql+psycopg",
    "psycopg2": "postgresql+psycopg2",
    "PyMySQL": "mysql+pymysql",
    "mysqlclient": "mysql+mysqldb",
}


@pytest.fixture(
    scope="module",
    params=["sqlite3", *(pytest.param(name, marks=pytest.mark.server) for name in [*DRIVERS][1:])],
)
def driver(request: pytest.FixtureRequest) -> str:
    """The name of a driver that is installed."""
    name: str = request.param
    if name == "mysqlclient" and find_spec("MySQLdb") is None:
        pytest.skip("mysqlclient is not installed")
    return name


@pytest.fixture(scope="module")
def url(
    driver: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sa.URL]:
    """An empty database for that driver."""
    drivername = DRIVERS[driver]
    if driver == "sqlite3":
        folder: Path = tmp_path_factory.mktemp("sqlite")
        yield sa.URL.create(drivername, database=str(folder / "test.db"))
        return
    is_postgresql = drivername.startswith("postgresql")
    server = request.getfixturevalue("postgresql_server" if is_postgresql else "mysql_server")
    drop = "DROP DATABASE {name} WITH (FORCE)" if is_postgresql else "DROP DATABASE {name}"
    with new_database(server, drop) as database:
        yield database.set(drivername=drivername)


@pytest.fixture(scope="module")
def engine(url: sa.URL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    """The engine of an application whose database has the tables; its context is active."""
    app = flask.Flask(__name__, instance_path=str(tmp_path_factory.mktemp("instance")))
    app.config.update(TESTING=True, SQLALCHEMY_DATABASE_URI=url)
    db.init_app(app)
    with app.app_context():
        db.create_all()
        db.session.add(Country(id=1))
        db.session.flush()
        db.session.add_all(
            [
                Account(id=1, mail="ann@x.org", nick="ann", number=1, land=1),
                Account(id=2, mail="bob@x.org", nick="bob", number=2),
            ]
        )
        db.session.commit()
        yield db.engine
        db.session.remove()
        for opened in db.engines.values():
            opened.dispose()


@pytest.fixture
def connection(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in a transaction that is rolled back."""
    with engine.connect() as opened:
        yield opened
