"""A user's application, as written for Flask-SQLAlchemy and Flask-Migrate, at a stage of its life.

It imports nothing but the two packages, by their own names.
"""

from __future__ import annotations

import os

import sqlalchemy as sa
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy


def create_app(stage: int) -> Flask:
    """The application, whose models are those of the stage.

    1 people; 2 their notes; 3 longer names, and addresses with an index; 4 tags, and a date.
    ``NEAR_URL`` names its database, ``FAR_URL`` a second one in which notes and tags are kept.
    """
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["NEAR_URL"]
    far = "far" if "FAR_URL" in os.environ else None
    if far:
        app.config["SQLALCHEMY_BINDS"] = {far: os.environ["FAR_URL"]}
    db = SQLAlchemy(app)
    Migrate(app, db)

    class Person(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(80 if stage >= 3 else 30), unique=True, nullable=False)
        if stage >= 3:
            email = db.Column(db.String(120), index=True)
        if stage >= 4:
            born = db.Column(db.Date)

    if stage >= 2:

        class Note(db.Model):
            __bind_key__ = far
            id = db.Column(db.Integer, primary_key=True)
            text = db.Column(db.String(200), index=True, nullable=False)
            done = db.Column(db.Boolean, nullable=False, server_default=sa.false())
            # No foreign key leads from one database into another.
            key = () if far else (db.ForeignKey("person.id", ondelete="CASCADE"),)
            person_id = db.Column(db.Integer, *key, nullable=False)
            if stage >= 3:
                __table_args__ = (db.Index("ix_note_open", "done", "person_id"),)

    if stage >= 4:

        class Tag(db.Model):
            __bind_key__ = far
            id = db.Column(db.Integer, primary_key=True)
            note_id = db.Column(db.Integer, db.ForeignKey("note.id"), index=True)
            name = db.Column(db.String(40), unique=True)

    return app
