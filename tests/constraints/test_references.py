"""A flush that takes its value from a foreign key that must have one, on each back end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, mapped_column, relationship

from flask_retort import errors
from flask_retort.constraints import Schema, translate

Disposed = Callable[[sa.Engine], sa.Engine]
REMEDY = "cascade='all, delete-orphan'"


class Base(orm.DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "parent"
    id: Mapped[int] = mapped_column(primary_key=True)
    kids: Mapped[list[Kid]] = relationship()


class Kid(Base):
    __tablename__ = "kid"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(sa.ForeignKey("parent.id"))
    name: Mapped[str] = mapped_column(sa.String(9), default="x")


@pytest.fixture
def session(database_url: sa.URL, disposed: Disposed) -> Iterator[orm.Session]:
    """A parent with two children is there."""
    engine = disposed(sa.create_engine(database_url))
    translate(engine, Schema.of(Base))
    Base.metadata.create_all(engine)
    with orm.Session(engine) as opened:
        opened.add(Parent(id=1, kids=[Kid(), Kid()]))
        opened.commit()
        yield opened


def refusal(session: orm.Session) -> errors.NotNullViolation:
    with pytest.raises(errors.NotNullViolation) as info:
        session.flush()
    session.rollback()
    return info.value


def test_an_object_whose_parts_still_refer_to_it_is_deleted(session: orm.Session) -> None:
    """The message names the cause, and the setting of the relationship that is missing."""
    session.delete(session.get_one(Parent, 1))
    error = refusal(session)
    assert (error.model, error.fields) == (Kid, ("parent_id",))
    assert "the object that it refers to is deleted" in str(error)
    assert REMEDY in str(error)
    assert "ondelete='CASCADE'" in str(error)


def test_a_part_is_taken_out_of_its_collection(session: orm.Session) -> None:
    """The same: it is sent as the same UPDATE."""
    parent = session.get_one(Parent, 1)
    parent.kids.pop()
    assert REMEDY in str(refusal(session))


def test_a_new_part_without_a_value(session: orm.Session) -> None:
    """Nothing was taken from it: it never had one."""
    session.add(Kid())
    error = refusal(session)
    assert error.fields == ("parent_id",)
    assert REMEDY not in str(error)


def test_another_column_is_set_to_none(session: orm.Session) -> None:
    """That it stands beside a foreign key does not matter."""
    session.get_one(Kid, 1).name = None  # type: ignore[assignment] # what is refused
    error = refusal(session)
    assert error.fields == ("name",)
    assert REMEDY not in str(error)
