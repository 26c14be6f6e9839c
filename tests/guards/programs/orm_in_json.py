"""Programs that hand objects of models to JSON, and such that hand over what they mean."""

from __future__ import annotations

import dataclasses
import enum
import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import flask
import sqlalchemy as sa
from flask.json.provider import DefaultJSONProvider, JSONProvider
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Order, Post, Product, User


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class Customer(DataBase):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    email: Mapped[str]


class Badge(DeclarativeBase):
    pass


class Label(Badge):
    """Knows how it is shown in a page."""

    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __html__(self) -> str:
        return f"<b>{self.name}</b>"


def ask(shop: Shop, path: str) -> Any:
    """The status or JSON of an answer; a view that fails answers 500."""
    shop.app.config["PROPAGATE_EXCEPTIONS"] = False
    response = shop.client.get(path)
    return response.json if response.is_json else response.status_code


@must_fire("orm-in-json", "User")
def a_view_jsonifies_an_object(shop: Shop) -> None:
    @shop.app.get("/users/<int:user_id>")
    def user(user_id: int) -> flask.Response:
        return flask.jsonify(shop.db.get_or_404(User, user_id))

    assert ask(shop, "/users/1") == 500


@must_fire("orm-in-json", "User")
def a_view_returns_a_list_of_objects(shop: Shop) -> None:
    @shop.app.get("/users")
    def users() -> list[Any]:
        return list(shop.db.session.scalars(select(User)))

    assert ask(shop, "/users") == 500


@must_fire("orm-in-json", "Post")
def a_view_returns_a_dict_with_objects_in_it(shop: Shop) -> None:
    @shop.app.get("/feed")
    def feed() -> dict[str, Any]:
        user = shop.db.get_or_404(User, 1)
        return {"name": user.name, "posts": user.posts}

    assert ask(shop, "/feed") == 500


@must_fire("orm-in-json", "Customer")
def a_view_jsonifies_a_dataclass_model(shop: Shop) -> None:
    @shop.app.get("/customers")
    def customers() -> flask.Response:
        return flask.jsonify(shop.db.session.scalars(select(Customer)).all())

    assert [customer["name"] for customer in ask(shop, "/customers")] == ["ada", "bob"]


@must_fire("orm-in-json", "Product")
def a_command_exports_with_the_json_of_the_application(shop: Shop) -> None:
    with shop.push():
        products = shop.db.session.scalars(select(Product)).all()
        with suppress(TypeError):
            flask.json.dumps(products)


@must_fire("orm-in-json", "Order")
def an_error_handler_returns_the_object(shop: Shop) -> None:
    @shop.app.errorhandler(LookupError)
    def conflict(error: LookupError) -> tuple[dict[str, Any], int]:
        return {"order": shop.db.session.get(Order, 1)}, 409

    @shop.app.get("/orders")
    def orders() -> str:
        raise LookupError

    assert ask(shop, "/orders") == 500


@must_fire("orm-in-json", "User")
def rows_of_a_select_of_entities_are_returned(shop: Shop) -> None:
    @shop.app.get("/authors")
    def authors() -> list[Any]:
        rows = shop.db.session.execute(select(User, Post.title).join(User.posts))
        return [tuple(row) for row in rows]

    assert ask(shop, "/authors") == 500


@must_fire("orm-in-json", "User")
def a_template_writes_an_object_for_its_script(shop: Shop) -> None:
    @shop.app.get("/page")
    def page() -> str:
        user = shop.db.session.get(User, 1)
        template = "<script>let user = {{ user|tojson }}</script>"
        return flask.render_template_string(template, user=user)

    assert ask(shop, "/page") == 500


@must_fire("orm-in-json", "User")
def the_own_default_knows_decimals_only(shop: Shop) -> None:
    class MoneyProvider(DefaultJSONProvider):
        @staticmethod
        def default(o: Any) -> Any:
            return float(o) if isinstance(o, Decimal) else DefaultJSONProvider.default(o)

    shop.app.json = MoneyProvider(shop.app)

    @shop.app.get("/user")
    def user() -> dict[str, Any]:
        return {"user": shop.db.session.get(User, 1), "balance": Decimal("1.5")}

    assert ask(shop, "/user") == 500


@must_fire("orm-in-json", "Customer")
def a_dataclass_is_hidden_in_a_dict(shop: Shop) -> None:
    @shop.app.get("/customers/<int:customer_id>")
    def customer(customer_id: int) -> dict[str, Any]:
        return {"customer": shop.db.session.get(Customer, customer_id)}

    assert "email" in ask(shop, "/customers/1")["customer"]


@must_not_fire("orm-in-json")
def a_view_names_its_fields(shop: Shop) -> None:
    @shop.app.get("/users/<int:user_id>")
    def user(user_id: int) -> dict[str, Any]:
        user = shop.db.get_or_404(User, user_id)
        return {"id": user.id, "name": user.name, "posts": [post.title for post in user.posts]}

    assert ask(shop, "/users/1")["name"] == "ada"


@must_not_fire("orm-in-json")
def rows_of_columns_are_written_as_dicts(shop: Shop) -> None:
    @shop.app.get("/users")
    def users() -> list[Any]:
        return [row._asdict() for row in shop.db.session.execute(select(User.id, User.name))]

    assert ask(shop, "/users")[0] == {"id": 1, "name": "ada"}


@must_not_fire("orm-in-json")
def the_own_default_writes_models(shop: Shop) -> None:
    def default(o: Any) -> Any:
        if isinstance(o, User):
            return {"id": o.id, "name": o.name}
        return DefaultJSONProvider.default(o)

    assert isinstance(shop.app.json, DefaultJSONProvider)
    shop.app.json.default = default

    @shop.app.get("/user")
    def user() -> dict[str, Any]:
        return {"user": shop.db.session.get(User, 1)}

    assert ask(shop, "/user") == {"user": {"id": 1, "name": "ada"}}


@must_not_fire("orm-in-json")
def the_own_provider_writes_models(shop: Shop) -> None:
    class Encoder(json.JSONEncoder):
        def default(self, o: Any) -> Any:
            return {column.key: getattr(o, column.key) for column in sa.inspect(o).mapper.columns}

    class ModelProvider(JSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return json.dumps(obj, cls=Encoder)

        def loads(self, s: str | bytes, **kwargs: Any) -> Any:
            return json.loads(s)

    shop.app.json = ModelProvider(shop.app)

    @shop.app.get("/user")
    def user() -> flask.Response:
        return flask.jsonify(shop.db.session.get(User, 1))

    assert ask(shop, "/user")["email"] == "ada@example.com"


@must_not_fire("orm-in-json")
def the_own_default_writes_dataclass_models(shop: Shop) -> None:
    class PublicProvider(DefaultJSONProvider):
        @staticmethod
        def default(o: Any) -> Any:
            if isinstance(o, Customer):
                return {"name": o.name}
            return DefaultJSONProvider.default(o)

    shop.app.json = PublicProvider(shop.app)

    @shop.app.get("/customers")
    def customers() -> list[Any]:
        return list(shop.db.session.scalars(select(Customer)))

    assert ask(shop, "/customers") == [{"name": "ada"}, {"name": "bob"}]


@must_not_fire("orm-in-json")
def a_dataclass_that_is_not_mapped_is_the_answer(shop: Shop) -> None:
    @dataclasses.dataclass
    class Summary:
        users: int
        total: Decimal

    @shop.app.get("/summary")
    def summary() -> flask.Response:
        count = shop.db.session.scalar(select(sa.func.count()).select_from(User))
        return flask.jsonify(Summary(count or 0, Decimal("6.00")))

    assert ask(shop, "/summary") == {"users": 2, "total": "6.00"}


@must_not_fire("orm-in-json")
def an_object_that_shows_itself_as_html(shop: Shop) -> None:
    with shop.push():
        label = shop.db.session.get(Label, 1)
        assert flask.json.dumps(label) == '"<b>news</b>"'


@must_not_fire("orm-in-json")
def an_object_writes_itself_as_a_dict(shop: Shop) -> None:
    def as_json(user: User) -> dict[str, Any]:
        return {"name": user.name, "email": user.email}

    @shop.app.get("/users")
    def users() -> list[Any]:
        return [as_json(user) for user in shop.db.session.scalars(select(User))]

    assert len(ask(shop, "/users")) == 2


@must_not_fire("orm-in-json")
def a_schema_class_is_written_by_its_own_method(shop: Shop) -> None:
    class UserOut:
        def __init__(self, user: User) -> None:
            self.user = user

        def model_dump(self) -> dict[str, Any]:
            return {"name": self.user.name}

    @shop.app.get("/user")
    def user() -> dict[str, Any]:
        return UserOut(shop.db.get_or_404(User, 1)).model_dump()

    assert ask(shop, "/user") == {"name": "ada"}


@must_not_fire("orm-in-json")
def something_else_is_not_serializable(shop: Shop) -> None:
    class Colour(enum.Enum):
        RED = "red"

    @shop.app.get("/colour")
    def colour() -> dict[str, Any]:
        return {"colour": Colour.RED, "names": {"ada", "bob"}}

    assert ask(shop, "/colour") == 500


@must_not_fire("orm-in-json")
def a_call_brings_a_default_of_its_own(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get(User, 1)
        assert json.loads(shop.app.json.dumps(user, default=lambda o: o.name)) == "ada"
