"""The pieces of products, locked and moved."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select, text, update

from shop.models import Order, OrderItem, Product
from shop.services.placing.refusals import Offer
from shop.services.placing.submission import Line

# One statement locks all rows, in the order of their keys. SQLite's writers take turns anyway. Of
# PostgreSQL's locks the one that lets others refer to the rows.
_LOCK = (
    select(Product.id, Product.price, Product.stock)
    .where(Product.id.in_(bindparam("ids", expanding=True)))
    .order_by(Product.id)
    .with_for_update(key_share=True)
)
_LOCK_OF_ORDER = (
    select(OrderItem.product_id, OrderItem.quantity)
    .join(OrderItem.order)
    .join(OrderItem.product)
    .where(Order.number == bindparam("number"))
    .order_by(OrderItem.product_id)
    .with_for_update(key_share=True)
)
_MOVE = (
    update(Product)
    .where(Product.id == bindparam("product_id"))
    .values(stock=Product.stock + bindparam("pieces"))
)
# For any number of lines in one round trip, where executemany would take one for each.
_MOVE_ON_MARIADB = text(
    "UPDATE products JOIN JSON_TABLE(:lines, '$[*]' COLUMNS"
    " (product_id INT PATH '$[0]', pieces INT PATH '$[1]')) AS line"
    " ON line.product_id = products.id"
    " SET products.stock = products.stock + line.pieces"
)


def lock(connection: Connection, product_ids: Iterable[int]) -> dict[int, Offer]:
    """What there is of these products, by id; it stays so until the end of the transaction."""
    rows = connection.execute(_LOCK, {"ids": list(product_ids)})
    return {product_id: Offer(price, stock) for product_id, price, stock in rows}


def lock_order(connection: Connection, number: str) -> list[Line]:
    """The lines of an order, their products locked like those of :func:`lock`."""
    return [Line(*row) for row in connection.execute(_LOCK_OF_ORDER, {"number": number})]


def take(connection: Connection, lines: Iterable[Line]) -> None:
    """Take the pieces of the lines; the table's check refuses to go below nothing."""
    _move(connection, [(product_id, -quantity) for product_id, quantity in lines])


def give_back(connection: Connection, lines: Iterable[Line]) -> None:
    """Undo :func:`take`."""
    _move(connection, [(product_id, quantity) for product_id, quantity in lines])


def _move(connection: Connection, lines: list[tuple[int, int]]) -> None:
    if connection.dialect.name in ("mysql", "mariadb"):
        connection.execute(_MOVE_ON_MARIADB, {"lines": json.dumps(lines)})
    else:
        names = ("product_id", "pieces")
        connection.execute(_MOVE, [dict(zip(names, line, strict=True)) for line in lines])
