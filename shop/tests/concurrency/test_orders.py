"""Orders that are placed and cancelled at the same time, on each back end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import event

from shop.db import db
from shop.models import Order, OrderItem, Product
from shop.services.orders import cancel_order, place_order
from shop.services.placing.refusals import KeyInProgress, OrderRefused, OutOfStock
from shop.services.placing.submission import Line, Placed

BUYERS = Path(__file__).with_name("buyers.py")
SECONDS = float(os.environ.get("SHOP_STRESS_SECONDS", "3"))
PLENTY = 1_000_000

_WAITING = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx"
    " JOIN information_schema.processlist ON id = trx_mysql_thread_id"
    " WHERE db = database() AND trx_state = 'LOCK WAIT'",
}


def wait_for(waiting: int) -> None:
    """Wait until so many sessions wait for a lock; SQLite's writers wait where nobody can see."""
    question = _WAITING.get(db.engine.dialect.name)
    while question is not None:
        with db.engine.connect() as connection:
            if connection.scalar(sa.text(question)) >= waiting:
                return
        # InnoDB makes its list anew only when nobody has asked for 0.1 s.
        time.sleep(0.11)


class Crowd:
    """Threads with an application context each."""

    def __init__(self, app: Flask, pool: ThreadPoolExecutor) -> None:
        self.app, self.pool = app, pool

    def start(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call the function in a thread; its refusal is its result."""
        return self.pool.submit(self._call, function, arguments)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        with self.app.app_context():
            try:
                return function(*arguments)
            except OrderRefused as refusal:
                return refusal
            finally:
                db.session.remove()


def test_an_order_decides_on_what_it_waited_for(app: Flask, market: Any) -> None:
    """Price and stock that another changes meanwhile are the ones that count."""
    dear, scarce = market.products[:2]
    with ThreadPoolExecutor(2) as pool:
        crowd = Crowd(app, pool)
        with db.engine.begin() as other:
            other.execute(
                sa.update(Product).where(Product.id == dear).values(price=Decimal("9.00"))
            )
            other.execute(sa.update(Product).where(Product.id == scarce).values(stock=1))
            bought = crowd.start(place_order, market.ann, [Line(dear, 2)], "k")
            refused = crowd.start(place_order, market.bob, [Line(scarce, 2)], "k")
            wait_for(2)
        assert bought.result().total == Decimal("18.00")
        assert refused.result().available == {scarce: 1}


def test_two_buyers_of_the_last_piece_make_one_order(app: Flask, market: Any) -> None:
    """One of two that arrive together gets it, the other learns that nothing is left."""
    last = market.products[0]
    with ThreadPoolExecutor(2) as pool:
        crowd = Crowd(app, pool)
        with db.engine.begin() as other:
            other.execute(sa.update(Product).where(Product.id == last).values(stock=1))
            both = [
                crowd.start(place_order, buyer, [Line(last, 1)], "k")
                for buyer in (market.ann, market.bob)
            ]
            wait_for(2)
        outcomes = {type(future.result()): future.result() for future in both}
    assert set(outcomes) == {Placed, OutOfStock}
    assert outcomes[OutOfStock].available == {last: 0}
    assert (market.stock(last), market.orders()) == (0, 1)


def test_a_repeat_while_the_first_is_in_progress(app: Flask, market: Any) -> None:
    """It is told so at once, where it would wait; SQLite's writers wait for each other anyway."""
    arguments = (market.ann, [Line(market.products[0], 2)], "k")
    with ThreadPoolExecutor(2) as pool:
        crowd = Crowd(app, pool)
        with db.engine.begin() as other:
            other.execute(sa.update(Product).values(stock=Product.stock))
            first = crowd.start(place_order, *arguments)
            wait_for(1)
            second = crowd.start(place_order, *arguments)
            if db.engine.dialect.name != "sqlite":
                assert isinstance(second.result(timeout=10), KeyInProgress)
        placed = first.result()
        if db.engine.dialect.name == "sqlite":
            assert second.result() == placed
    assert place_order(*arguments) == placed
    assert market.orders() == 1
    market.audit()


def test_one_key_from_all_sides_is_one_order(app: Flask, market: Any) -> None:
    """Whoever is first places it; the others get the same, or hear that it is being placed."""
    arguments = (market.ann, [Line(p, 1) for p in market.products[:3]], "k")
    with ThreadPoolExecutor(8) as pool:
        crowd = Crowd(app, pool)
        all_ready = threading.Barrier(8)

        def place() -> Placed:
            all_ready.wait()
            return place_order(*arguments)

        outcomes = [future.result() for future in [crowd.start(place) for _ in range(8)]]
    placed = [outcome for outcome in outcomes if isinstance(outcome, Placed)]
    assert all(isinstance(o, Placed | KeyInProgress) for o in outcomes)
    assert len({outcome.number for outcome in placed}) == market.orders() == 1
    market.audit()


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.server)], indirect=True
)
@pytest.mark.parametrize("pieces", [2, 4])
def test_a_repeat_that_began_before_the_first_was_there(
    app: Flask, market: Any, pieces: int
) -> None:
    """It gets the answer of the first, be there enough for both or not; only PostgreSQL can ask."""
    product = market.products[0]
    market.restock(product, pieces)
    arguments = (market.ann, [Line(product, 2)], "k")
    with ThreadPoolExecutor(1) as pool, db.engine.begin() as gate:
        gate.execute(sa.select(sa.func.pg_advisory_xact_lock(1)))
        with door_behind_a_gate():
            repeat = Crowd(app, pool).start(place_order, *arguments)
            wait_for(1)
        first = place_order(*arguments)
        gate.rollback()
        assert repeat.result() == first
    assert (market.stock(product), market.orders()) == (pieces - 2, 1)


@contextmanager
def door_behind_a_gate() -> Generator[None]:
    """Statements that begin meanwhile look for their key, then wait for advisory lock 1."""
    before = "WHEN NOT pg_try_advisory_xact_lock"
    waiting = "WHEN pg_advisory_xact_lock_shared(1)::text IS NULL THEN '' "

    def wait_first(_: Any, __: Any, statement: str, values: Any, *___: Any) -> tuple[str, Any]:
        return statement.replace(before, waiting + before), values

    event.listen(db.engine, "before_cursor_execute", wait_first, retval=True)
    try:
        yield
    finally:
        event.remove(db.engine, "before_cursor_execute", wait_first)


@pytest.mark.parametrize("action", ["place", "cancel"])
def test_rows_are_locked_in_the_order_of_their_keys(app: Flask, market: Any, action: str) -> None:
    """Whoever waits for the first product has none of the others yet."""
    first, *others = market.products[:3]
    unused = market.products[3]
    lines = [Line(product, 1) for product in (*others, first)]
    number = place_order(market.ann, lines, "k").number
    # The newest versions lie behind the others now: without a sort PostgreSQL comes to them last.
    with db.engine.begin() as connection:
        connection.execute(sa.update(Product).where(Product.id == first).values(name="first"))
        for was, becomes in ((first, unused), (unused, first)):
            item = sa.update(OrderItem).where(OrderItem.product_id == was)
            connection.execute(item.values(product_id=becomes))
    with ThreadPoolExecutor(1) as pool:
        with db.engine.begin() as other:
            other.execute(sa.update(Product).where(Product.id == first).values(name="other"))
            if action == "place":
                done = Crowd(app, pool).start(place_order, market.ann, lines, "another")
            else:
                done = Crowd(app, pool).start(cancel_order, number)
            wait_for(1)
            rows = sa.select(Product.id).where(Product.id.in_(others))
            with db.engine.begin() as third:
                assert len(third.execute(rows.with_for_update(nowait=True)).all()) == 2
        done.result()
    market.audit()


def test_no_deadlock_reaches_a_buyer(app: Flask, market: Any) -> None:
    """Where somebody else locks in another order, and the buyer loses, the order is placed yet."""
    first, second = market.products[:2]
    with ThreadPoolExecutor(1) as pool:
        with db.engine.begin() as other:
            # Has changed most, so MariaDB undoes the buyer; PostgreSQL, who waited first.
            most = sa.update(Product).where(Product.id > first).values(name="other")
            other.execute(most)
            done = Crowd(app, pool).start(
                place_order, market.ann, [Line(first, 1), Line(second, 1)], "k"
            )
            wait_for(1)
            other.execute(sa.update(Product).where(Product.id == first).values(name="other"))
        assert isinstance(done.result(), Placed)
    assert market.orders() == 1
    market.audit()


def test_two_who_cancel_give_back_once(app: Flask, market: Any) -> None:
    """Whichever comes second finds nothing left to do."""
    product = market.products[0]
    number = place_order(market.ann, [Line(product, 5)], "k").number
    with ThreadPoolExecutor(2) as pool:
        crowd = Crowd(app, pool)
        with db.engine.begin() as other:
            other.execute(sa.update(Order).values(total=Order.total))
            both = [crowd.start(cancel_order, number) for _ in range(2)]
            wait_for(2)
        assert [future.result() for future in both] == [None, None]
    assert market.stock(product) == 100


def test_eight_processes_and_a_killer(market: Any, tmp_path: Path) -> None:
    """Under load, with processes killed and orders sent twice, nothing is lost or sold twice.

    ``SHOP_STRESS_SECONDS`` says for how long.
    """
    market.restock_all(PLENTY)
    log = tmp_path / "log"
    url = db.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, str(BUYERS), url, str(log), str(SECONDS)]
    subprocess.run(command, check=True, timeout=SECONDS + 60)
    notes = [json.loads(line) for line in log.read_text().splitlines()]
    did = Counter(note["did"] for note in notes)
    # Seen with pytest -rP, or where the test fails.
    sys.stdout.write(f"{db.engine.dialect.name}: {dict(did)}\n")
    assert [note for note in notes if note["did"] == "fail"] == []
    assert min(did["kill"], did["place"], did["cancel"]) >= 1

    market.audit(stock=PLENTY)
    orders = dict(db.session.execute(sa.select(Order.number, Order.cancelled_at)).all())
    placed = {(note["key"], note["number"]) for note in notes if note["did"] == "place"}
    assert len(placed) == len(dict(placed)) == len({number for _, number in placed})
    assert {number for _, number in placed} <= set(orders)
    assert all(orders[note["number"]] for note in notes if note["did"] == "cancel")
    tried = {note["key"] for note in notes if note["did"] == "try"}
    assert market.orders() <= len(tried)
