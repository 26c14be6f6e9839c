"""The JSON pages, seen from outside."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_retort.record_queries import get_recorded_queries
from shop import config, create_app
from shop.cdnow import purchases, wheel
from shop.db import db
from shop.models import Category, Order, OrderItem, Product, User
from shop.services import cdnow_import
from shop.services.orders import place_order
from shop.services.placing.submission import Line


@pytest.fixture
def _real_data(app: Flask, sample: Path) -> None:
    with wheel.open_lines(sample) as lines:
        survey = purchases.survey(lines)
    with app.app_context(), wheel.open_lines(sample) as lines:
        cdnow_import.import_purchases(survey, purchases.read(lines))


def get(client: FlaskClient, address: str) -> Any:
    """The JSON of an address that answers 200."""
    response = client.get(address)
    assert response.status_code == 200, response.text
    return response.json


def follow(client: FlaskClient, address: str | None) -> list[Any]:
    """The items of all pages from an address on, by their ``next`` links."""
    items: list[Any] = []
    while address:
        page = get(client, address)
        items += page["items"]
        address = page["links"].get("next")
    return items


@pytest.mark.usefixtures("_real_data")
@pytest.mark.parametrize("per_page", [1, 7, 100])
@pytest.mark.parametrize("address", ["/api/v1/products", "/api/v1/users"])
def test_pages_laid_end_to_end_are_the_whole(
    client: FlaskClient, address: str, per_page: int
) -> None:
    """At any page size, following ``next`` meets every row once and in order."""
    first = f"{address}?per_page={per_page}"
    ids = [item["id"] for item in follow(client, first)]
    assert len(ids) == get(client, first)["total"]
    assert ids == sorted(set(ids))


@pytest.mark.usefixtures("_real_data")
def test_links_lead_to_what_they_name(client: FlaskClient) -> None:
    """``last`` is the last page, and ``prev`` undoes ``next``."""
    page = get(client, "/api/v1/users?per_page=7")
    following = get(client, page["links"]["next"])
    last = get(client, page["links"]["last"])
    assert get(client, following["links"]["prev"]) == page
    assert "prev" not in page["links"]
    assert "next" not in last["links"]


@pytest.mark.usefixtures("_real_data")
def test_a_listed_thing_is_the_thing_itself(client: FlaskClient) -> None:
    """The ``self`` link of a list's item leads to the same representation."""
    for address in ("/api/v1/products", "/api/v1/users"):
        item = get(client, address)["items"][0]
        assert get(client, item["links"]["self"]) == item


@pytest.mark.usefixtures("_real_data")
def test_orders_of_a_user_are_those_of_the_file(client: FlaskClient, sample: Path) -> None:
    """Customer 00003's purchases are there, newest first, in exact dollars."""
    lines = [line.split() for line in sample.read_text("ascii").splitlines()]
    written = [(day, dollars) for customer, day, _, dollars in lines if customer == "00003"]
    user = next(u for u in follow(client, "/api/v1/users") if u["user_name"] == "cdnow-00003")
    orders = get(client, user["links"]["orders"])["items"]
    shown = [(order["ordered_at"][:10].replace("-", ""), order["total"]) for order in orders]
    assert len(written) > 1
    assert shown == sorted(written, reverse=True)
    for order in orders:
        paid = sum(Decimal(item["unit_price"]) * item["quantity"] for item in order["items"])
        assert Decimal(order["total"]) == paid
        assert all(item["product"]["name"].startswith("CD sold at ") for item in order["items"])


@pytest.mark.usefixtures("_real_data")
def test_nothing_personal_is_shown(client: FlaskClient) -> None:
    """No page that asks nobody who they are holds an e-mail address."""
    for address in ("/api/v1/users", "/api/v1/users/1", "/api/v1/users/1/orders"):
        assert "@" not in client.get(address).text


def statements_of_orders_page(app: Flask, orders: int) -> int:
    """The number of statements for the page of a new user with so many orders."""
    user = User(email=f"{orders}@example.org", user_name=f"buyer-{orders}")
    shelf = Category(name=f"Shelf {orders}")
    for number in range(orders):
        sku = f"{orders}-{number}"
        price = Decimal("1.00")
        product = Product(sku=sku, name=sku, price=price, category=shelf)
        item = OrderItem(product=product, quantity=1, unit_price=price)
        moment = dt.datetime.now(dt.UTC)
        user.orders.append(Order(number=sku, ordered_at=moment, total=price, items=[item]))
    with app.app_context():
        db.session.add(user)
        db.session.commit()
        address = f"/api/v1/users/{user.id}/orders"
    with app.test_client() as client:
        # Inside this block the request's context stays current, so its statements can be read.
        assert len(get(client, address)["items"]) == orders
        return len(get_recorded_queries())


def test_orders_cost_the_same_statements_for_two_and_ten(app: Flask) -> None:
    """A page of orders takes as many statements for 10 orders as for 2."""
    two, ten = (statements_of_orders_page(app, orders) for orders in (2, 10))
    assert 0 < two == ten


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/products/1", 404),
        ("GET", "/api/v1/users/1", 404),
        ("GET", "/api/v1/users/1/orders", 404),
        ("GET", "/api/v1/users/99999999999999999999", 404),
        ("GET", "/api/v1/products?page=0", 404),
        ("GET", "/api/v1/products?page=99999999999999999999", 404),
        ("POST", "/api/v1/products", 405),
    ],
)
def test_errors_are_problem_details(
    client: FlaskClient, method: str, address: str, status: int
) -> None:
    """Every refusal is application/problem+json with its status in the body (RFC 9457)."""
    response = client.open(address, method=method)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    problem = response.get_json(force=True)
    assert problem["status"] == status
    assert set(problem) == {"type", "title", "status", "detail"}
    assert (status == 405) == ("Allow" in response.headers)


def test_a_defect_tells_nothing(app: Flask) -> None:
    """An unexpected exception is a 500 without SQL, parameters or the exception's text."""
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with app.app_context():
        db.drop_all()
    response = app.test_client().get("/api/v1/products")
    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert "SELECT" not in response.text
    assert "products" not in response.text


def test_health_needs_the_database(client: FlaskClient) -> None:
    """The health page answers 200 while the database answers."""
    assert get(client, "/health") == {"status": "ok"}


def test_health_without_database_is_503() -> None:
    """With no server behind the URL the health page is 503, says when to ask again, no more."""
    app = create_app(config.Testing("postgresql+psycopg://shop:s3cret@127.0.0.1:1/shop"))
    response = app.test_client().get("/health")
    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert int(response.headers["Retry-After"]) > 0
    assert "s3cret" not in response.text
    assert "127.0.0.1" not in response.text


def test_the_entrance_leads_on(app: Flask, client: FlaskClient, market: Any) -> None:
    """Every address that the index names answers, once an id or a number is put in."""
    order = place_order(market.ann, [Line(market.products[0], 1)], "k")
    for name, address in get(client, "/").items():
        response = client.get(address.format(id=market.ann, number=order.number))
        assert response.status_code == (405 if name == "new_order" else 200)
