"""Units of work that get into each other's way: each is done once, whatever the database does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy
from flask_retort.errors import Deadlock, SerializationFailure
from flask_retort.transactions import Retry

WORKERS = 8
STOCK = 200
# Eight who collide on one row: each round one of them gets through.
PATIENT = Retry(times=200, base=0.001, cap=0.05)


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    stock: Mapped[int]


class Sale(Base):
    __tablename__ = "sale"
    id: Mapped[int] = mapped_column(primary_key=True)
    worker: Mapped[int]


class Shop:
    """An application whose workers each have a context of their own."""

    def __init__(self, app: flask.Flask) -> None:
        self.app = app
        self.db = SQLAlchemy(app, model_class=Base)
        with self.context():
            self.db.create_all()
            self.db.session.add_all([Product(id=1, stock=STOCK), Product(id=2, stock=STOCK)])
            self.db.session.commit()

    @contextmanager
    def context(self) -> Iterator[None]:
        with self.app.app_context():
            yield

    def work(self, function: Callable[[int], Any]) -> list[Any]:
        """The results of the function, run by each worker at once; errors are results."""

        def run(worker: int) -> Any:
            with self.context():
                return function(worker)

        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(run, range(WORKERS)))

    def state(self) -> tuple[int, int]:
        """The first product's stock, and the number of sales."""
        with self.context():
            sales = self.db.session.scalar(sa.select(sa.func.count()).select_from(Sale))
            return self.db.session.get_one(Product, 1).stock, sales or 0


@pytest.fixture
def shop(make_app: MakeApp, database_url: sa.URL) -> Iterator[Shop]:
    options = {"pool_size": WORKERS, "max_overflow": 0}
    if database_url.get_backend_name() == "postgresql":
        options["connect_args"] = {"options": "-c deadlock_timeout=20ms"}  # type: ignore[assignment]
    app = make_app(
        SQLALCHEMY_DATABASE_URI=database_url,
        SQLALCHEMY_ENGINE_OPTIONS=options,
        RETORT_GUARDS="off",
    )
    shop = Shop(app)
    yield shop
    with shop.context():
        assert shop.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def _sell(shop: Shop, worker: int) -> bool:
    product = shop.db.session.get_one(Product, 1)
    if product.stock == 0:
        return False
    product.stock = product.stock - 1
    shop.db.session.add(Sale(worker=worker))
    return True


LEVELS: dict[str, list[Any]] = {
    "sqlite": [None],
    "postgresql": ["repeatable read", "serializable"],
    "mysql": [None],
}


def test_read_then_write_sells_each_piece_once(shop: Shop) -> None:
    """Eight sell 200 pieces that they read first, with retries: exactly 200 are sold."""
    with shop.context():
        levels: list[Any] = LEVELS[shop.db.engine.dialect.name]
    for level in levels:
        sell = shop.db.transaction(retry=PATIENT, isolation=level)(_sell)

        def sell_out(worker: int, sell: Callable[[Shop, int], bool] = sell) -> int:
            sold = 0
            while sell(shop, worker):
                sold += 1
            return sold

        assert sum(shop.work(sell_out)) == STOCK
        assert shop.state() == (0, STOCK)
        with shop.context(), shop.db.transaction() as session:
            session.execute(sa.update(Product).values(stock=STOCK))
            session.execute(sa.delete(Sale))


@pytest.mark.server
def test_without_retry_each_loser_gets_its_error(shop: Shop) -> None:
    """What could not be done was not done: pieces sold and errors add up, of the right class."""
    with shop.context():
        name = shop.db.engine.dialect.name
    if name == "sqlite":
        pytest.skip("on SQLite writers take turns, and nobody loses")
    level: Any = LEVELS[name][0]
    ready = threading.Barrier(WORKERS)

    def sell(worker: int) -> Any:
        try:
            with shop.db.transaction(isolation=level):
                product = shop.db.session.get_one(Product, 1)
                ready.wait(30)
                product.stock = product.stock - 1
                shop.db.session.add(Sale(worker=worker))
        except (SerializationFailure, Deadlock) as error:
            return error
        return None

    results = shop.work(sell)
    losers = [error for error in results if error is not None]
    assert shop.state() == (STOCK - WORKERS + len(losers), WORKERS - len(losers))
    assert len(losers) == WORKERS - 1
    assert all(error.rolled_back == "transaction" for error in losers)


@pytest.mark.server
def test_a_deadlock_does_not_reach_the_caller(shop: Shop) -> None:
    """Two lock the same rows in opposite order, forced to meet; both are done in the end."""
    with shop.context():
        if shop.db.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer: two can't wait for each other")
    both_hold_one = threading.Barrier(2)
    runs: list[int] = []

    def take(worker: int) -> None:
        first, second = (1, 2) if worker == 0 else (2, 1)

        @shop.db.transaction(retry=5)
        def take_both() -> None:
            runs.append(worker)
            is_first_run = runs.count(worker) == 1
            for number in (first, second):
                product = shop.db.session.get_one(Product, number, with_for_update=True)
                product.stock = product.stock - 1
                if number == first and is_first_run:
                    both_hold_one.wait(30)

        take_both()

    def run(worker: int) -> None:
        with shop.context():
            take(worker)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    assert len(runs) >= 3
    assert shop.state()[0] == STOCK - 2
