"""Bases, names and metadata beyond what the predecessor's own suite pins."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import exc
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from flask_retort import SQLAlchemy
from flask_retort.model import BindMixin, Model, NameMixin
from flask_retort.query import Query


def test_a_2x_base_is_the_model_base_itself() -> None:
    """class User(Base) and class User(db.Model) mean the same: name, query class, repr."""

    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class BlogPost(Base):
        id: Mapped[int] = mapped_column(primary_key=True)

    assert db.Model is Base
    assert issubclass(BlogPost, Model)
    assert BlogPost.__tablename__ == "blog_post"
    assert BlogPost.query_class is db.Query  # type: ignore[attr-defined]
    assert repr(BlogPost()).startswith("<BlogPost (transient ")


def test_making_the_extension_twice_on_one_base_keeps_one_hook() -> None:
    """A base used by a second SQLAlchemy object belongs to that one and still names its models."""

    class Base(DeclarativeBase):
        pass

    SQLAlchemy(model_class=Base)
    second = SQLAlchemy(model_class=Base)

    class Late(Base):
        id: Mapped[int] = mapped_column(primary_key=True)

    assert Late.__tablename__ == "late"
    assert Late.__fsa__ is second  # type: ignore[attr-defined]
    assert Base.__bases__.count(Model) == 1


@pytest.mark.parametrize("dataclass_first", [True, False])
def test_a_dataclass_model_with_its_own_table_is_an_ordinary_class(dataclass_first: bool) -> None:
    """It takes its columns as keywords; other models of the base stay dataclasses."""
    bases = (MappedAsDataclass, DeclarativeBase)
    metaclass: Any = type(DeclarativeBase)
    Base: Any = metaclass("Base", bases if dataclass_first else bases[::-1], {})
    db = SQLAlchemy(model_class=Base)
    table = db.Table("user", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name"))

    class User(Base):  # type: ignore[misc]
        __table__ = table

    class Post(Base):  # type: ignore[misc]
        id: Mapped[int] = mapped_column(primary_key=True)

    assert User(name="Ada").name == "Ada"
    assert repr(Post(id=1)).endswith("Post(id=1)")


def test_class_keywords_reach_the_hook_of_the_users_base() -> None:
    """A base may define __init_subclass__ with keywords; the model is mapped when it returns."""
    seen: list[tuple[str, str]] = []

    class Base(DeclarativeBase):
        def __init_subclass__(cls, *, label: str = "none", **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            seen.append((cls.__tablename__, label))

    SQLAlchemy(model_class=Base)
    seen.clear()

    class Tagged(Base, label="yes"):
        id: Mapped[int] = mapped_column(primary_key=True)

    assert seen == [("tagged", "yes")]


def test_class_keywords_reach_a_classic_base() -> None:
    """A classic model class may define __init_subclass__ with keywords, too."""
    labels: list[str] = []

    class Labelled(Model):
        def __init_subclass__(cls, *, label: str = "none", **kwargs: Any) -> None:
            super().__init_subclass__(**kwargs)
            labels.append(label)

    db: Any = SQLAlchemy(model_class=Labelled)

    class Thing(db.Model, label="given"):  # type: ignore[misc, call-arg]
        id = sa.Column(sa.Integer, primary_key=True)

    assert labels[-1] == "given"
    assert Thing.__tablename__ == "thing"


def test_a_base_of_the_users_own_making_can_use_the_mixins() -> None:
    """BindMixin and NameMixin, composed by hand, name tables and choose metadata."""

    class Base(BindMixin, NameMixin, Model, DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Far(Base):
        __bind_key__ = "far"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert Far.__tablename__ == "far"
    assert Far.metadata is db.metadatas["far"]


def test_a_name_of_none_is_the_users_word() -> None:
    """__tablename__ = None asks for no name, and SQLAlchemy says that there is none."""
    db: Any = SQLAlchemy()
    with pytest.raises(exc.InvalidRequestError, match="__tablename__"):

        class Nameless(db.Model):  # type: ignore[misc]
            __tablename__ = None
            id = sa.Column(sa.Integer, primary_key=True)


def test_a_query_class_on_the_model_class_is_kept() -> None:
    """query_class set by the user on a model class wins over the extension's."""

    class MyQuery(Query[Any]):
        pass

    class Base(Model):
        query_class = MyQuery

    assert SQLAlchemy(model_class=Base).Model.query_class is MyQuery


def test_repr_shows_composite_keys(make_app: Any) -> None:
    """A persistent object with two key columns shows both."""
    app: Flask = make_app()
    db = SQLAlchemy(app)

    class Pair(db.Model):  # type: ignore[name-defined, misc]
        a = sa.Column(sa.Integer, primary_key=True)
        b = sa.Column(sa.String(5), primary_key=True)

    with app.app_context():
        db.create_all()
        pair = Pair(a=1, b="x")
        db.session.add(pair)
        db.session.commit()
        assert repr(pair) == "<Pair 1, x>"


def test_two_models_of_one_name_are_refused() -> None:
    """Defining a second table of the same name is SQLAlchemy's error, not a silent reuse."""
    db = SQLAlchemy()

    class User(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    with pytest.raises(exc.InvalidRequestError, match="already defined"):

        class AnotherUser(db.Model):  # type: ignore[name-defined, misc]
            __tablename__ = "user"
            id = sa.Column(sa.Integer, primary_key=True)
            name = sa.Column(sa.String(10))


def test_a_table_with_a_schema_is_found_again_by_its_model() -> None:
    """A model whose name and schema equal a known table's is mapped to that table."""
    db = SQLAlchemy(metadata=sa.MetaData(schema="shop"))
    known = db.Table("user", sa.Column("id", sa.Integer, primary_key=True))

    class User(db.Model):  # type: ignore[name-defined, misc]
        pass

    assert User.__table__ is known
