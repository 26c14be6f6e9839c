"""The road on PostgreSQL: one statement, which is its own transaction, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Integer, Numeric, Row, String, column, exc, text

from flask_retort.errors import Deadlock, SerializationFailure
from shop.db import db
from shop.services.placing import repeats
from shop.services.placing.refusals import (
    HIGHEST_TOTAL,
    KeyInProgress,
    Offer,
    UnknownBuyer,
    total_of,
)
from shop.services.placing.submission import Placed, Sale, Submission

_ATTEMPTS = 5

PLACE = """
WITH door AS MATERIALIZED (
    SELECT CASE
        WHEN EXISTS (
            SELECT FROM order_requests WHERE user_id = :user_id AND key_hash = :key_hash
        ) THEN 'repeated'
        WHEN NOT pg_try_advisory_xact_lock(CAST(:gate AS bigint)) THEN 'in progress'
        WHEN NOT EXISTS (SELECT FROM users WHERE id = :user_id AND active) THEN 'unknown buyer'
        ELSE 'open'
    END AS state
), cart AS (
    SELECT * FROM unnest(CAST(:products AS integer[]), CAST(:quantities AS integer[]))
        AS line (product_id, quantity)
), locked AS (
    SELECT id, price, stock FROM products
    WHERE id = ANY (CAST(:products AS integer[])) AND (SELECT state FROM door) = 'open'
    ORDER BY id FOR NO KEY UPDATE
), sale AS (
    SELECT cart.product_id, cart.quantity, locked.price, locked.stock
    FROM cart JOIN locked ON locked.id = cart.product_id
), filled AS (
    SELECT sum(price * quantity) AS total FROM sale
    HAVING count(*) = :lines
        AND bool_and(stock >= quantity) AND sum(price * quantity) <= :highest_total
), taken AS (
    UPDATE products SET stock = products.stock - sale.quantity
    FROM sale, filled WHERE products.id = sale.product_id
), placed AS (
    INSERT INTO orders (number, user_id, ordered_at, total)
    SELECT :number, :user_id, :ordered_at, total FROM filled
    RETURNING id, total
), itemized AS (
    INSERT INTO order_items (order_id, product_id, quantity, unit_price)
    SELECT placed.id, sale.product_id, sale.quantity, sale.price FROM placed, sale
), claimed AS (
    INSERT INTO order_requests (user_id, key_hash, fingerprint, order_number, created_at)
    SELECT :user_id, :key_hash, :fingerprint, :number, :ordered_at FROM placed
)
SELECT door.state, placed.total, sale.product_id, sale.quantity, sale.price, sale.stock
FROM door LEFT JOIN placed ON true LEFT JOIN sale ON true
"""
"""Locks the products in the order of their keys; waits for whoever has them, and sees what they
left. Then does all or nothing.

At READ COMMITTED a statement sees the rows as they were when it began, except for those that it
locks or changes: of these it takes the newest version (EvalPlanQual, in PostgreSQL's sources). So
``locked`` has the stock of this very moment, and nobody can change it before the end; ``taken``,
which finds the old version, follows it to the one that is locked. It has no condition of its own:
no line can get lost quietly, and the table's check of the stock would fail the whole statement.

What ``door`` sees is of the beginning. If the first submission commits between the beginning and
the lock on its key, the repeat finds the key free and no request. If it could be filled again, its
own request is refused by the unique constraint, which undoes the statement, and the next attempt
sees the first one; if not, ``_answer_unplaced`` looks for the first one before it refuses.
"""

# With its columns: SQLAlchemy would look them up anew at each run.
_PLACE = text(PLACE).columns(
    column("state", String),
    column("total", Numeric),
    column("product_id", Integer),
    column("quantity", Integer),
    column("price", Numeric),
    column("stock", Integer),
)


def place(submission: Submission) -> Placed:
    """Place the order.

    A connection that is lost leaves the caller not knowing; the same key asks again.

    :raises OrderRefused: why not.
    :raises RetryInTransaction: the session's transaction has changes, or somebody else will end it.
    """
    if db.session().in_transaction():
        _end_reading()
    rows = _execute(submission)
    first = rows[0]
    if first.total is None:
        return _answer_unplaced(submission, rows)
    sales = tuple(sorted(Sale(row.product_id, row.quantity, row.price) for row in rows))
    return Placed(submission.number, submission.user_id, submission.ordered_at, first.total, sales)


def parameters(submission: Submission) -> dict[str, Any]:
    """What the statement is sent with."""
    return {
        # 60 bits of the hash: two keys that meet there would see each other as in progress.
        "gate": int(submission.key_hash[:15], 16) ^ submission.user_id,
        "user_id": submission.user_id,
        "key_hash": submission.key_hash,
        "fingerprint": submission.fingerprint,
        "number": submission.number,
        "ordered_at": submission.ordered_at,
        "products": [line.product_id for line in submission.lines],
        "quantities": [line.quantity for line in submission.lines],
        "lines": len(submission.lines),
        "highest_total": HIGHEST_TOTAL,
    }


@db.transaction(retry=1)
def _end_reading() -> None:
    """Do nothing, in a new transaction: one that has only read is ended, any other is refused.

    The statement, on a connection of its own, would wait for the other's locks for ever.
    """


def _execute(submission: Submission) -> Sequence[Row[Any]]:
    values = parameters(submission)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with db.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                return connection.execute(_PLACE, values).all()
        except (exc.IntegrityError, Deadlock, SerializationFailure):
            # Key, product or user have changed meanwhile; or somebody locks in another order.
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _answer_unplaced(submission: Submission, rows: Sequence[Row[Any]]) -> Placed:
    # Whatever the statement saw: an earlier submission may have ended since it began.
    answer = repeats.first_answer(submission)
    if answer is not None:
        return answer
    state = rows[0].state
    if state == "unknown buyer":
        raise UnknownBuyer()
    if state == "open":
        found = [row for row in rows if row.product_id is not None]
        offers = {row.product_id: Offer(row.price, row.stock) for row in found}
        total_of(submission.lines, offers)
        raise AssertionError("the statement refuses exactly what total_of refuses")
    # Or the earlier one was forgotten a moment ago; either way, asking again settles it.
    raise KeyInProgress()
