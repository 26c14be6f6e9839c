"""Objects or 404, and pages, from ``db``; on every engine."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import orm
from werkzeug.exceptions import NotFound

from flask_retort import SQLAlchemy
from flask_retort.record_queries import get_recorded_queries


def test_helpers_find_or_answer_404(database_url: sa.URL, make_app: Any) -> None:
    """Each helper gives what there is; none, and for one_or_404 several, are 404."""
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url)
    db = SQLAlchemy(app)

    class Note(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)
        text = sa.Column(sa.String(10))

    everything = sa.select(Note).order_by(Note.id)
    with app.app_context():
        db.create_all()
        db.session.add_all([Note(text="a"), Note(text="b"), Note(text=None)])
        db.session.commit()
        assert db.get_or_404(Note, 2).text == "b"
        assert db.first_or_404(everything).text == "a"
        assert db.one_or_404(everything.where(Note.text == "b")).id == 2
        assert db.paginate(everything, page=2, per_page=2).total == 3
        missing: list[Any] = [
            lambda: db.get_or_404(Note, 99),
            lambda: db.first_or_404(everything.where(Note.text == "z")),
            lambda: db.first_or_404(sa.select(Note.text).where(Note.id == 3)),
            lambda: db.one_or_404(everything.where(Note.text == "z")),
            lambda: db.one_or_404(everything),
            lambda: db.paginate(everything, page=3, per_page=2),
        ]
        for call in missing:
            with pytest.raises(NotFound):
                call()


def test_what_is_no_select_is_refused_with_what_to_write(make_app: Any) -> None:
    """paginate(Model), paginate(Model.query) and paginate(text()) say what to give instead."""
    app = make_app()
    db: Any = SQLAlchemy(app)

    class Note(db.Model):  # type: ignore[misc]
        id = sa.Column(sa.Integer, primary_key=True)

    with app.app_context():
        for wrong in (Note, Note.query, sa.text("SELECT 1")):
            with pytest.raises(TypeError, match=r"db\.paginate\(db\.select\(Model\)\)"):
                db.paginate(wrong)


def test_a_page_of_locked_rows_over_a_join(database_url: sa.URL, make_app: Any) -> None:
    """with_for_update() stays on the statement that reads the page, and only there."""
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url, SQLALCHEMY_RECORD_QUERIES=True)
    db: Any = SQLAlchemy(app)

    class Parent(db.Model):  # type: ignore[misc]
        id = sa.Column(sa.Integer, primary_key=True)
        children = orm.relationship("Child")

    class Child(db.Model):  # type: ignore[misc]
        id = sa.Column(sa.Integer, primary_key=True)
        parent_id = sa.Column(sa.Integer, sa.ForeignKey(Parent.id))

    with app.app_context():
        db.create_all()
        db.session.add_all(Parent(id=n, children=[Child(), Child()]) for n in (1, 2, 3))
        db.session.commit()
        select = sa.select(Parent).join(Parent.children).with_for_update()
        get_recorded_queries().clear()
        page = db.paginate(select, per_page=2)
        assert ([p.id for p in page.items], page.total) == ([1, 2], 3)
        statements = [query.statement for query in get_recorded_queries()]
        if database_url.drivername == "sqlite":  # without row locks, one transaction writes
            assert statements.pop(1).startswith("BEGIN IMMEDIATE")
        locking = ["FOR UPDATE" in statement for statement in statements]
        assert locking == [False, database_url.drivername != "sqlite", False]


def test_a_view_answers_404(make_app: Any) -> None:
    """Over HTTP a missing object is a 404 response and the session stays usable."""
    app: Flask = make_app()
    db: Any = SQLAlchemy(app)

    class Note(db.Model):  # type: ignore[misc]
        id = sa.Column(sa.Integer, primary_key=True)

    with app.app_context():
        db.create_all()

    @app.get("/notes/<int:number>")
    def note(number: int) -> dict[str, Any]:
        return {"id": db.get_or_404(Note, number, description="no such note").id}

    client = app.test_client()
    answer = client.get("/notes/1")
    assert answer.status_code == 404
    assert "no such note" in answer.text
    with app.app_context():
        db.session.add(Note(id=1))
        db.session.commit()
    assert client.get("/notes/1").json == {"id": 1}
