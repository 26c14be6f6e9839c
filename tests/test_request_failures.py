"""A request that fails keeps nothing, whoever fails: the view, a handler, or the commit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Response, abort
from sqlalchemy import exc
from tests.notes import Notes

from flask_retort import request_transactions
from flask_retort.errors import BrokenSession


@pytest.fixture
def notes(make_app: Any, database_url: sa.URL) -> Notes:
    """The application on each back end."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI=database_url))


@pytest.fixture
def small(make_app: Any) -> Notes:
    """The application on SQLite, for what the database has no part in."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI="sqlite:///notes.db"))


# --- failure ------------------------------------------------------------------


def _status(notes: Notes) -> tuple[str, int]:
    return "no", 422


def _exception(notes: Notes) -> None:
    raise ValueError


def _http_exception(notes: Notes) -> None:
    abort(409)


def _aborted_response(notes: Notes) -> None:
    abort(Response("no", 400))


def _system_exit(notes: Notes) -> None:
    raise SystemExit


def _in_after_request(notes: Notes) -> str:
    notes.app.config["FAIL_AFTER"] = True
    return ""


def _handled_as_success(notes: Notes) -> str:
    raise KeyError


def _error_in_handler(notes: Notes) -> str:
    raise LookupError


@pytest.mark.parametrize("propagate", [False, True])
@pytest.mark.parametrize(
    "fail",
    [
        _status,
        _exception,
        _http_exception,
        _aborted_response,
        _system_exit,
        _in_after_request,
        _handled_as_success,
        _error_in_handler,
    ],
)
def test_a_failure_keeps_nothing(
    small: Notes, fail: Callable[[Notes], Any], propagate: bool
) -> None:
    """Whoever fails, and whoever answers, nothing of the request is kept, flushed or not."""
    small.app.config["PROPAGATE_EXCEPTIONS"] = propagate

    @small.app.errorhandler(KeyError)
    def sorry(error: KeyError) -> str:
        return "sorry"

    @small.app.errorhandler(LookupError)
    def stumble(error: LookupError) -> str:
        small.add("by the handler")
        small.db.session.flush()
        raise ValueError

    @small.app.after_request
    def after(response: Response) -> Response:
        if small.app.config.pop("FAIL_AFTER", False):
            raise ValueError
        return response

    @small.app.post("/")
    def view() -> Any:
        small.add("flushed")
        small.db.session.flush()
        small.add("pending")
        return fail(small)

    with suppress(SystemExit, *([ValueError] if propagate else [])):
        small.ask()
    assert small.kept() == []


def test_a_failure_before_the_view_keeps_nothing(small: Notes) -> None:
    """What ``before_request`` has written goes when a later one refuses."""

    @small.app.before_request
    def write() -> None:
        small.add("before")

    @small.app.before_request
    def refuse() -> None:
        abort(403)

    assert small.ask().status_code == 403
    assert small.kept() == []


def test_a_failure_leaves_nothing_in_a_context_that_goes_on(small: Notes) -> None:
    """A test that holds a context does not commit what a request in it has left."""

    @small.app.post("/")
    def view() -> str:
        small.add("left")
        raise SystemExit

    with small.app.app_context():
        with pytest.raises(SystemExit):
            small.app.test_client().post("/")
        with small.db.transaction():
            small.add("own")
    assert small.kept() == ["own"]


def test_the_error_of_an_exempt_view_is_its_own_business(small: Notes) -> None:
    """Its handler finds the session as the view has left it."""

    @small.app.errorhandler(ValueError)
    def commit(error: ValueError) -> str:
        small.db.session.commit()
        return ""

    @small.app.post("/")
    @request_transactions.exempt
    def view() -> str:
        small.add("view")
        raise ValueError

    small.ask()
    assert small.kept() == ["view"]


def test_a_view_may_remove_its_session(small: Notes) -> None:
    """There is nothing left to commit or to roll back then."""

    @small.app.post("/<int:status>")
    def view(status: int) -> tuple[str, int]:
        small.add("removed")
        small.db.session.remove()
        return "", status

    assert [small.ask(path=path).status_code for path in ("/200", "/400")] == [200, 400]
    assert small.kept() == []


def test_an_error_handler_has_a_transaction_of_its_own(notes: Notes) -> None:
    """What it writes is kept if its answer is a success, without what the view has written."""

    @notes.app.errorhandler(ValueError)
    def note_it(error: ValueError) -> tuple[str, int]:
        notes.add(f"failed with {error}")
        return "", int(str(error))

    @notes.app.post("/<int:status>")
    def view(status: int) -> str:
        notes.add("view")
        notes.db.session.flush()
        raise ValueError(status)

    notes.ask(path="/200")
    notes.ask(path="/400")
    assert notes.kept() == ["failed with 200"]


def test_the_half_that_is_left_after_a_caught_error_is_not_committed(notes: Notes) -> None:
    """Where the error's rollback took writes from before it along, the request is not whole."""
    errors = _answering(notes, BrokenSession)

    @notes.app.post("/<first>")
    def view(first: str) -> str:
        if first != "nothing":
            notes.add(first)
            notes.db.session.flush()
        try:
            notes.add("twice", "twice")
            notes.db.session.flush()
        except exc.IntegrityError:
            pass
        notes.add("after")
        return ""

    notes.ask(path="/something")
    assert notes.kept() == []
    assert [type(error) for error in errors] == [BrokenSession]
    assert notes.ask(path="/nothing").status_code == 200
    assert notes.kept() == ["after"]


# --- a commit that fails ------------------------------------------------------


def _answering(notes: Notes, kind: type[Exception]) -> list[BaseException]:
    """Errors of the class that the application's own handler has answered with 409."""
    errors: list[BaseException] = []

    @notes.app.errorhandler(kind)
    def answer(error: Exception) -> tuple[str, int]:
        errors.append(error)
        return "refused", 409

    return errors


def _refused_at_commit(notes: Notes) -> None:
    """Each POST adds a note that answers one that does not exist; COMMIT finds that out."""

    @notes.app.post("/")
    def view() -> str:
        notes.add("lost", answers=4711)
        notes.db.session.flush()
        return "written"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def deferring(request: pytest.FixtureRequest, make_app: Any) -> Notes:
    """The application on the back ends that check foreign keys at COMMIT if asked to."""
    url: Any = "sqlite:///notes.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    return Notes(make_app(SQLALCHEMY_DATABASE_URI=url))


def test_a_refused_commit_is_answered_by_the_applications_handler(deferring: Notes) -> None:
    """It is an error like one of the view, and ``after_request`` functions see its answer."""
    errors = _answering(deferring, exc.IntegrityError)
    _refused_at_commit(deferring)
    statuses: list[int] = []

    @deferring.app.after_request
    def note_status(response: Response) -> Response:
        statuses.append(response.status_code)
        return response

    response = deferring.ask()
    assert (response.status_code, response.text) == (409, "refused")
    assert statuses == [200, 409]
    assert len(errors) == 1
    assert deferring.kept() == []


def test_a_refused_commit_without_handler_is_a_500_or_propagates(deferring: Notes) -> None:
    """In testing it comes out of the client, elsewhere it is a 500, never the view's answer."""
    _refused_at_commit(deferring)
    with pytest.raises(exc.IntegrityError):
        deferring.ask()
    deferring.app.config["PROPAGATE_EXCEPTIONS"] = False
    assert deferring.ask().status_code == 500
    assert deferring.kept() == []


def test_a_handler_of_a_refused_commit_may_write(deferring: Notes) -> None:
    """What it writes is committed if it answers with a success."""

    @deferring.app.errorhandler(exc.IntegrityError)
    def answer(error: Exception) -> str:
        deferring.add("refused")
        return "noted"

    _refused_at_commit(deferring)
    assert deferring.ask().text == "noted"
    assert deferring.kept() == ["refused"]


@pytest.fixture(params=["postgresql_url", "mysql_url"])
def served(request: pytest.FixtureRequest, make_app: Any) -> Notes:
    """The application on the servers."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI=request.getfixturevalue(request.param)))


@pytest.mark.server
@pytest.mark.parametrize("status", [200, 400])
def test_a_connection_lost_at_the_end_is_an_error_of_a_success_only(
    served: Notes, status: int
) -> None:
    """COMMIT on a lost connection is an error; a rollback has nothing left to do."""
    errors = _answering(served, exc.OperationalError)

    @served.app.post("/")
    def view() -> tuple[str, int]:
        served.add("lost")
        served.db.session.flush()
        return "", status

    @served.app.after_request
    def lose(response: Response) -> Response:
        if not errors:
            _kill(served, served.db.session.connection())
        return response

    assert served.ask().status_code == (409 if status == 200 else 400)
    assert len(errors) == (status == 200)
    assert served.kept() == []


def _kill(notes: Notes, connection: sa.Connection) -> None:
    """End the connection in the server, from another one."""
    is_postgresql = connection.dialect.name == "postgresql"
    own = connection.exec_driver_sql(
        "SELECT pg_backend_pid()" if is_postgresql else "SELECT connection_id()"
    ).scalar_one()
    end = "SELECT pg_terminate_backend(%d, 5000)" if is_postgresql else "KILL %d"
    with notes.engine.connect() as other:
        other.exec_driver_sql(end % own)
