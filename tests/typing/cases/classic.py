"""Models on the default base, with the legacy ``Model.query``."""

from __future__ import annotations

from typing import assert_type

from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from flask_retort import SQLAlchemy
from flask_retort.model import Model
from flask_retort.query import Query


class Common(Model):
    @property
    def shared(self) -> int:
        return 1


db = SQLAlchemy()
common = SQLAlchemy(model_class=Common)


class User(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class OfCommon(common.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


assert_type(db, SQLAlchemy[Model])
assert_type(common, SQLAlchemy[Common])
assert_type(User(name="Ada").name, str)
assert_type(User.metadata, MetaData)
assert_type(User.query, Query[User])
assert_type(User.query.filter_by(name="Ada").first_or_404(), User)
assert_type(User.query.get_or_404(1), User)
assert_type(User.query.one_or_404(), User)
assert_type(User.query.all(), list[User])
assert_type(User.query.paginate().items, list[User])
assert_type(OfCommon().shared, int)
assert_type(OfCommon.query.all(), list[OfCommon])
User().nme  # reported: attr-defined | reportAttributeAccessIssue reportUnknownMemberType
