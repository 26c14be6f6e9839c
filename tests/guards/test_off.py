"""Guards that are off cost nothing: nobody listens."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import flask
import pytest
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy, guards
from flask_retort.session import Session


def listeners(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, mode: str) -> Counter[str]:
    """What an application with a model begins to listen to, by the function that is asked for it.

    :param mode: of all guards.
    """

    class OwnBase(DeclarativeBase):
        """Guards listen to the base and to the class of sessions, once for all applications."""

    class OwnSession(Session):
        pass

    app = make_app(RETORT_GUARDS=mode, SQLALCHEMY_DATABASE_URI="sqlite:///test.db")
    counted: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            counted[name] += 1
            return original(*args, **kwargs)

        patch.setattr(owner, name, counting)

    with monkeypatch.context() as patch:
        count(event, "listen")
        count(type(flask.request_started), "connect")
        count(sys, "addaudithook")
        db = SQLAlchemy(app, model_class=OwnBase, session_options={"class_": OwnSession})

        class User(db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)

        OwnBase.registry.configure()
    return counted


def test_what_is_off_has_no_listener(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are as many as if there were no guards; with guards on there are more."""
    off = listeners(make_app, monkeypatch, "off")
    on = listeners(make_app, monkeypatch, "count")
    monkeypatch.setattr(guards, "KINDS", ())
    assert off == listeners(make_app, monkeypatch, "count")
    assert on["listen"] > off["listen"] + 5
