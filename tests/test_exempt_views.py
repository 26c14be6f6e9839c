"""Views that ``RETORT_REQUEST_TRANSACTION`` leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import request
from flask.views import MethodView
from sqlalchemy import exc
from tests.conftest import MakeApp
from tests.notes import Notes

from flask_retort import request_transactions


@pytest.fixture
def small(make_app: MakeApp) -> Notes:
    """An application on SQLite, for what the database has no part in."""
    return Notes(make_app(SQLALCHEMY_DATABASE_URI="sqlite:///notes.db"))


def test_an_exempt_view_commits_for_itself(small: Notes) -> None:
    """Its writes are its own business, also in a GET, and under decorators that wrap it."""

    def decorated(view: Callable[[], str]) -> Callable[[], str]:
        import functools

        return functools.wraps(view)(lambda: view())

    @small.app.post("/")
    @small.app.get("/")
    @decorated
    @request_transactions.exempt
    def view() -> str:
        with small.db.transaction():
            small.add(request.method)
        small.add("forgotten")
        return ""

    with small.db.allow("lost-write", reason="it is what the test is about"):
        small.ask("POST")
        with small.db.allow("write-in-get", reason="it is, too"):
            small.ask("GET")
    assert small.kept() == ["POST", "GET"]


def test_class_based_views_may_be_exempt(small: Notes) -> None:
    """One method, also under HEAD where it is GET's, or all of them."""

    class OneMethod(MethodView):
        def post(self) -> str:
            small.add("of the request")
            return ""

        @request_transactions.exempt
        def get(self) -> str:
            with small.db.transaction():
                small.add(request.method)
            return ""

    @request_transactions.exempt
    class Both(MethodView):
        def post(self) -> str:
            small.db.session.rollback()
            with small.db.transaction(isolation="serializable"):
                small.add("both")
            return ""

    small.app.add_url_rule("/", view_func=OneMethod.as_view("one"))
    small.app.add_url_rule("/both", view_func=Both.as_view("both"))
    with small.db.allow("write-in-get", reason="it is what the test is about"):
        for method in ("GET", "HEAD", "POST"):
            small.ask(method)
    small.ask("POST", path="/both")
    assert small.kept() == ["GET", "HEAD", "of the request", "both"]


def test_what_a_request_can_not_be_says_how_to_take_the_view_out(small: Notes) -> None:
    """Settings and repetitions are those of the request, whose transaction is open."""
    said = []

    @small.app.post("/<what>")
    @small.app.get("/<what>")
    def view(what: str) -> str:
        try:
            if what == "retry":
                small.db.transaction(retry=1)(small.kept)()
            else:
                small.db.transaction(read_only=True).__enter__()
        except exc.InvalidRequestError as refused:
            said.append(str(refused))
        return ""

    small.ask("POST", path="/retry")
    small.ask("POST", path="/read")
    small.ask("GET", path="/read")
    assert ["@request_transactions.exempt" in message for message in said] == [True] * 3
