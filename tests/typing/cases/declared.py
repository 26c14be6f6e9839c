"""Models written ``class User(Base)``: both checkers understand them without any plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from flask_retort import SQLAlchemy


class Base(MappedAsDataclass, DeclarativeBase):
    id: Mapped[int] = mapped_column(primary_key=True, init=False)


db = SQLAlchemy(model_class=Base)


class User(Base):
    name: Mapped[str]
    nickname: Mapped[str | None] = mapped_column(default=None)


assert_type(db, SQLAlchemy[Base])
assert_type(db.Model, type[Base])
assert_type(User("Ada").name, str)
assert_type(db.get_or_404(User, 1), User)
assert_type(db.paginate(select(User)).items, list[User])
assert_type(db.session.scalars(select(User)).all(), Sequence[User])

User("Ada", nick="a")  # reported: call-arg | reportCallIssue
User(name=1)  # reported: arg-type | reportArgumentType
