"""Bodies that are made while they are sent, after the request has been committed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Response, abort, has_request_context, request, send_file, stream_with_context
from tests.notes import Notes


@pytest.fixture
def notes(make_app: Any, database_url: sa.URL) -> Notes:
    """The application on each back end."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI=database_url))


@pytest.fixture
def small(make_app: Any) -> Notes:
    """The application on SQLite, for what the database has no part in."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI="sqlite:///notes.db"))


# --- bodies made while they are sent ------------------------------------------


def _naive(notes: Notes) -> Any:
    """Runs its statement in the view, and reads its rows while they are sent."""
    rows = notes.db.session.scalars(sa.select(notes.Note).order_by(notes.Note.id))
    return Response(f"{note.text};" for note in rows)


def _late(notes: Notes) -> Iterator[str]:
    """Runs its statement while it is sent."""
    for note in notes.db.session.scalars(sa.select(notes.Note).order_by(notes.Note.id)):
        yield f"{note.text};"


def _careful(notes: Notes) -> Any:
    """Has its context kept by itself."""
    return Response(stream_with_context(_late(notes)))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("make_body", [_naive, _late, _careful])
def test_a_streamed_body_has_its_session(
    notes: Notes, method: str, make_body: Callable[[Notes], Any]
) -> None:
    """It sees what its request has committed, and its connection is given back after it."""
    with notes.app.app_context():
        notes.add("one", "two")
        notes.db.session.commit()

    @notes.app.route("/", methods=["GET", "POST"])
    def view() -> Any:
        if request.method == "POST":
            notes.add("three")
            notes.db.session.flush()
        return make_body(notes)

    assert notes.ask(method).text == "one;two;" + ("three;" if method == "POST" else "")
    assert notes.ask("HEAD").text == ""


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_that_was_read_to_its_end_holds_nothing(notes: Notes, method: str) -> None:
    """A test client does not close its answers: tables could not be dropped meanwhile."""
    notes.app.route("/", methods=["GET", "POST"])(lambda: _late(notes))
    answer = notes.app.test_client().open("/", method=method)
    assert answer.text == ""
    assert notes.checked_out() == 0
    answer.close()


def test_rows_can_stay_in_the_server_until_they_are_sent(notes: Notes) -> None:
    """A GET's cursor of the server is open until its body is sent: nothing ends it before."""
    with notes.app.app_context():
        notes.add(*"abcdef")
        notes.db.session.commit()

    @notes.app.get("/")
    def view() -> Any:
        statement: Any = sa.select(notes.Note.text).order_by(notes.Note.id)
        texts = notes.db.session.scalars(statement, execution_options={"yield_per": 2})
        return Response(text for text in texts)

    assert notes.ask("GET").text == "abcdef"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_streamed_body_is_behind_the_boundary(small: Notes, method: str) -> None:
    """It has the session of its view, and in a POST its transactions are its own."""
    sessions: list[object] = []

    @small.app.route("/", methods=["GET", "POST"])
    def view() -> Iterator[str]:
        sessions.append(small.db.session())
        return body()

    def body() -> Iterator[str]:
        sessions.append(small.db.session())
        yield "a"
        if method == "POST":
            with small.db.transaction():
                small.add("late")

    assert small.ask(method).text == "a"
    assert sessions[0] is sessions[1]
    assert small.kept() == (["late"] if method == "POST" else [])


def test_a_body_that_nobody_reads_leaves_no_context_behind(small: Notes) -> None:
    """The next request, and the test itself, are in no context of the one before."""
    ended: list[str] = []

    @small.app.teardown_request
    def end(error: BaseException | None) -> None:
        ended.append(request.path)

    @small.app.get("/")
    def view() -> Iterator[str]:
        notes = small.db.session.scalars(sa.select(small.Note))
        return (f"{request.path}{note.text}" for note in notes)

    @small.app.get("/error")
    def error() -> Any:
        abort(404)

    with small.app.app_context():
        small.add("one", "two")
        small.db.session.commit()
    client = small.app.test_client()
    unread = [client.get("/"), client.get("/error")]
    assert not has_request_context()
    assert unread[0].text == "/one/two"
    unread.clear()
    assert ended == ["/", "/error"]
    gc.collect()  # a client that does not close its responses has them in cycles
    assert small.checked_out() == 0


def test_a_file_is_left_to_the_server(small: Notes) -> None:
    """It needs no session, and a server may have a way of its own to send it."""

    @small.app.get("/")
    def view() -> Response:
        small.db.session.scalars(sa.select(small.Note)).all()
        return send_file(BytesIO(b"file"), "text/plain")

    with small.app.test_client() as client:
        response = client.get("/")
        assert small.checked_out() == 0
        assert response.text == "file"


@pytest.mark.parametrize("items", [0, 1])
def test_a_body_that_is_not_read_to_its_end_gives_its_connection_back(
    small: Notes, items: int
) -> None:
    """A client may go away before the first item, or after it."""
    with small.app.app_context():
        small.add("one", "two")
        small.db.session.commit()
    small.app.get("/")(lambda: _naive(small))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.url_scheme": "http"}
    environ |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80"}
    body: Any = small.app(environ, lambda *args: lambda data: None)
    read = iter(body)
    for _ in range(items):
        next(read)
    assert small.checked_out() == 1
    body.close()
    assert small.checked_out() == 0
