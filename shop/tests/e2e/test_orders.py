"""Placing and cancelling orders, seen from outside."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

ORDERS = "/api/v1/orders"


@pytest.fixture
def shop(client: FlaskClient, market: Any) -> Shop:
    """The shop with things in it."""
    return Shop(client, market)


class Shop:
    """A client who knows who Ann is, and what there is to buy."""

    def __init__(self, client: FlaskClient, market: Any) -> None:
        self.client, self.market = client, market

    def body(self, *items: tuple[int, int]) -> dict[str, Any]:
        """Ann's order of these products, each with its quantity."""
        lines = [{"product_id": product, "quantity": quantity} for product, quantity in items]
        return {"user_id": self.market.ann, "items": lines}

    def order(self, body: Any, key: str | None = "k") -> TestResponse:
        """Send an order."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.client.post(ORDERS, json=body, headers=headers)


def content(response: TestResponse, status: int = 200) -> Any:
    """The JSON of an answer with this status."""
    assert response.status_code == status, response.text
    return response.json


def problem(response: TestResponse, status: int) -> Any:
    """The problem that the shop answers with this status."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    return response.get_json(force=True)


def test_an_order_is_created_once(shop: Shop) -> None:
    """201 with its address; the repeat is the same in status, body and address."""
    first, second = shop.market.products[:2]
    created = shop.order(shop.body((second, 3), (first, 1)))
    order = content(created, 201)
    assert (order["total"], order["cancelled_at"]) == ("7.70", None)
    lines = [(item["product"]["id"], item["quantity"]) for item in order["items"]]
    assert lines == [(first, 1), (second, 3)]
    assert created.location == order["links"]["self"]
    repeated = shop.order(shop.body((second, 3), (first, 1)))
    assert (repeated.status_code, repeated.data) == (201, created.data)
    assert repeated.location == created.location
    assert shop.market.orders() == 1


def test_nobody_gets_an_answer_to_anothers_key(shop: Shop) -> None:
    """Bob, with Ann's key and cart, places an order of his own."""
    body = shop.body((shop.market.products[0], 1))
    anns = content(shop.order(body), 201)
    bobs = content(shop.order(body | {"user_id": shop.market.bob}), 201)
    assert bobs["number"] != anns["number"]
    assert shop.market.orders() == 2


def test_the_address_of_an_order_leads_to_it(shop: Shop) -> None:
    """It shows what was answered, and the names of the products beside."""
    created = content(shop.order(shop.body((shop.market.products[0], 2))), 201)
    shown = content(shop.client.get(created["links"]["self"]))
    for item in shown["items"]:
        assert item["product"].pop("name").startswith("CD ")
    assert shown == created


def test_an_order_is_cancelled_once(shop: Shop) -> None:
    """The second cancellation is answered like the first; the stock comes back one time."""
    product = shop.market.products[0]
    links = content(shop.order(shop.body((product, 2))), 201)["links"]
    assert shop.market.stock(product) == 98
    first, second = (content(shop.client.post(links["cancellation"])) for _ in range(2))
    assert first["cancelled_at"] is not None
    assert first == second == content(shop.client.get(links["self"]))
    assert shop.market.stock(product) == 100


def test_what_can_not_be_filled_is_pointed_at(shop: Shop) -> None:
    """409 names the lines by their place in the request, and says what is left of each."""
    first, second, third = shop.market.products[:3]
    answer = problem(shop.order(shop.body((third, 101), (first, 1), (second, 102))), 409)
    assert [(e["pointer"], e["available"]) for e in answer["errors"]] == [
        ("#/items/2/quantity", 100),
        ("#/items/0/quantity", 100),
    ]
    assert shop.market.orders() == 0


def test_another_order_under_the_same_key_is_422(shop: Shop) -> None:
    """The key stands for what was sent with it first."""
    product = shop.market.products[0]
    shop.order(shop.body((product, 1)))
    assert "Idempotency-Key" in problem(shop.order(shop.body((product, 2))), 422)["detail"]


def test_what_is_wrong_is_pointed_at(shop: Shop) -> None:
    """422 for what can't be read, and for what is not there, by its place in the request."""
    product = shop.market.products[0]
    wrong: dict[str, dict[str, Any]] = {
        "#/user_id": {"user_id": 999},
        "#/items/1/product_id": {"items": [*shop.body((product, 1), (999, 1))["items"]]},
        "#/items/0/quantity": {"items": [{"product_id": product, "quantity": 0}]},
        "#/total": {"total": "0.01"},
    }
    for pointer, change in wrong.items():
        answer = problem(shop.order(shop.body((product, 1)) | change), 422)
        assert [error["pointer"] for error in answer["errors"]] == [pointer]
    problem(shop.order(shop.body((product, 1)), key=None), 400)
    assert shop.market.orders() == 0


def test_unknown_orders_are_404(shop: Shop) -> None:
    """There is neither an order nor a cancellation where there is no order."""
    problem(shop.client.get(f"{ORDERS}/nothing"), 404)
    problem(shop.client.post(f"{ORDERS}/nothing/cancellation"), 404)
