"""What the database itself holds to, on each back end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, StatementError

from shop.db import db
from shop.models import Category, Order, OrderItem, Product, Profile, User

_RULE = r"(?i)constraint|cannot be null"
"""What each database says of a broken rule, and not of a misspelt column."""

MOMENT = dt.datetime(2026, 3, 29, 1, 59, 59, 123456, tzinfo=dt.UTC)


@pytest.fixture
def order(context: None) -> Order:
    """Ann's order of one CD, committed."""
    user = User(email="Ann@Example.org", user_name="Ann", profile=Profile(full_name="Ann Lee"))
    shelf = Category(name="CDs")
    product = Product(sku="CD-1", name="One CD", price=Decimal("11.77"), category=shelf)
    item = OrderItem(product=product, quantity=1, unit_price=Decimal("11.77"))
    order = Order(number="1", user=user, ordered_at=MOMENT, total=Decimal("11.77"), items=[item])
    db.session.add(order)
    db.session.commit()
    return order


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Product, {"price": Decimal("0.00")}),
        (Product, {"price": Decimal("-1.00")}),
        (Product, {"stock": -1}),
        (Product, {"category_id": 999}),
        (Order, {"total": Decimal("-0.01")}),
        (Order, {"user_id": 999}),
        (OrderItem, {"quantity": 0}),
        (OrderItem, {"unit_price": Decimal("-0.01")}),
        (OrderItem, {"product_id": 999}),
        (OrderItem, {"order_id": 999}),
        (User, {"email": None}),
    ],
)
def test_a_broken_rule_is_refused(order: Order, model: Any, values: dict[str, Any]) -> None:
    """The database refuses what no shop can hold, even past the ORM."""
    with pytest.raises(DBAPIError, match=_RULE):
        db.session.execute(sa.update(model).values(**values))
    db.session.rollback()


@pytest.mark.parametrize(
    "other",
    [
        {"email": "ANN@example.org", "user_name": "bob"},
        {"email": "bob@example.org", "user_name": "ANN"},
    ],
)
def test_names_are_unique_whatever_their_case(order: Order, other: dict[str, str]) -> None:
    """Two users share neither e-mail nor user name, capitals or not."""
    db.session.add(User(**other))
    with pytest.raises(DBAPIError):
        db.session.commit()
    db.session.rollback()


def test_a_product_stands_once_in_an_order(order: Order) -> None:
    """A second line for the same product is refused: it is a larger quantity."""
    product = order.items[0].product
    order.items.append(OrderItem(product=product, quantity=1, unit_price=Decimal("1.00")))
    with pytest.raises(DBAPIError):
        db.session.commit()
    db.session.rollback()


def test_a_buyer_can_not_be_deleted(order: Order) -> None:
    """A user with orders stays: orders are never orphaned."""
    db.session.delete(order.user)
    with pytest.raises(DBAPIError):
        db.session.commit()
    db.session.rollback()


def test_an_order_takes_its_items_along(order: Order) -> None:
    """Deleting an order deletes its items, by the ORM and past it."""
    db.session.execute(sa.delete(Order))
    assert db.session.scalar(sa.select(sa.func.count(OrderItem.id))) == 0


def test_moments_come_back_in_utc(order: Order) -> None:
    """A moment of any time zone comes back as the same moment in UTC, to the microsecond."""
    order.ordered_at = MOMENT.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    db.session.commit()
    assert order.ordered_at == MOMENT
    assert order.ordered_at.utcoffset() == dt.timedelta(0)


def test_a_moment_without_zone_is_refused(order: Order) -> None:
    """A naive datetime is an error, not a guess."""
    order.ordered_at = MOMENT.replace(tzinfo=None)
    with pytest.raises(StatementError, match="no time zone"):
        db.session.commit()
    db.session.rollback()


def test_sums_of_money_are_exact(order: Order) -> None:
    """Ten thousand times ten cents are a thousand dollars."""
    row = {"user_id": order.user_id, "ordered_at": MOMENT, "total": Decimal("0.10")}
    db.session.execute(sa.delete(Order))
    db.session.execute(sa.insert(Order), [{**row, "number": str(n)} for n in range(10_000)])
    total = db.session.scalar(sa.select(sa.func.sum(Order.total)))
    assert total == Decimal("1000.00")
    assert isinstance(total, Decimal)


def test_each_foreign_key_has_an_index(context: None) -> None:
    """The columns of every foreign key lead some index, so that no join reads a whole table."""
    inspector = sa.inspect(db.engine)
    for table in inspector.get_table_names():
        indexes: list[Sequence[str | None]] = [
            index["column_names"] for index in inspector.get_indexes(table)
        ]
        indexes += [unique["column_names"] for unique in inspector.get_unique_constraints(table)]
        for key in inspector.get_foreign_keys(table):
            columns = key["constrained_columns"]
            assert any(index[: len(columns)] == columns for index in indexes), (table, columns)


def test_each_constraint_has_a_name(context: None) -> None:
    """A migration can name every constraint and index of the shop."""
    for table in db.metadata.sorted_tables:
        assert all(constraint.name for constraint in table.constraints), table.name
        assert all(index.name for index in table.indexes), table.name
