"""The shop's own tables, with ten hot products of which there are always enough."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal

import sqlalchemy as sa
from flask import Flask

from benchmarks.databases import Server, new_database
from flask_retort.migrations.progress import silent
from shop import config, create_app
from shop.db import db
from shop.models import Category, OrderItem, Product, User
from shop.services import schema

BUYERS = 8
PRODUCTS = 10
STOCK = 1_000_000_000


def shop_on(url: sa.URL) -> Flask:
    """The shop as it runs in production, on this database."""
    app = create_app(config.Configuration(url, secrets.token_hex(32)))
    app.logger.disabled = True
    return app


@contextmanager
def market_in_file() -> Generator[sa.URL, None, None]:
    """The URL of a SQLite file in WAL mode, which the shop sets for whoever opens it."""
    with tempfile.TemporaryDirectory(prefix="retort-bench-") as folder:
        url = sa.URL.create("sqlite", database=os.path.join(folder, "bench.db"))
        _fill(url)
        yield url


@contextmanager
def market_on(server: Server) -> Generator[sa.URL, None, None]:
    """The URL of a new database on the server."""
    with new_database(server) as url:
        _fill(url)
        yield url


def lost_units(engine: sa.Engine) -> int:
    """Pieces that were sold and are in stock still, or the other way round."""
    with engine.connect() as connection:
        left = connection.scalar(sa.select(sa.func.sum(Product.stock)))
        sold = connection.scalar(sa.select(sa.func.sum(OrderItem.quantity)))
    return abs(PRODUCTS * STOCK - int(left or 0) - int(sold or 0))


def _fill(url: sa.URL) -> None:
    shelf = Category(id=1, name="CDs")
    products = [
        Product(id=n, sku=f"CD-{n}", name=f"CD {n}", price=n * Decimal("1.10"), stock=STOCK)
        for n in range(1, PRODUCTS + 1)
    ]
    shelf.products = products
    users = [User(id=n, email=f"u{n}@example.org", user_name=f"u{n}") for n in range(1, BUYERS + 1)]
    with shop_on(url).app_context():
        schema.upgrade(silent)
        db.session.add_all([shelf, *users])
        db.session.commit()
        db.session.remove()
        db.engine.dispose()
