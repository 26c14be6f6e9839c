"""``lock-order``: the deadlock itself, which keys have an order, and what the message says."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conftest import Disposed
from tests.guards.collection import Shop
from tests.guards.models import Product, post_tags
from tests.guards.on_servers import shop_on

from flask_retort.errors import Deadlock, GuardError
from flask_retort.guards.lock_order import are_comparable


def test_the_order_it_warns_of_deadlocks(mysql_url: sa.URL, disposed: Disposed) -> None:
    """Two carts with the same two products: one in the wrong order is enough; sorted, none."""
    shop, engine = shop_on(mysql_url, RETORT_GUARDS="count")
    disposed(engine)
    have_one = threading.Barrier(2)

    def lock(cart: list[int]) -> str:
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
        assert sorted(threads.map(lock, ([1, 2], [2, 1]))) == ["deadlock", "locked"]
        assert shop.found == {("lock-order", "Product"): 1}
        have_one.abort()
        assert list(threads.map(lock, ([1, 2], [1, 2]))) == ["locked", "locked"]
    assert shop.found == {("lock-order", "Product"): 1}


def test_the_message_says_what_to_write(shop: Shop) -> None:
    """Both keys, the line of the second, and the two ways to do it right."""
    with shop.push():
        shop.db.session.get_one(Product, 3, with_for_update=True)
        with pytest.raises(GuardError) as raised:
            shop.db.session.get_one(Product, 2, with_for_update=True)
        shop.db.session.rollback()
    message = str(raised.value)
    assert message.startswith("Product 2 was locked after Product 3 in one transaction, at ")
    assert "rows = db.lock(Product, keys)" in message
    assert "for key in sorted(keys)" in message
    assert "db.allow('lock-order', 'Product', reason=...)" in message
    assert message.endswith("[retort:lock-order]")


def test_a_table_without_a_model_is_locked_by_a_select(shop: Shop) -> None:
    """``db.lock()`` takes models only."""

    def lock(post: int) -> None:
        key = (post_tags.c.post_id == post, post_tags.c.tag_id == 1)
        shop.db.session.execute(sa.select(post_tags).where(*key).with_for_update())

    with shop.push():
        lock(2)
        with pytest.raises(GuardError) as raised:
            lock(1)
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
            session.get_one(Product, 3, with_for_update=True)
        with pytest.raises(GuardError, match="Product 1 was locked after Product 3"):
            session.get_one(Product, 1, with_for_update=True)


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
