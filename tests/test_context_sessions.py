"""Which session a context has, and how long it lives."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import orm

from flask_retort import SQLAlchemy
from flask_retort.context_sessions import current_session
from flask_retort.errors import NoAppContext
from flask_retort.session import Session


def error_of_teardown(expected: type[Exception]) -> pytest.RaisesGroup[Any]:
    """The error as it is, or as Flask 3.2 raises it: in a group."""
    return pytest.RaisesGroup(expected, allow_unwrapped=True, flatten_subgroups=True)


def test_a_session_dies_with_its_context(make_app: Any) -> None:
    """The registry keeps no context and no session alive, even of one that was never popped."""
    app = make_app()
    db = SQLAlchemy(app)

    def push_and_forget() -> weakref.ref[Session]:
        app.app_context().push()
        return weakref.ref(db.session())

    session = contextvars.Context().run(push_and_forget)
    gc.collect()
    assert session() is None
    assert not db.session.registry.registry


def test_nested_contexts_have_their_own_sessions(make_app: Any) -> None:
    """A context inside another one has another session; the outer one's is there again after it."""
    app = make_app()
    db = SQLAlchemy(app)
    with app.app_context():
        outer = db.session()
        with app.app_context():
            assert db.session() is not outer
        assert db.session() is outer


def test_two_applications_share_models_but_not_sessions_or_engines(make_app: Any) -> None:
    """One SQLAlchemy object serves several applications, each with its own engine."""
    db = SQLAlchemy()
    first, second = make_app("first"), make_app("second")
    db.init_app(first)
    db.init_app(second)
    with first.app_context():
        engine, session = db.engine, db.session()
        with second.app_context():
            assert db.engine is not engine
            assert db.session() is not session


def test_outside_a_context_the_error_names_both_usual_causes() -> None:
    """It says to push a context, and to use stream_with_context in a generator."""
    with pytest.raises(NoAppContext, match=r"app\.app_context\(\)(.|\n)*stream_with_context"):
        SQLAlchemy().session()


def test_each_thread_with_its_own_context_has_its_own_session(make_app: Any) -> None:
    """No two threads get one session."""
    app = make_app()
    db = SQLAlchemy(app)
    barrier = threading.Barrier(8)
    sessions: list[Session] = []

    def work() -> None:
        with app.app_context():
            sessions.append(db.session())
            barrier.wait(timeout=10)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, sessions))) == 8


def test_a_session_that_fails_to_close_is_forgotten(make_app: Any) -> None:
    """An error while the session is closed is raised, and the context has no session after it."""

    class Stubborn(Session):
        def close(self) -> None:
            super().close()
            raise OSError("the wire broke")

    app = make_app()
    db = SQLAlchemy(app, session_options={"class_": Stubborn})
    with error_of_teardown(OSError), app.app_context():
        db.session()
    assert not db.session.registry.registry


def test_a_replaced_session_is_still_removed(make_app: Any) -> None:
    """Tests that put a scoped_session of their own in db.session see it removed at the end."""
    app = make_app()
    db = SQLAlchemy(app)
    db.session = orm.scoped_session(orm.sessionmaker(class_=Session, db=db))
    with app.app_context():
        db.session.execute(sa.text("SELECT 1"))
        pool: Any = db.engine.pool
        assert pool.checkedout() == 1
    assert pool.checkedout() == 0


def test_the_first_error_of_a_teardown_is_the_one_seen(make_app: Any) -> None:
    """The error of a teardown handler is raised unchanged after the session was removed."""
    app: Flask = make_app()
    db = SQLAlchemy(app)

    @app.teardown_appcontext
    def broken(error: BaseException | None) -> None:
        raise LookupError("first")

    with error_of_teardown(LookupError), app.app_context():
        db.session.execute(sa.text("SELECT 1"))
    app.teardown_appcontext_funcs.remove(broken)
    assert not db.session.registry.registry


def test_other_teardown_handlers_can_still_use_the_session(make_app: Any) -> None:
    """Handlers registered before and after the extension see the session of the context."""
    app: Flask = make_app()
    seen: list[bool] = []
    db = SQLAlchemy()

    @app.teardown_appcontext
    def before(error: BaseException | None) -> None:
        seen.append(db.session() is used[0])

    db.init_app(app)

    @app.teardown_appcontext
    def after(error: BaseException | None) -> None:
        seen.append(db.session() is used[0])

    used: list[Any] = []
    with app.app_context():
        used.append(db.session())
    assert seen == [True, True]
    assert not db.session.registry.registry


def test_the_current_session_is_not_made_to_look_at_it(make_app: Any) -> None:
    """By context and by a scope of the application's; a session in place of a registry has none."""
    app = make_app()
    db = SQLAlchemy(app)
    with app.app_context():
        assert current_session(db.session) is None
        session = db.session()
        assert current_session(db.session) is session
        by_thread = db._make_scoped_session({"scopefunc": threading.get_ident})
        assert current_session(by_thread) is None
        assert by_thread() is current_session(by_thread)
        by_thread.remove()
        instead: Any = session  # as tests put it there
        assert current_session(instead) is None
