"""What the guard against models in JSON says, and that it changes no JSON."""

from __future__ import annotations

import gc
import re
from decimal import Decimal
from typing import Any

import flask
import pytest
from flask.json.provider import DefaultJSONProvider
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
)

from flask_retort.errors import GuardError, ORMInJSON

from .collection import Shop, new_shop
from .models import Product, User


class Base(DeclarativeBase):
    pass


class APIClient(Base):
    __tablename__ = "client"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    api_key: Mapped[str]
    pin: Mapped[int]
    shipping: Mapped[str]
    notes: Mapped[str] = mapped_column(deferred=True)


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class Customer(DataBase):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    password: Mapped[str]


class Page(DataBase):
    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)

    def __html__(self) -> str:
        return "<p>"


def refused(shop: Shop, value: object) -> str:
    with shop.push(), pytest.raises(ORMInJSON) as raised:
        flask.json.dumps(value)
    return str(raised.value)


def test_message(shop: Shop) -> None:
    """It names the model and the place, and writes the call with the model's columns."""
    message = refused(shop, {"users": [User(id=1, name="ada")]})
    assert message.startswith("An object of User was handed to JSON at ")
    assert "test_orm_in_json.py:" in message
    fields = "id=user.id, name=user.name, email=user.email, logins=user.logins"
    assert f"jsonify({fields})" in message
    assert f"[dict({fields}) for user in ...]" in message
    assert "db.allow('orm-in-json', 'User', reason=...)" in message
    assert message.endswith("[retort:orm-in-json]")


def test_it_is_an_error_of_both(shop: Shop) -> None:
    """Code that catches Flask's TypeError, or any guard's error, catches it."""
    with shop.push(), pytest.raises(TypeError) as raised:
        flask.jsonify(User())
    assert isinstance(raised.value, GuardError)


def test_secrets_are_left_out(shop: Shop) -> None:
    """The line to write has no column that is a secret by its name, or deferred."""
    message = refused(shop, APIClient())
    shown = re.search(r"jsonify\((.*?)\)", message)
    assert shown is not None
    assert re.findall(r"=api_client\.(\w+)", shown[1]) == ["id", "name", "shipping"]


def test_dataclass(shop: Shop) -> None:
    """A dataclass model is refused before Flask writes its secrets, which it does silently."""
    message = refused(shop, [Customer(1, "ada", "hunter2")])
    assert "writes every field, password included," in message
    assert "hunter2" not in message
    assert "jsonify(id=customer.id, name=customer.name)" in message


def test_dataclass_with_html(shop: Shop) -> None:
    """Flask asks a dataclass for its fields before it asks for its HTML."""
    refused(shop, Page(1))


@pytest.mark.parametrize("mode", ["count", "off"])
def test_flask_stays(mode: str) -> None:
    """Where the guard does not raise, Flask writes or refuses as it does."""
    with new_shop(RETORT_GUARDS=mode) as shop, shop.push():
        written = flask.json.loads(flask.json.dumps(Customer(1, "ada", "hunter2")))
        assert written == {"id": 1, "name": "ada", "password": "hunter2"}
        with pytest.raises(TypeError, match=r"^Object of type User is not") as raised:
            flask.json.dumps(User())
        assert type(raised.value) is TypeError
        found = {("orm-in-json", "Customer"): 1, ("orm-in-json", "User"): 1}
        assert shop.found == (found if mode == "count" else {})


def test_provider_of_later(shop: Shop) -> None:
    """A provider, or a default, that comes after the extension is watched from the next context."""
    shop.app.json = DefaultJSONProvider(shop.app)
    refused(shop, User())

    def default(value: Any) -> Any:
        return {"money": str(value)} if isinstance(value, Decimal) else refuse(value)

    refuse = DefaultJSONProvider.default
    assert isinstance(shop.app.json, DefaultJSONProvider)
    shop.app.json.default = default
    refused(shop, {"user": User(), "total": Decimal(1)})
    with shop.push():
        assert flask.json.loads(flask.json.dumps(Decimal(1))) == {"money": "1"}


def test_error_of_the_own_default(shop: Shop) -> None:
    """Another TypeError of the application's own default is handed on as it is."""

    def default(value: Any) -> Any:
        return value.stock + "x"

    assert isinstance(shop.app.json, DefaultJSONProvider)
    shop.app.json.default = default
    with shop.push(), pytest.raises(TypeError) as raised:
        flask.json.dumps(Product(stock=1))
    assert not isinstance(raised.value, GuardError)


def test_other_classes_are_not_touched(shop: Shop) -> None:
    """Of the provider's class nothing is changed: other applications are as they were."""
    other = flask.Flask("other")
    with other.app_context(), pytest.raises(TypeError) as raised:
        flask.json.dumps(User())
    assert type(raised.value) is TypeError
    assert shop.app.json is not other.json


def test_requests_are_not_signalled_to_it_for_ever(shop: Shop) -> None:
    """The first one shows the provider that the application has; a signal would cost all others."""
    shop.app.get("/")(lambda: "home")
    gc.collect()  # signals know their receivers weakly
    signals = (flask.appcontext_pushed, flask.request_started)
    before = [len(signal.receivers) for signal in signals]
    shop.client.get("/")
    assert [len(signal.receivers) for signal in signals] == [number - 1 for number in before]
