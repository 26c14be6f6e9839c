"""A server that dies under load and comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import flask
import pytest
import sqlalchemy as sa

from flask_retort import SQLAlchemy
from flask_retort.errors import Disconnected

from .servers import OwnMariaDB, OwnPostgreSQL, OwnServer, running

THREADS = 6


@pytest.fixture(params=[OwnPostgreSQL, OwnMariaDB], ids=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    """A running server of the test's own."""
    with running(request.param) as server:
        yield server


class Load:
    """Threads that send requests until told to stop, and what they were answered, and when."""

    def __init__(self, app: flask.Flask) -> None:
        self.app = app
        self.answers: list[tuple[float, float, str]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(THREADS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        client = self.app.test_client()
        while not self._stop.is_set():
            begin = time.monotonic()
            answer = client.post("/").text
            self.answers.append((begin, time.monotonic(), answer))
            if answer != "ok":
                time.sleep(0.02)

    def wait_for(self, count: int) -> None:
        """Wait until so many more requests were answered."""
        goal = len(self.answers) + count
        while len(self.answers) < goal:
            time.sleep(0.01)


def make_view(app: flask.Flask, db: SQLAlchemy[Any]) -> None:
    """A view that reads and writes, answering ``ok`` or the class of our error."""

    class Visit(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    @app.post("/")
    def visit() -> str:
        db.session.scalar(sa.select(Visit.id).limit(1))
        db.session.add(Visit())
        db.session.commit()
        return "ok"

    @app.errorhandler(Disconnected)
    def disconnected(error: Disconnected) -> str:
        assert isinstance(error, sa.exc.OperationalError)
        return type(error).__name__

    @app.errorhandler(Exception)
    def other(error: Exception) -> str:
        return f"{type(error).__name__}: {error}"

    with app.app_context():
        db.create_all()


def test_only_requests_under_way_fail(server: OwnServer, make_app: Any) -> None:
    """While the server is away requests fail with our error; once it is back, all succeed."""
    app = make_app(SQLALCHEMY_DATABASE_URI=server.url)
    db = SQLAlchemy(app)
    make_view(app, db)
    with Load(app) as load:
        load.wait_for(200)
        killed = time.monotonic()
        server.kill()
        time.sleep(0.5)
        server.start()
        back = time.monotonic()
        load.wait_for(200)
    bad = [(begin, end, answer) for begin, end, answer in load.answers if answer != "ok"]
    assert {answer for _, _, answer in bad} <= {
        "Disconnected",
        "CannotConnect",
        "CommitOutcomeUnknown",
    }
    assert bad, "the server was away, and nobody noticed"
    assert all(end > killed for _, end, _ in bad)
    assert [answer for begin, _, answer in bad if begin > back] == []
    with app.app_context():
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_restart_between_requests_is_not_noticed(server: OwnServer, make_app: Any) -> None:
    """Connections that died in the pool are replaced before a request gets one."""
    app = make_app(SQLALCHEMY_DATABASE_URI=server.url)
    db = SQLAlchemy(app)
    make_view(app, db)
    with Load(app) as load:
        load.wait_for(100)
    server.kill()
    server.start()
    client = app.test_client()
    answers = [client.post("/").text for _ in range(10)]
    assert answers == ["ok"] * 10
