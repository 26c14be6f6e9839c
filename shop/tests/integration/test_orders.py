"""Placing and cancelling orders, on each back end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from flask_retort.errors import NotFound, RetryInTransaction
from shop.db import db
from shop.models import Order, Product, User
from shop.services.orders import cancel_order, place_order
from shop.services.placing.refusals import (
    KeyReused,
    OutOfStock,
    TotalTooLarge,
    UnknownBuyer,
    UnknownProducts,
)
from shop.services.placing.submission import Line, Sale


def cancelled_at(number: str) -> dt.datetime | None:
    """When an order was cancelled."""
    statement = sa.select(Order.cancelled_at).where(Order.number == number)
    moment = db.session.execute(statement).scalar_one()
    db.session.rollback()
    return moment


def test_an_order_takes_what_it_sells(market: Any) -> None:
    """Stock goes down by the lines, and the order holds them at the price of this moment."""
    first, second = market.products[:2]
    placed = place_order(market.ann, [Line(second, 3), Line(first, 1)], "k")
    assert placed.sales == (Sale(first, 1, Decimal("1.10")), Sale(second, 3, Decimal("2.20")))
    assert placed.total == Decimal("7.70")
    assert (market.stock(first), market.stock(second)) == (99, 97)
    order = db.session.scalars(sa.select(Order)).one()
    assert (order.number, order.user_id, order.total) == (placed.number, market.ann, placed.total)
    assert order.ordered_at == placed.ordered_at
    assert order.cancelled_at is None
    db.session.rollback()
    market.audit()


def test_a_repeat_gets_the_same_answer(market: Any) -> None:
    """Also when the order is cancelled, price and name have changed and the buyer may not buy."""
    lines = [Line(market.products[0], 2), Line(market.products[1], 1)]
    placed = place_order(market.ann, lines, "k")
    cancel_order(placed.number)
    db.session.execute(sa.update(Product).values(price=Decimal("9.99"), name="other"))
    db.session.execute(sa.update(User).values(active=False))
    db.session.commit()
    assert place_order(market.ann, reversed(lines), "k") == placed
    assert market.orders() == 1
    market.audit()


def test_a_key_stands_for_one_order(market: Any) -> None:
    """Another order under the same key is refused, and takes nothing."""
    place_order(market.ann, [Line(market.products[0], 2)], "k")
    with pytest.raises(KeyReused):
        place_order(market.ann, [Line(market.products[0], 3)], "k")
    assert market.orders() == 1
    market.audit()


def test_keys_are_the_buyers_own(market: Any) -> None:
    """The same key of another buyer, and one that differs in a capital, is another key."""
    lines = [Line(market.products[0], 2)]
    numbers = {
        place_order(buyer, lines, key).number
        for buyer, key in [(market.ann, "k"), (market.bob, "k"), (market.ann, "K")]
    }
    assert len(numbers) == market.orders() == 3
    market.audit()


def test_too_few_pieces_refuse_the_whole_order(market: Any) -> None:
    """The refusal says what is left of which product; after restocking the key is still good."""
    first, second, third = market.products[:3]
    market.restock(first, 1)
    market.restock(third, 0)
    lines = [Line(first, 2), Line(second, 1), Line(third, 1)]
    with pytest.raises(OutOfStock) as refusal:
        place_order(market.ann, lines, "k")
    assert refusal.value.available == {first: 1, third: 0}
    assert (market.stock(first), market.stock(second), market.orders()) == (1, 100, 0)
    market.restock(first, 100)
    market.restock(third, 100)
    assert place_order(market.ann, lines, "k").total == Decimal("7.70")
    market.audit()


@pytest.mark.parametrize("known", [True, False])
def test_unknown_products_refuse_the_order(market: Any, known: bool) -> None:
    """All of those that do not exist are named, also where none exists."""
    lines = [Line(998, 1), Line(999, 1)] + [Line(market.products[0], 1)] * known
    with pytest.raises(UnknownProducts) as refusal:
        place_order(market.ann, lines, "k")
    assert refusal.value.product_ids == [998, 999]
    assert market.orders() == 0
    market.audit()


def test_only_active_users_buy(market: Any) -> None:
    """A user who is not active, or not there, is refused."""
    for buyer in (market.eve, 999):
        with pytest.raises(UnknownBuyer):
            place_order(buyer, [Line(market.products[0], 1)], "k")
    assert market.orders() == 0
    market.audit()


def test_a_total_fits_its_column(market: Any) -> None:
    """A sum that the database can't hold is refused, one that it just can is not."""
    product = market.products[0]
    statement = sa.update(Product).where(Product.id == product)
    db.session.execute(statement.values(price=Decimal("11111111.11")))
    db.session.commit()
    with pytest.raises(TotalTooLarge):
        place_order(market.ann, [Line(product, 10)], "k")
    placed = place_order(market.ann, [Line(product, 9)], "k")
    assert placed.total == Decimal("99999999.99")
    market.audit()


def test_cancelling_gives_back_once(market: Any) -> None:
    """The stock is as before; the second time nothing happens, the moment of the first stands."""
    placed = place_order(market.ann, [Line(p, 2) for p in market.products[:3]], "k")
    cancel_order(placed.number)
    moment = cancelled_at(placed.number)
    assert moment is not None
    cancel_order(placed.number)
    assert cancelled_at(placed.number) == moment
    assert [market.stock(p) for p in market.products] == [100] * 10


def test_an_unknown_order_is_not_cancelled(market: Any) -> None:
    """An order that is not there is an error of its own."""
    with pytest.raises(NotFound):
        cancel_order("nothing")


@pytest.mark.parametrize("begun_by", [db.transaction, nullcontext], ids=["block", "statement"])
def test_orders_have_a_transaction_of_their_own(market: Any, begun_by: Any) -> None:
    """Inside another one, whose rollback would not undo them, or whose locks they wait for."""
    lines = [Line(market.products[0], 1)]
    number = place_order(market.ann, lines, "k").number
    with begun_by():
        db.session.execute(sa.update(Product).values(name="other"))
        with pytest.raises(RetryInTransaction):
            place_order(market.ann, lines, "another")
        with pytest.raises(RetryInTransaction):
            cancel_order(number)
    db.session.rollback()
    assert market.orders() == 1
    market.audit()


def test_orders_may_follow_a_read(market: Any) -> None:
    """A session that has only read is in nobody's way."""
    db.session.scalars(sa.select(Product)).all()
    placed = place_order(market.ann, [Line(market.products[0], 1)], "k")
    db.session.scalars(sa.select(Product)).all()
    assert place_order(market.ann, [Line(market.products[0], 1)], "k") == placed
    db.session.scalars(sa.select(Product)).all()
    cancel_order(placed.number)
    assert market.orders() == 1
    market.audit()


class PlannedError(Exception):
    """The failure that a test has planned."""


def fails_at(n: int, moment: str, act: Callable[[], None]) -> bool:
    """Whether there is an n-th thing that the database is told, at which the action is made fail.

    :param moment: "before" or "after" the statement.
    """
    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        if len(told) == n:
            raise PlannedError(what)

    listeners: list[tuple[str, Callable[..., None]]] = [
        (f"{moment}_cursor_execute", lambda *arguments: tell(arguments[2])),
        ("commit", lambda connection: tell("COMMIT")),
    ]
    engine = db.engine
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        act()
    except PlannedError:
        return True
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)
    return False


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("action", ["place", "cancel"])
def test_failing_at_the_nth_statement_leaves_all_or_nothing(
    market: Any, action: str, moment: str
) -> None:
    """Wherever it fails, all of it is there or nothing, and doing it again completes it."""
    lines = [Line(p, 2) for p in market.products[:3]]
    done = place_order(market.ann, lines, "cancelled").number

    def act() -> None:
        if action == "place":
            place_order(market.ann, lines, "k")
        else:
            cancel_order(done)

    failures = 0
    while fails_at(failures + 1, moment, act):
        failures += 1
        market.audit()
        assert market.orders() <= 2
    assert failures >= 1
    market.audit()
    assert market.orders() == (2 if action == "place" else 1)
    assert (cancelled_at(done) is not None) == (action == "cancel")
