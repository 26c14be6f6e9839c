"""What ``@validates`` methods raise."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, mapped_column, validates

from flask_retort import SQLAlchemy
from flask_retort.constraints import watch_validators
from flask_retort.errors import FailedAssertion, InvalidValue


class OwnError(ValueError):
    """Somebody catches it by its name."""


def _require(is_met: bool, *text: str) -> None:
    """``assert``, to whose text pytest would add its own."""
    if not is_met:
        raise AssertionError(*text)


class Base(orm.DeclarativeBase):
    pass


watch_validators(Base)
watch_validators(Base)


class Named:
    """A mixin with a validator."""

    name: Mapped[str] = mapped_column(sa.String(9))

    @validates("name")
    def check_name(self, key: str, value: str) -> str:
        if not value.isalpha():
            raise ValueError("Only letters, please")
        return value.title()


class User(Named, Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    age: Mapped[int] = mapped_column("years")
    password: Mapped[str]
    kind: Mapped[str] = mapped_column(default="user")
    pets: Mapped[list[Pet]] = orm.relationship()
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "user"}  # noqa: RUF012 - so named

    @validates("age", "password")
    def check(self, key: str, value: Any) -> Any:
        if key == "age":
            _require(value > 17, "Too young")
            _require(value < 200)
        elif len(value) < 5:
            raise ValueError("Too short")
        elif value == "known":
            raise OwnError("Known to everybody")
        return value

    @validates("pets", include_removes=True)
    def check_pet(self, key: str, pet: Pet, is_remove: bool) -> Pet:
        if is_remove:
            raise ValueError("Pets stay")
        return pet


class Admin(User):
    """Inherits the validators of a mapped class."""

    __mapper_args__ = {"polymorphic_identity": "admin"}  # noqa: RUF012 - SQLAlchemy's own way


class Pet(Base):
    __tablename__ = "pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"))


@pytest.mark.parametrize("model", [User, Admin])
def test_a_refused_value_names_model_and_field(model: type[User]) -> None:
    """The text is the developer's own, and so is what a user may be told."""
    with pytest.raises(InvalidValue) as info:
        model(name="x1")
    error = info.value
    assert str(error) == error.reason == "Only letters, please"
    assert (error.model, error.fields, error.value) == (model, ("name",), "x1")
    assert error.about.table == "users"
    assert type(error.__cause__) is ValueError


def test_an_assertion_stays_one() -> None:
    """Handlers of AssertionError catch it; one without a text has the usual reason."""
    with pytest.raises(FailedAssertion) as info:
        User(age=3)
    assert isinstance(info.value, AssertionError)
    assert (str(info.value), info.value.fields, info.value.value) == ("Too young", ("age",), 3)
    with pytest.raises(FailedAssertion, match="is not allowed"):
        User(age=300)


def test_a_secret_is_not_carried() -> None:
    """A password that was refused could be the right one elsewhere."""
    with pytest.raises(InvalidValue) as info:
        User(password="hush")
    assert info.value.value is None


def test_an_error_of_one_s_own_is_raised_as_it_is() -> None:
    """A subclass of ValueError has a name to be caught by."""
    with pytest.raises(OwnError) as info:
        User(password="known")
    assert not isinstance(info.value, InvalidValue)


def test_what_a_validator_returns_is_kept() -> None:
    """Values are changed as before, and options of the decorator work."""
    user = User(name="ann", age=20)
    assert (user.name, user.age) == ("Ann", 20)
    pet = Pet()
    user.pets.append(pet)
    with pytest.raises(InvalidValue, match="Pets stay"):
        user.pets.remove(pet)


def test_the_mixin_itself_is_not_changed() -> None:
    """It may be used by models of another base."""
    with pytest.raises(ValueError, match="Only letters") as info:
        Named.check_name(User(), "name", "x1")
    assert type(info.value) is ValueError


def test_models_of_an_application_are_watched(app: Flask) -> None:
    """The extension does it for its base, of either kind."""
    db = SQLAlchemy(app)

    class Thing(db.Model):  # type: ignore[misc, name-defined] # a class made at run time
        id: Mapped[int] = mapped_column(primary_key=True)

        @validates("id")
        def check(self, key: str, value: int) -> int:
            raise ValueError("Never")

    with pytest.raises(InvalidValue, match="Never"):
        Thing(id=1)
