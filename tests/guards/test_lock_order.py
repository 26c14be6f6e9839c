"""``lock-order``: the deadlock itself, which keys have an order, and what the message says."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.conftest import Disposed, MakeApp
from tests.guards.collection import Shop
from tests.guards.models import Product
from tests.guards.on_servers import shop_on
from tests.guards.programs.lock_order import lock, lock_key, lock_tag

from flask_retort import SQLAlchemy
from flask_retort.errors import Deadlock, GuardError
from flask_retort.guards.lock_order import are_comparable


def test_the_order_it_warns_of_deadlocks(mysql_url: sa.URL, disposed: Disposed) -> None:
    """Two carts with the same two products: one in the wrong order is enough; sorted, none."""
    shop, engine = shop_on(mysql_url, RETORT_GUARDS="count")
    disposed(engine)
    have_one = threading.Barrier(2)

    def lock_all(cart: list[int]) -> str:
        with shop.push():
            try:
                for product_id in cart:
                    shop.db.session.get_one(Product, product_id, with_for_update=True)
                    if product_id == cart[0] and not have_one.broken:
                        have_one.wait(10)
            except Deadlock:
                return "deadlock"
            finally:
                shop.db.session.rollback()
        return "locked"

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(lock_all, ([1, 2], [2, 1]))) == ["deadlock", "locked"]
        assert shop.found == {("lock-order", "Product"): 1}
        have_one.abort()
        assert list(threads.map(lock_all, ([1, 2], [1, 2]))) == ["locked", "locked"]
    assert shop.found == {("lock-order", "Product"): 1}


def test_the_message_says_what_to_write(shop: Shop) -> None:
    """Both keys, the line of the second, and the two ways to do it right."""
    with shop.push():
        lock(shop, 3)
        with pytest.raises(GuardError) as raised:
            lock(shop, 2)
        shop.db.session.rollback()
    message = str(raised.value)
    assert message.startswith("Product 2 was locked after Product 3 in one transaction, at ")
    assert "rows = db.lock(Product, keys)" in message
    assert "for key in sorted(keys)" in message
    assert "db.allow('lock-order', 'Product', reason=...)" in message
    assert message.endswith("[retort:lock-order]")


def test_a_table_without_a_model_is_locked_by_a_select(shop: Shop) -> None:
    """``db.lock()`` takes models only."""
    with shop.push():
        lock_tag(shop, 2)
        with pytest.raises(GuardError) as raised:
            lock_tag(shop, 1)
        shop.db.session.rollback()
    keys = "post_tags.c.post_id, post_tags.c.tag_id"
    assert f"rows = db.session.execute(select(post_tags).where(tuple_({keys}).in_(keys))" in str(
        raised.value
    )


def test_an_autoflush_comes_before_the_lock(shop: Shop) -> None:
    """The row that it updates is locked first, then the one that is asked for."""
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        product.name = "mug"
        shop.db.session.get_one(Product, 2, with_for_update=True)
        shop.db.session.commit()


def test_a_released_savepoint_keeps_its_locks(shop: Shop) -> None:
    """The order goes on after it."""
    with shop.push(), shop.db.transaction() as session:
        with session.begin_nested():
            lock(shop, 3)
        with pytest.raises(GuardError, match="Product 1 was locked after Product 3"):
            lock(shop, 1)


@pytest.mark.parametrize(
    ("keys", "comparable"),
    [
        ({(1,), (2,)}, True),
        ({(1, "a"), (2, "b")}, True),
        ({(uuid.UUID(int=1),), (uuid.UUID(int=2),)}, True),
        ({("abc",), ("abd",)}, True),
        ({("abc",), ("ABD",)}, False),  # a collation may ignore case
        ({("a-c",), ("ab",)}, False),  # or punctuation
        ({("é",), ("f",)}, False),  # and has its own place for accents
        ({(1,), ("2",)}, False),
        ({(None,)}, False),
    ],
)
def test_keys_that_everybody_sorts_alike(keys: set[tuple[Any, ...]], comparable: bool) -> None:
    """Where Python and the database may differ, nothing is said."""
    assert are_comparable(keys) is comparable


def test_a_test_locks_in_any_order(shop: Shop) -> None:
    """It has nobody to wait for."""
    with shop.push():
        for product_id in (3, 2, 1):
            shop.db.session.get_one(Product, product_id).views = 3
            shop.db.session.flush()
        shop.db.session.rollback()


def test_a_request_has_an_order_of_its_own(shop: Shop) -> None:
    """What a test has locked or changed before is none of it; what the request locks is."""

    @shop.app.post("/<ids>")
    def lock_all(ids: str) -> str:
        for product_id in ids:
            lock(shop, int(product_id))
        return ""

    with shop.push():
        lock(shop, 2)
        shop.db.session.get_one(Product, 3).views = 3
        shop.client.post("/1")
        shop.db.session.rollback()
        lock(shop, 3)
        with pytest.raises(GuardError, match="Product 1 was locked after Product 2 in"):
            shop.client.post("/21")
        shop.db.session.rollback()


class OwnBase(DeclarativeBase):
    pass


class Stock(OwnBase):
    """Its key has two columns."""

    __tablename__ = "stock"

    shelf: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)


def test_keys_of_several_columns_have_an_order(make_app: MakeApp) -> None:
    """Locked by ``db.lock()``, or one by one."""
    app = make_app("tests.guards.models", RETORT_GUARDS="raise")
    db = SQLAlchemy(app, model_class=OwnBase)
    with app.app_context():
        db.create_all()
        db.session.add_all(Stock(shelf=1, place=place) for place in (1, 2))
        db.session.commit()
        assert lock_key(db, Stock, (1, 2)).place == 2
        with pytest.raises(GuardError, match=r"^Stock \(1, 1\) was locked after Stock \(1, 2\)"):
            lock_key(db, Stock, (1, 1))
        db.session.rollback()
