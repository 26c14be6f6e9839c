"""Orders are placed and cancelled.

Revision ID: 8c1f0e6d42ab
Revises: fc501b7699a5
Create Date: 2026-11-21 11:45:02.318446
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

# What Alembic knows this revision by.
revision: str = "8c1f0e6d42ab"
down_revision: str | Sequence[str] | None = "fc501b7699a5"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Orders get the moment they were cancelled; submissions get a table."""
    op.add_column("orders", sa.Column("cancelled_at", MOMENT, nullable=True))
    op.create_table(
        "order_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("order_number", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_order_requests_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_requests")),
        sa.UniqueConstraint("user_id", "key_hash", name=op.f("uq_order_requests_user_id_key_hash")),
    )


def downgrade() -> None:
    """Forget submissions and cancellations; the stock stays as it is."""
    op.drop_table("order_requests")
    op.drop_column("orders", "cancelled_at")
