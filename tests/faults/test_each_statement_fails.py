"""A transaction over five tables, failed at each statement in turn: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    stock: Mapped[int]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int]


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"))
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("product.id"))


class Movement(Base):
    __tablename__ = "movement"
    id: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int] = mapped_column(sa.ForeignKey("product.id"))
    change: Mapped[int] = mapped_column("quantity")


class Message(Base):
    __tablename__ = "message"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(sa.String(30))


TABLES = (Product, Order, Item, Movement, Message)


class OnPurposeError(Exception):
    """The fault."""


class Fault:
    """Raises at one statement of the engine, before it is sent or after it was executed."""

    def __init__(self, engine: sa.Engine, moment: str) -> None:
        self.engine, self.moment = engine, moment
        self.at = -1
        self.seen = 0
        for name in (moment, "commit"):
            event.listen(engine, name, self)

    def __call__(self, *_: Any) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise OnPurposeError

    def set(self, at: int) -> None:
        """Fail at the statement of this number from now on; -1 is never."""
        self.at, self.seen = at, 0


@pytest.fixture(params=["before_cursor_execute", "after_cursor_execute"])
def shop(
    make_app: MakeApp, database_url: sa.URL, request: pytest.FixtureRequest
) -> Iterator[tuple[flask.Flask, SQLAlchemy[Any], Fault]]:
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url, RETORT_GUARDS="off")
    db = SQLAlchemy(app, model_class=Base)
    with app.app_context():
        db.create_all()
        db.session.add_all([Product(id=1, stock=10), Product(id=2, stock=10)])
        db.session.commit()
        yield app, db, Fault(db.engine, request.param)


def _order(db: SQLAlchemy[Any], session: Any) -> None:
    order = Order(total=2)
    session.add(order)
    session.flush()
    with session.begin_nested():
        for product in db.lock(Product, [1, 2]).values():
            product.stock = product.stock - 1
            session.add(Item(order_id=order.id, product_id=product.id))
    session.execute(sa.insert(Movement), [{"product_id": 1, "change": -1}])
    session.execute(sa.insert(Movement).values(product_id=2, change=-1))
    session.add(Message(text="sold"))


def _block(db: SQLAlchemy[Any]) -> None:
    with db.transaction() as session:
        _order(db, session)


def _decorated(db: SQLAlchemy[Any]) -> None:
    db.transaction(retry=2, isolation="serializable")(lambda: _order(db, db.session()))()


def _by_hand(db: SQLAlchemy[Any]) -> None:
    _order(db, db.session())
    db.session.commit()


def _state(db: SQLAlchemy[Any]) -> list[int]:
    """The pieces in stock, and the rows of each other table."""
    counts = [sa.select(sa.func.count()).select_from(model) for model in TABLES[1:]]
    with db.engine.connect() as connection:
        stock = connection.scalar(sa.select(sa.func.sum(Product.stock)))
        return [int(stock or 0), *(connection.scalar(count) or 0 for count in counts)]


@pytest.mark.parametrize("work", [_block, _decorated, _by_hand])
def test_all_or_nothing(
    shop: tuple[flask.Flask, SQLAlchemy[Any], Fault], work: Callable[[SQLAlchemy[Any]], None]
) -> None:
    """Until a run has no fault: after each nothing of it is there, and the session works."""
    _, db, fault = shop
    before = _state(db)
    number = 0
    while True:
        number += 1
        fault.set(number)
        try:
            work(db)
        except OnPurposeError:
            fault.set(-1)
            if work is _by_hand:
                db.session.rollback()
            assert _state(db) == before
            assert not db.session().in_transaction()
            assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        else:
            break
    assert number > 9, "the transaction has more statements than that"
    fault.set(-1)
    assert _state(db) == [18, 1, 2, 2, 1]
