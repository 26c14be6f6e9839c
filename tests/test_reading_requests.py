"""GET, HEAD and OPTIONS under ``RETORT_REQUEST_TRANSACTION``: they only read."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Response, abort, g
from sqlalchemy import exc, orm
from tests.notes import Notes

from flask_retort.errors import GuardError


@pytest.fixture
def notes(make_app: Any, database_url: sa.URL) -> Notes:
    """The application on each back end."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI=database_url))


@pytest.fixture
def small(make_app: Any) -> Notes:
    """The application on SQLite, for what the database has no part in."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI="sqlite:///notes.db"))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_methods_only_read(notes: Notes, method: str) -> None:
    """The database refuses a write, even one that the view commits; what is there can be read."""
    with notes.app.app_context():
        notes.add("there")
        notes.db.session.commit()
    refused: list[Exception] = []

    @notes.app.errorhandler(exc.DBAPIError)
    def refuse(error: Exception) -> tuple[str, int]:
        refused.append(error)
        return "", 409

    @notes.app.get("/write")
    def write() -> str:
        notes.add("written")
        notes.db.session.commit()
        return ""

    @notes.app.get("/read")
    def read() -> str:
        return " ".join(notes.db.session.scalars(sa.select(notes.Note.text)))

    with notes.db.allow("write-in-get", reason="what the database says is what the test asks"):
        assert notes.ask(method, "/write").status_code == 409
    assert len(refused) == 1
    answer = notes.ask(method, "/read")
    assert answer.text == ("there" if method == "GET" else "")
    assert answer.content_length == len("there")
    assert notes.kept() == ["there"]


def test_a_read_that_fails_gives_its_connection_back(small: Notes) -> None:
    """Also where somebody still holds its session."""
    held: list[orm.Session] = []

    @small.app.get("/")
    def read() -> str:
        held.append(small.db.session())
        held[0].scalars(sa.select(small.Note)).all()
        return ""

    @small.app.after_request
    def fail(response: Response) -> Response:
        raise ValueError

    with pytest.raises(ValueError):
        small.ask("GET")


def test_what_a_reading_request_adds_is_not_lost_unseen(small: Notes) -> None:
    """It can't be kept, so the guard tells of it as where nothing commits."""

    @small.app.get("/<kind>")
    def view(kind: str) -> Any:
        small.add("lost")
        return "" if kind == "plain" else Response(item for item in "a")

    for path in ("/plain", "/streamed"):
        with pytest.raises(GuardError, match="lost-write"):
            small.ask("GET", path)


def test_the_session_of_an_outer_context_is_left_alone_by_reads(small: Notes) -> None:
    """A test that holds a context finds its own session after a GET, with what it has loaded."""

    @small.app.get("/")
    def read() -> str:
        return str(small.db.session.scalar(sa.select(sa.func.count(small.Note.id))))

    with small.app.app_context():
        small.add("mine")
        small.db.session.commit()
        mine = small.db.session()
        note = small.db.session.scalars(sa.select(small.Note)).one()
        small.db.session.commit()
        assert small.app.test_client().get("/").text == "1"
        assert small.db.session() is mine
        assert note.text == "mine"


def test_an_outer_context_has_a_session_that_writes_after_a_read(small: Notes) -> None:
    """The session of the read does not stay in a context that goes on."""

    @small.app.get("/")
    def read() -> str:
        small.db.session.scalars(sa.select(small.Note)).all()
        return ""

    with small.app.app_context():
        small.app.test_client().get("/")
        small.add("written")
        small.db.session.commit()
    assert small.kept() == ["written"]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_teardown_functions_have_the_objects_of_the_request(notes: Notes, method: str) -> None:
    """Also after a refusal, whose rollback lets them be read again."""
    with notes.app.app_context():
        notes.add("user")
        notes.db.session.commit()
    seen = []

    @notes.app.before_request
    def load() -> None:
        g.user = notes.db.session.get(notes.Note, 1)

    @notes.app.teardown_request
    def log(error: object) -> None:
        seen.append(g.user.text)

    @notes.app.route("/", methods=["POST", "GET"])
    def view() -> str:
        abort(404)

    assert notes.ask(method).status_code == 404
    assert seen == ["user"]


def test_automatic_options_and_unknown_addresses_are_answered(small: Notes) -> None:
    """Requests without a view have no session to end."""
    small.app.post("/")(lambda: "")
    assert small.ask("OPTIONS").status_code == 200
    assert small.ask(path="/nowhere").status_code == 404
    assert small.ask("DELETE").status_code == 405
