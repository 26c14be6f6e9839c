"""Submissions of orders, by their idempotency keys."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from shop.db import Base


class OrderRequest(Base):
    """The submission that an order was made of; submitted again, it gets the same answer.

    It is written in the order's transaction, so a submission that failed leaves none. Keys are kept
    as hashes: collations that take ``a`` and ``A`` for equal can't mix two keys up.
    """

    __tablename__ = "order_requests"
    __table_args__ = (
        # Serves the foreign key as well.
        UniqueConstraint("user_id", "key_hash"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    key_hash: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    # No foreign key: MariaDB checks one at once, and the key has to be claimed before all else.
    order_number: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[dt.datetime]
