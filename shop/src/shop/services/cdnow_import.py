"""Importing the CDNOW purchases: each becomes an order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from shop.cdnow import catalogue
from shop.cdnow.purchases import Purchase, Survey
from shop.db import Base, db
from shop.errors import ShopError
from shop.models import Category, DataImport, Order, OrderItem, Product, User

CHUNK = 2_000
NAME = "cdnow"

T = TypeVar("T")
Row = Mapping[str, Any]


class AlreadyImportedError(ShopError):
    """Another process has imported the purchases since this one looked."""


def is_imported() -> bool:
    """Whether the purchases are in the database already."""
    return db.session.scalar(select(DataImport.id).where(DataImport.name == NAME)) is not None


def import_purchases(
    survey: Survey,
    purchases: Iterable[Purchase],
    on_progress: Callable[[int], None] = lambda count: None,
) -> None:
    """Insert customers, products, orders and items in one transaction: all of them or nothing.

    Emits about six statements for each 2,000 purchases; memory grows with customers and products,
    not with purchases.

    :param survey: what the file holds.
    :param purchases: the same file, read again.
    :param on_progress: called after each chunk with the number of purchases in it.
    :raises AlreadyImportedError: another process did; nothing is written then.
    """
    try:
        _claim()
        user_ids = _insert_users(survey.customers)
        product_ids = _insert_products(survey.unit_prices)
        for chunk in _chunks(purchases):
            _insert_orders(chunk, user_ids, product_ids)
            on_progress(len(chunk))
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


def _claim() -> None:
    # First of all, so that a second import waits here for the end of this one, and then stops.
    try:
        _insert(DataImport, [{"name": NAME, "imported_at": dt.datetime.now(dt.UTC)}])
    except IntegrityError:
        raise AlreadyImportedError(
            "Another process has imported the CDNOW purchases meanwhile."
        ) from None


def _insert_users(customers: Iterable[str]) -> dict[str, int]:
    """The id of each customer's user."""
    ids: dict[str, int] = {}
    for chunk in _chunks(customers):
        names = {customer: f"cdnow-{customer}" for customer in chunk}
        # ".invalid" is reserved (RFC 2606): no mail can ever reach anybody.
        _insert(User, [{"user_name": n, "email": f"{n}@customers.invalid"} for n in names.values()])
        found = _ids_by(User.user_name, names.values())
        ids.update((customer, found[name]) for customer, name in names.items())
    return ids


def _insert_products(unit_prices: Sequence[int]) -> dict[int, int]:
    """The id of the product that stands for each unit price, in cents."""
    names = dict.fromkeys(catalogue.category(cents) for cents in unit_prices)
    _insert(Category, [{"name": name} for name in names])
    categories = _ids_by(Category.name, names)
    ids: dict[int, int] = {}
    for chunk in _chunks(unit_prices):
        _insert(Product, [_product(cents, categories) for cents in chunk])
        found = _ids_by(Product.sku, map(catalogue.sku, chunk))
        ids.update((cents, found[catalogue.sku(cents)]) for cents in chunk)
    return ids


def _product(cents: int, categories: Mapping[str, int]) -> Row:
    return {
        "sku": catalogue.sku(cents),
        "name": catalogue.name(cents),
        "price": catalogue.list_price(cents),
        "category_id": categories[catalogue.category(cents)],
    }


def _insert_orders(
    purchases: Sequence[Purchase], user_ids: Mapping[str, int], product_ids: Mapping[int, int]
) -> None:
    _insert(Order, [_order(purchase, user_ids) for purchase in purchases])
    ids = _ids_by(Order.number, map(_number, purchases))
    items = [
        {
            "order_id": ids[_number(purchase)],
            "product_id": product_ids[cents],
            "quantity": quantity,
            "unit_price": catalogue.money(cents),
        }
        for purchase in purchases
        for cents, quantity in purchase.items()
    ]
    _insert(OrderItem, items)


def _order(purchase: Purchase, user_ids: Mapping[str, int]) -> Row:
    return {
        "number": _number(purchase),
        "user_id": user_ids[purchase.customer],
        "ordered_at": purchase.day,
        "total": catalogue.money(purchase.cents),
    }


def _number(purchase: Purchase) -> str:
    return f"CDNOW-{purchase.line:06}"


def _insert(model: type[Base], rows: Sequence[Row]) -> None:
    db.session.connection().execute(insert(model), rows)


def _ids_by(key: InstrumentedAttribute[str], values: Iterable[str]) -> dict[str, int]:
    """Ids by natural key: not every back end can hand back the ids of many inserted rows."""
    model = key.class_
    return dict(db.session.execute(select(key, model.id).where(key.in_(values))).all())


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
