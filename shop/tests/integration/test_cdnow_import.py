"""Importing real purchases."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from shop.cdnow import purchases, wheel
from shop.cdnow.purchases import Purchase
from shop.db import db
from shop.errors import ShopError
from shop.models import Category, DataImport, Order, OrderItem, Product, User
from shop.services import cdnow_import

MODELS = (User, Category, Product, Order, OrderItem, DataImport)


def run_import(path: Path) -> None:
    """Import a whole file."""
    with wheel.open_lines(path) as lines:
        survey = purchases.survey(lines)
    with wheel.open_lines(path) as lines:
        cdnow_import.import_purchases(survey, purchases.read(lines))


def counts() -> list[int]:
    """The number of rows of each table."""
    return [db.session.scalar(sa.select(sa.func.count(model.id))) or 0 for model in MODELS]


def test_each_line_is_an_order_of_its_customer(context: None, sample: Path) -> None:
    """Every line is found again: its customer, day, number of CDs and dollars."""
    run_import(sample)
    pieces = sa.func.sum(OrderItem.quantity)
    query = (
        sa.select(User.user_name, Order.ordered_at, pieces, Order.total)
        .join(Order.user)
        .join(Order.items)
        .group_by(Order.id, User.user_name, Order.ordered_at, Order.total)
        .order_by(Order.number)
    )
    found = [
        f"{name.removeprefix('cdnow-')} {day:%Y%m%d} {quantity} {total}"
        for name, day, quantity, total in db.session.execute(query)
    ]
    lines = sample.read_text("ascii").splitlines()[1:]
    assert found == [" ".join(line.split()) for line in lines]


def test_an_order_costs_the_sum_of_its_items(context: None, sample: Path) -> None:
    """In every order the items add up to the total, computed by the database."""
    run_import(sample)
    paid = sa.func.sum(OrderItem.quantity * OrderItem.unit_price)
    query = sa.select(Order.total, paid).join(Order.items).group_by(Order.id, Order.total)
    orders = db.session.execute(query).all()
    assert len(orders) == 300
    assert all(round(Decimal(of_items), 2) == total for total, of_items in orders)


def test_items_are_sold_at_the_price_their_product_stands_for(context: None, sample: Path) -> None:
    """A product's price is what was paid for each piece of it, one cent where that was nothing."""
    run_import(sample)
    query = sa.select(OrderItem.unit_price, Product.price).join(OrderItem.product)
    pairs = db.session.execute(query).all()
    assert pairs
    assert all((paid or Decimal("0.01")) == price for paid, price in pairs)


def test_an_import_is_known(context: None, sample: Path) -> None:
    """After an import, and not before, the database says that it has the purchases."""
    assert not cdnow_import.is_imported()
    run_import(sample)
    assert cdnow_import.is_imported()


def test_a_second_import_writes_nothing(context: None, sample: Path) -> None:
    """Even past the check, the purchases can't be imported twice."""
    run_import(sample)
    before = counts()
    with pytest.raises(cdnow_import.AlreadyImportedError):
        run_import(sample)
    assert counts() == before


def test_a_bad_line_writes_nothing(context: None, sample: Path) -> None:
    """One bad line at the end of the file, and no row of it is there."""
    with sample.open("a", encoding="ascii") as text:
        text.write("00099 19979999 1 1.00\n")
    with pytest.raises(ShopError, match="line 302: 19979999 is not a date"):
        run_import(sample)
    assert counts() == [0] * len(MODELS)


def test_an_import_that_breaks_off_writes_nothing(
    context: None, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever interrupts an import, what it had inserted by then is gone."""
    monkeypatch.setattr(cdnow_import, "CHUNK", 50)
    with wheel.open_lines(sample) as lines:
        survey = purchases.survey(lines)
    done: list[int] = []

    def interrupted() -> Iterator[Purchase]:
        with wheel.open_lines(sample) as lines:
            for purchase in purchases.read(lines):
                if purchase.line == 200:
                    raise KeyboardInterrupt
                yield purchase

    with pytest.raises(KeyboardInterrupt):
        cdnow_import.import_purchases(survey, interrupted(), done.append)
    assert done == [50, 50, 50]
    assert counts() == [0] * len(MODELS)


def test_the_whole_data_set(context: None, cdnow_wheel: Path) -> None:
    """All purchases come in on each back end: every customer, order, CD and cent."""
    run_import(cdnow_wheel)
    users, _, products, orders, items, _ = counts()
    assert (users, orders) == (23_570, 69_659)
    assert (products, items) == (3_105, 87_928)
    assert db.session.scalar(sa.select(sa.func.sum(OrderItem.quantity))) == 167_881
    assert db.session.scalar(sa.select(sa.func.sum(Order.total))) == Decimal("2500315.63")
