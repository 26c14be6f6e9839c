"""Which row was stale."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from flask_retort.constraints import stale
from flask_retort.errors import StaleVersion


class Base(orm.DeclarativeBase):
    pass


class Animal(Base):
    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(9))
    weight: Mapped[int] = mapped_column(default=1)
    revision: Mapped[int] = mapped_column("rev")
    __mapper_args__ = {"version_id_col": revision, "polymorphic_on": kind}  # noqa: RUF012 - so named


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012 - SQLAlchemy's own way


class Stone(Base):
    __tablename__ = "stone"
    id: Mapped[int] = mapped_column(primary_key=True)
    weight: Mapped[int] = mapped_column(default=1)


@pytest.fixture
def session() -> Iterator[orm.Session]:
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with orm.Session(engine) as opened:
        opened.add_all([Dog(id=1), Stone(id=1)])
        opened.commit()
        yield opened
    engine.dispose()


def changed_behind(
    session: orm.Session, statement: str, change: str, model: type[Base]
) -> StaleVersion:
    """The error for an object that is changed or deleted after a statement has changed its row."""
    instance = session.get_one(model, 1)
    session.execute(sa.text(statement))
    if change == "delete":
        session.delete(instance)
    else:
        setattr(instance, "weight", 5)  # noqa: B010 - both models have it, their base has not
    with pytest.raises(StaleDataError) as info:
        session.flush()
    session.rollback()
    return stale(info.value, session)


@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_model_and_its_version_are_named(session: orm.Session, change: str) -> None:
    """The model is the one that the others inherit from: the table's."""
    error = changed_behind(session, "UPDATE animal SET rev = 7", change, Animal)
    assert (error.model, error.fields, error.about.table) == (Animal, ("revision",), "animal")
    assert str(error).startswith("Animal.revision: the row was changed or deleted by someone else")
    assert error.reason == "was changed in the meantime"
    assert isinstance(error, StaleDataError)
    assert "on table 'animal' expected" in str(error)


def test_a_model_without_a_version_has_no_fields(session: orm.Session) -> None:
    """Its row was deleted."""
    error = changed_behind(session, "DELETE FROM stone", "update", Stone)
    assert (error.model, error.fields) == (Stone, ())


def test_an_error_of_another_form_is_told_without_a_model(session: orm.Session) -> None:
    """Nothing is invented."""
    error = stale(StaleDataError("Removing state x from parent y"), session)
    assert (error.model, error.fields, error.about.table) == (None, (), None)
    assert str(error).startswith("the row was changed or deleted")
