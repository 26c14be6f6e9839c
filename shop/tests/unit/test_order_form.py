"""What is let through as an order, without any database."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from shop import config, create_app
from shop.api.order_form import read_key, read_order
from shop.api.refusals import Refusal
from shop.services.placing.submission import Line

LINE = {"product_id": 1, "quantity": 1}
ORDER = {"user_id": 1, "items": [LINE]}


@pytest.fixture(scope="module")
def app() -> Flask:
    """A shop whose database nobody asks."""
    return create_app(config.Testing("sqlite://"))


def refusal(app: Flask, **request: Any) -> Refusal:
    """The refusal of the order in a request."""
    with app.test_request_context(method="POST", **request), pytest.raises(Refusal) as caught:
        read_order()
    return caught.value


def test_an_order_is_read(app: Flask) -> None:
    """The largest order that is let through keeps the order of its lines."""
    items = [{"product_id": 2**31 - n, "quantity": 10_000} for n in range(1, 101)]
    with app.test_request_context(method="POST", json={"user_id": 2**31 - 1, "items": items}):
        form = read_order()
    assert form.user_id == 2**31 - 1
    assert form.lines() == [Line(2**31 - n, 10_000) for n in range(1, 101)]
    assert form.item_of(2**31 - 7) == 6


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"user_id": "1"}, ["#/user_id"]),
        ({"user_id": 2**31}, ["#/user_id"]),
        ({"user_id": None}, ["#/user_id"]),
        ({"items": []}, ["#/items"]),
        ({"items": LINE}, ["#/items"]),
        ({"items": [{"product_id": n, "quantity": 1} for n in range(1, 102)]}, ["#/items"]),
        ({"items": [{"product_id": 1, "quantity": 0}]}, ["#/items/0/quantity"]),
        ({"items": [{"product_id": 1, "quantity": 10_001}]}, ["#/items/0/quantity"]),
        ({"items": [{"product_id": 1, "quantity": 1.5}]}, ["#/items/0/quantity"]),
        ({"items": [{"product_id": 1, "quantity": True}]}, ["#/items/0/quantity"]),
        ({"items": [{"product_id": 0}]}, ["#/items/0/product_id", "#/items/0/quantity"]),
        ({"items": [LINE, LINE]}, ["#/items/1/product_id"]),
        ({"total": "0.01"}, ["#/total"]),
        ({"a/b ~\u00e9": 1}, ["#/a~1b%20~0%C3%A9"]),
    ],
)
def test_each_fault_has_a_pointer(app: Flask, change: dict[str, Any], pointers: list[str]) -> None:
    """422 names every fault by its place in the body (RFC 6901, in a URI fragment)."""
    refused = refusal(app, json=ORDER | change)
    assert refused.error.code == 422
    assert [fault.pointer for fault in refused.faults] == pointers
    assert all(fault.detail for fault in refused.faults)


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b"{}", "text/plain", 415),
    ],
)
def test_what_is_no_order_is_refused(
    app: Flask, data: bytes, content_type: str, status: int
) -> None:
    """Whatever the body holds, it is a refusal and not a defect."""
    assert refusal(app, data=data, content_type=content_type).error.code == status


@pytest.mark.parametrize("key", ["k", "k" * 255, "550e8400-e29b-41d4-a716-446655440000", '"a b"'])
def test_a_key_is_taken_as_it_is(app: Flask, key: str) -> None:
    """Any printable ASCII will do."""
    with app.test_request_context(headers={"Idempotency-Key": key}):
        assert read_key() == key


@pytest.mark.parametrize("key", [None, "", "k" * 256, "k\tk", "k\u00e9"])
def test_no_key_is_400(app: Flask, key: str | None) -> None:
    """Without a key, or with one that is no key, the request goes no further."""
    headers = {} if key is None else {"Idempotency-Key": key}
    with app.test_request_context(headers=headers), pytest.raises(Refusal) as caught:
        read_key()
    assert caught.value.error.code == 400
