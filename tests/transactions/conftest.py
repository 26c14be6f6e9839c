"""An application with two tables, on each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from tests.conftest import MakeApp
from tests.transactions.ledger import Base, Ledger, make_ledger

from flask_retort import SQLAlchemy


@pytest.fixture
def ledger(make_app: MakeApp, database_url: sa.URL) -> Iterator[Ledger]:
    """An application context with one account of 200, nothing open; no connection is left out."""
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url, RETORT_GUARDS="off")
    with make_ledger(app) as ledger:
        yield ledger
    with app.app_context():
        assert ledger.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


__all__ = ["Base", "Mapped", "SQLAlchemy"]
