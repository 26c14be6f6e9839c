"""The usual layout: models import ``db`` from here, and the factory here imports the models."""

from __future__ import annotations

from typing import assert_type

from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass

from flask_retort import SQLAlchemy


class Base(MappedAsDataclass, DeclarativeBase):
    @property
    def shared(self) -> int:
        return 1


db = SQLAlchemy(model_class=Base)
assert_type(db, SQLAlchemy[Base])


def create_all() -> None:
    from a_cycle_of_models import Author

    assert_type(Author(name="Ursula").books[0].author.shared, int)
    db.create_all()
