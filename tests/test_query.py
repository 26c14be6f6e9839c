"""The legacy query on every engine."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from werkzeug.exceptions import NotFound

from flask_retort import SQLAlchemy


def test_model_query_reads_pages_and_answers_404(database_url: sa.URL, make_app: Any) -> None:
    """Model.query filters, pages with a total, and turns what is missing into 404."""
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url)
    db = SQLAlchemy(app)

    class Note(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)
        text = sa.Column(sa.String(10))

    with app.app_context():
        db.create_all()
        db.session.add_all(Note(text=f"note {n % 2}") for n in range(7))
        db.session.commit()
        page = Note.query.filter_by(text="note 0").order_by(Note.id).paginate(per_page=3)
        assert (len(page.items), page.total, page.pages) == (3, 4, 2)
        assert [len(p.items) for p in (page.next(), page.next().prev())] == [1, 3]
        assert Note.query.order_by(Note.id.desc()).first_or_404().id == 7
        assert Note.query.filter_by(id=3).one_or_404().id == 3
        with pytest.raises(NotFound):
            Note.query.one_or_404()


def test_get_or_404_says_that_it_is_legacy(make_app: Any) -> None:
    """Query.get_or_404 works and passes SQLAlchemy's own deprecation on."""
    app = make_app()
    db = SQLAlchemy(app)

    class Note(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    with app.app_context():
        db.create_all()
        db.session.add(Note(id=1))
        db.session.commit()
        with pytest.warns(sa.exc.LegacyAPIWarning):
            assert Note.query.get_or_404(1).id == 1
        with pytest.warns(sa.exc.LegacyAPIWarning), pytest.raises(NotFound):
            Note.query.get_or_404(2)
