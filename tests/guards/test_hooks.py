"""Who listens to what, and whom it is told."""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from sqlalchemy.orm.events import SessionEvents
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy
from flask_retort.checks import GUARDS
from flask_retort.errors import GuardError
from flask_retort.guards import KINDS, Guard, Guards, Reports, Text, allow
from flask_retort.guards.execution import Execution
from flask_retort.guards.hooks import listen

from .collection import Shop
from .models import Base, Product

EVENTS = [name for name in vars(SessionEvents) if not name.startswith("_")]


def listeners_of(db: SQLAlchemy[Any]) -> dict[str, int]:
    """How many listen to each event of the sessions and engines of the current application."""
    session, engine = db.session(), db.engine
    found = {name: len(list(getattr(session.dispatch, name, ()))) for name in EVENTS}
    for name in ("before_cursor_execute", "after_cursor_execute", "begin", "commit", "rollback"):
        found[f"engine {name}"] = len(list(getattr(engine.dispatch, name)))
    return {name: number for name, number in found.items() if number}


def listeners(make_app: MakeApp, **config: object) -> dict[str, int]:
    app, db = make_app(**config), SQLAlchemy(model_class=Base)
    db.init_app(app)
    with app.app_context():
        return listeners_of(db)


def test_what_is_off_does_not_listen(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """All off is as if there were no guards at all, in sessions, engines, requests and signals."""
    signals = (flask.request_finished, flask.appcontext_pushed, flask.request_started)
    gc.collect()  # signals know their receivers weakly
    receivers = [len(signal.receivers) for signal in signals]
    off = listeners(make_app, RETORT_GUARDS="off")
    assert [len(signal.receivers) for signal in signals] == receivers
    monkeypatch.setattr("flask_retort.guards.KINDS", ())
    assert off == listeners(make_app)


def test_an_event_has_one_listener_for_all_guards(make_app: MakeApp) -> None:
    """However many of them want it, and however many applications there are."""
    db = SQLAlchemy(model_class=Base)
    apps = [make_app(RETORT_GUARDS=mode) for mode in ("off", "count", "warn")]
    counted = []
    for app in apps:
        db.init_app(app)
        with app.app_context():
            counted.append(listeners_of(db))
    added = {name: n - counted[0].get(name, 0) for name, n in counted[1].items()}
    assert {name: n for name, n in added.items() if n > 1 and "engine" not in name} == {}
    assert counted[2] == counted[1]


def test_each_guard_is_there_once() -> None:
    """What the configuration knows is what there is, in one order."""
    assert tuple(kind.code for kind in KINDS) == GUARDS


def test_each_guard_stands_in_the_reference() -> None:
    """One line each, with its page, in the same order."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "guards.md"
    lines = re.findall(r"^\| \[([\w-]+)\]\(\.\./errors/\1\.md\) \|", page.read_text(), re.MULTILINE)
    assert tuple(lines) == GUARDS


class Probe(Guard):
    """Notes what it is told."""

    code = "lost-write"
    text = Text("{subject} ended.", "It hurts.", "Write something.")

    def __init__(self, told: list[str], mode: str = "raise") -> None:
        super().__init__(Reports({self.code: mode}))
        self.told = told
        self.answer: Callable[[Execution], Any] = lambda executed: None

    def listeners(self) -> Mapping[str, Any]:
        return {"executes": self.executes, "before_commit": self.commits}

    def executes(self, executed: Execution) -> Any:
        self.told.append("executes")
        return self.answer(executed)

    def commits(self, session: Session) -> None:
        self.told.append("commits")

    def context_ends(self, session: Session, error: BaseException | None) -> None:
        self.told.append(f"ends with {error!r}")
        if error is None:
            self.find("GET /")


class Second(Probe):
    code = "lost-update"


def shop_with(make_app: MakeApp, *guards: Guard) -> tuple[flask.Flask, SQLAlchemy[Any]]:
    """An application with these guards instead of its own."""
    app, db = make_app(RETORT_GUARDS="off"), SQLAlchemy(model_class=Base)
    db.init_app(app)
    db._app_guards[app] = Guards(guards[0].reports, guards)
    listen(db.session.session_factory.class_, app, db._app_guards[app])
    return app, db


def test_guards_hear_of_the_sessions_of_their_application(make_app: MakeApp) -> None:
    """Two applications share a session class, not their guards."""
    told: list[str] = []
    app, db = shop_with(make_app, Probe(told, "off"))
    other = make_app("other", RETORT_GUARDS="off")
    db.init_app(other)
    with other.app_context():
        db.session.scalar(sa.select(sa.literal(1)))
    assert told == []
    with app.app_context():
        db.session.scalar(sa.select(sa.literal(1)))
        db.session.commit()
    assert told == ["executes", "commits", "ends with None"]


def test_a_session_keeps_its_guards_in_a_thread_without_a_context(make_app: MakeApp) -> None:
    """There it is a mistake to use it, which a guard must see."""
    told: list[str] = []
    app, db = shop_with(make_app, Probe(told, "off"))
    with app.app_context():
        session = db.session()
        session.scalar(sa.select(sa.literal(1)))
        thread = threading.Thread(target=session.commit)
        thread.start()
        thread.join()
    assert told[:2] == ["executes", "commits"]


def test_a_listener_may_answer_for_a_statement(make_app: MakeApp) -> None:
    """In the form that the call asks for; the other guards are told nevertheless."""
    told: list[str] = []
    first, second = Probe(told, "off"), Second(told, "off")
    instead = sa.select(sa.literal(2))
    first.answer = lambda executed: Execution(executed.session, instead, None, {}).execute()
    app, db = shop_with(make_app, first, second)
    with app.app_context():
        one = sa.select(sa.literal(1))
        assert db.session.scalar(one) == 2
        assert db.session.scalars(one).all() == [2]
        assert db.session.execute(one).all() == [(2,)]
    assert told[:2] == ["executes", "executes"]


def test_a_listener_that_guards_share_is_called_once(make_app: MakeApp) -> None:
    """What two of them need to know is noted by one function."""
    told: list[str] = []

    class Sharing(Probe):
        def listeners(self) -> Mapping[str, Any]:
            return {"before_commit": note}

    class Too(Sharing):
        code = "lost-update"

    def note(session: Session) -> None:
        told.append("commits")

    app, db = shop_with(make_app, Sharing([], "off"), Too([], "off"))
    with app.app_context():
        db.session.commit()
    assert told == ["commits"]


def test_the_end_is_told_whatever_the_scope_of_sessions(make_app: MakeApp) -> None:
    """A session by thread is removed at the end of a context as well."""
    told: list[str] = []
    app = make_app(RETORT_GUARDS="off")
    db = SQLAlchemy(app, session_options={"scopefunc": threading.get_ident})
    db._app_guards[app] = Guards(Reports({}), [Probe(told, "off")])
    with app.app_context():
        db.session()
    with app.app_context():
        assert not db.session.registry.has()
    assert told == ["ends with None"]


def test_a_guard_that_raises_does_not_keep_others_from_the_end(make_app: MakeApp) -> None:
    """The first raises when all have been told, and the session is closed then."""
    told: list[str] = []
    app, db = shop_with(make_app, Probe(told), Second(told))
    with pytest.raises(GuardError, match="GET / ended"), app.app_context():
        session = db.session()
    assert told[0] == "ends with None"
    assert told[1].startswith("ends with GuardError")
    assert not session.in_transaction()


def test_an_exception_of_a_teardown_is_not_hidden(make_app: MakeApp) -> None:
    """It is handed to the guards as the context's own would be."""
    told: list[str] = []
    app, db = shop_with(make_app, Probe(told))

    failures = [LookupError()]

    @app.teardown_appcontext
    def fails_once(error: BaseException | None) -> None:
        if failures:
            raise failures.pop()

    with pytest.raises(LookupError), app.app_context():
        db.session.scalar(sa.select(sa.literal(1)))
    assert told[-1] == "ends with LookupError()"


def test_what_was_allowed_in_a_context_is_so_at_its_end(make_app: MakeApp) -> None:
    """A decorated view has returned by then; another context is another matter."""
    told: list[str] = []
    app, db = shop_with(make_app, Probe(told))
    with app.app_context():
        db.session()
        with allow("lost-write", "GET /", reason="a dry run"):
            pass
    assert told == ["ends with None"]
    with pytest.raises(GuardError), app.app_context():
        db.session()


def test_the_guards_of_an_application_are_at_hand(make_app: MakeApp) -> None:
    """``db.guards`` has the report, ``db.allow`` is :func:`allow`."""
    app, db = make_app(), SQLAlchemy(model_class=Base)
    db.init_app(app)
    with app.app_context():
        assert set(db.guards.guards) == set(GUARDS)
        assert db.guards.report().findings == []
    assert cast(Any, db).allow is allow


def test_a_request_in_a_context_that_has_a_session(make_app: MakeApp) -> None:
    """Guards are told of it before it is answered; the usual request has none yet."""
    told: list[str] = []

    class Asked(Probe):
        def listeners(self) -> Mapping[str, Any]:
            return {"request_begins": lambda session: told.append(f"begins {session.info}")}

        def context_ends(self, session: Session, error: BaseException | None) -> None:
            """Nothing."""

    app, db = shop_with(make_app, Asked([], "off"))

    @app.get("/")
    def home() -> str:
        told.append("answers")
        return str(db.session.scalar(sa.select(sa.literal(1))))

    client = app.test_client()
    assert client.get("/").text == "1"
    assert told == ["answers"]
    with app.app_context():
        client.get("/")
        db.session().info["of"] = "the test"
        client.get("/")
    assert told[1:] == ["answers", "begins {'of': 'the test'}", "answers"]


def test_a_read_with_a_lock_inside_is_no_plain_one(shop: Shop) -> None:
    """Though the statement itself locks nothing."""
    guards = shop.db._app_guards[shop.app]
    seen: list[Any] = []
    guards.by_event["executes"].insert(0, lambda executed: seen.append(executed.rows))
    locked = sa.select(Product.id).where(Product.id == 2).with_for_update().scalar_subquery()
    with shop.push():
        shop.db.session.scalars(sa.select(Product).where(Product.id == 2)).all()
        assert seen == []
        shop.db.session.scalars(sa.select(Product).where(Product.id == locked)).all()
        assert seen == [None]
