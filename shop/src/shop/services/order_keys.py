"""Idempotency keys that nobody will send again."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import delete, func, select

from shop.db import db
from shop.models import OrderRequest


@db.transaction(retry=3)
def forget_keys(before: dt.datetime) -> int:
    """Delete the keys that were used before this moment, and say how many; the orders stay.

    Such a key, sent again, is a new one. Emits two statements; orders can be placed meanwhile.
    """
    connection = db.session.connection()
    is_old = OrderRequest.created_at < before
    newest = connection.scalar(select(func.max(OrderRequest.id)).where(is_old))
    if newest is None:
        return 0
    # With the primary key: MariaDB locks each row that a DELETE reads, also those it leaves.
    return connection.execute(
        delete(OrderRequest).where(OrderRequest.id <= newest, is_old)
    ).rowcount
