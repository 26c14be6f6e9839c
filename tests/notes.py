"""The application of the tests of requests: notes, and what of them is committed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Flask

from flask_retort import SQLAlchemy
from flask_retort.engines import ReadingEngines


class Notes:
    """An application with notes, each of which may answer another one; its pool is watched.

    The foreign key is checked at COMMIT where the database can do that.
    """

    def __init__(self, app: Flask) -> None:
        db = SQLAlchemy()
        self.app, self.db = app, db
        url = sa.make_url(app.config["SQLALCHEMY_DATABASE_URI"])
        later: Any = {"deferrable": True, "initially": "DEFERRED"}
        if url.get_backend_name() == "mysql":
            later = {}

        class Note(db.Model):  # type: ignore[name-defined, misc]
            id = sa.Column(sa.Integer, primary_key=True)
            text = sa.Column(sa.String(50), unique=True)
            answers: Any = sa.Column(sa.ForeignKey("note.id", **later))

        self.Note = Note
        app.config["RETORT_REQUEST_TRANSACTION"] = True
        db.init_app(app)
        with app.app_context():
            db.create_all()
            self.engine = db.engine

    def add(self, *texts: str, answers: int | None = None) -> None:
        self.db.session.add_all(self.Note(text=text, answers=answers) for text in texts)

    def kept(self) -> list[str]:
        """The texts that are committed, in order, as another connection sees them."""
        with self.engine.connect() as connection:
            return list(connection.scalars(sa.select(self.Note.text).order_by(self.Note.id)))

    def ask(self, method: str = "POST", path: str = "/", **options: Any) -> Any:
        """The response; once it is sent, no connection is in use."""
        try:
            with self.app.test_client().open(path, method=method, **options) as response:
                response.get_data()
        finally:
            assert self.checked_out() == 0
        return response

    def checked_out(self) -> int:
        """How many connections are in use, of those for reading only too."""
        reading = ReadingEngines({None: self.engine})[None]
        pools: set[Any] = {self.engine.pool, reading.pool}
        return sum(pool.checkedout() for pool in pools)
