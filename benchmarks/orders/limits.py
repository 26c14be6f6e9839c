"""The limit: the same rows written by hand in the bare driver, on one kept connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from shop.services.placing.submission import Line

from .ways import OutOfStock, Place, values

_POSTGRESQL = """
WITH cart AS (
    SELECT * FROM unnest(%(products)s::int[], %(quantities)s::int[]) AS line (id, quantity)
), locked AS (
    SELECT id, price, stock FROM products WHERE id = ANY (%(products)s::int[])
    ORDER BY id FOR NO KEY UPDATE
), sale AS (
    SELECT * FROM cart JOIN locked USING (id)
), filled AS (
    SELECT sum(price * quantity) AS total FROM sale
    HAVING count(*) = %(lines)s AND bool_and(stock >= quantity)
), taken AS (
    UPDATE products SET stock = products.stock - quantity
    FROM sale, filled WHERE products.id = sale.id
), placed AS (
    INSERT INTO orders (number, user_id, ordered_at, total)
    SELECT %(number)s, %(user_id)s, %(now)s, total FROM filled RETURNING id, total
), items AS (
    INSERT INTO order_items (order_id, product_id, quantity, unit_price)
    SELECT placed.id, sale.id, quantity, price FROM placed, sale
), request AS (
    INSERT INTO order_requests (user_id, key_hash, fingerprint, order_number, created_at)
    SELECT %(user_id)s, %(key_hash)s, %(key_hash)s, %(number)s, %(now)s FROM placed
)
SELECT total FROM placed
"""
_REQUEST = (
    "INSERT INTO order_requests (user_id, key_hash, fingerprint, order_number, created_at)"
    " VALUES ({0}, {0}, {0}, {0}, {0})"
)
_LOCK = "SELECT id, price, stock FROM products WHERE id IN ({}) ORDER BY id"
_ORDER = "INSERT INTO orders (number, user_id, ordered_at, total) VALUES ({0}, {0}, {0}, {0})"
_ITEMS = (
    "INSERT INTO order_items (order_id, product_id, quantity, unit_price)"
    " VALUES ({0}, {0}, {0}, {0})"
)
_TAKE = (
    "UPDATE products JOIN JSON_TABLE(%s, '$[*]' COLUMNS (id INT PATH '$[0]', pieces INT PATH"
    " '$[1]')) AS line USING (id) SET stock = stock - pieces"
)


def psycopg(url: sa.URL) -> Place:
    """One statement, in autocommit."""
    import psycopg

    connection: Any = psycopg.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        dbname=url.database,
        autocommit=True,
    )

    def place(user_id: int, lines: Sequence[Line]) -> None:
        products, quantities = zip(*lines, strict=True)
        found = connection.execute(
            _POSTGRESQL,
            {
                **values(user_id),
                "products": list(products),
                "quantities": list(quantities),
                "lines": len(lines),
            },
        ).fetchone()
        if found is None:
            raise OutOfStock

    return place


def pymysql(url: sa.URL) -> Place:
    """Five statements and COMMIT; rows locked in the order of their keys."""
    import pymysql

    connection = pymysql.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        database=url.database,
        charset="utf8mb4",
    )

    def place(user_id: int, lines: Sequence[Line]) -> None:
        cursor = connection.cursor()
        try:
            _in_transaction(cursor, user_id, lines, "%s", " FOR UPDATE")
            connection.commit()
        except BaseException:
            connection.rollback()
            raise

    return place


def sqlite(url: sa.URL) -> Place:
    """Five statements between BEGIN IMMEDIATE and COMMIT; waits by SQLite's own busy handler."""
    assert url.database is not None
    connection = sqlite3.connect(
        url.database, isolation_level=None, timeout=20, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")

    def place(user_id: int, lines: Sequence[Line]) -> None:
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            _in_transaction(cursor, user_id, lines, "?", "")
            cursor.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise

    return place


def _in_transaction(
    cursor: Any, user_id: int, lines: Sequence[Line], mark: str, locking: str
) -> None:
    new = values(user_id)
    now = new["now"].replace(tzinfo=None)
    now = now if locking else str(now)
    cursor.execute(
        _REQUEST.format(mark), (user_id, new["key_hash"], new["key_hash"], new["number"], now)
    )
    ids = [line.product_id for line in lines]
    cursor.execute(_LOCK.format(", ".join([mark] * len(ids))) + locking, ids)
    found = {row[0]: row[1:] for row in cursor.fetchall()}
    if any(found[line.product_id][1] < line.quantity for line in lines):
        raise OutOfStock
    total = sum(found[line.product_id][0] * line.quantity for line in lines)
    if locking:
        cursor.execute(_TAKE, (json.dumps(lines),))
    else:
        pieces = [(line.quantity, line.product_id) for line in lines]
        cursor.executemany("UPDATE products SET stock = stock - ? WHERE id = ?", pieces)
    cursor.execute(_ORDER.format(mark), (new["number"], user_id, now, total))
    order_id = cursor.lastrowid
    cursor.executemany(
        _ITEMS.format(mark), [(order_id, *line, found[line.product_id][0]) for line in lines]
    )
