"""Rows locked one by one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from flask import request
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Account, Order, OrderItem, Post, Product, User, post_tags

from flask_retort import SQLAlchemy


def lock(shop: Shop, product_id: int) -> Product:
    return shop.db.session.get_one(Product, product_id, with_for_update=True)


def lock_key(db: SQLAlchemy[Any], model: type[Any], key: Any) -> Any:
    return db.lock(model, [key])[key]


def lock_tag(shop: Shop, post_id: int) -> None:
    key = (post_tags.c.post_id == post_id, post_tags.c.tag_id == 1)
    shop.db.session.execute(sa.select(post_tags).where(*key).with_for_update())


# --- what can deadlock ----------------------------------------------------------------


@must_fire("lock-order", "Product")
def a_cart_is_locked_in_its_own_order(shop: Shop) -> None:
    @shop.app.post("/orders")
    def order() -> str:
        for product_id in request.get_json():
            product = shop.db.session.get_one(Product, product_id, with_for_update=True)
            product.stock -= 1
        shop.db.session.commit()
        return ""

    shop.client.post("/orders", json=[2, 3, 1])


@must_fire("lock-order", "Product")
def a_select_with_a_lock_for_each_line(shop: Shop) -> None:
    with shop.push():
        for product_id in (3, 1):
            statement = sa.select(Product).where(Product.id == product_id).with_for_update()
            shop.db.session.scalars(statement).one().stock = 5
        shop.db.session.commit()


@must_fire("lock-order", "Product")
def an_old_style_query_in_a_block(shop: Shop) -> None:
    with shop.push(), shop.db.transaction() as session:
        for name in ("tray", "cup"):
            product_id = session.scalar(sa.select(Product.id).where(Product.name == name))
            session.query(Product).filter(Product.id == product_id).with_for_update().one()


@must_fire("lock-order", "Account")
def a_transfer_locks_the_sender_first(shop: Shop) -> None:
    def transfer(sender: int, receiver: int, amount: Decimal) -> None:
        session = shop.db.session
        source = session.get_one(Account, sender, with_for_update=True)
        target = session.get_one(Account, receiver, with_for_update=True)
        source.balance -= amount
        target.balance += amount
        session.commit()

    with shop.push():
        transfer(2, 1, Decimal(10))


@must_fire("lock-order", "Product")
def an_update_for_each_line(shop: Shop) -> None:
    with shop.push():
        for product_id, quantity in {2: 1, 1: 4}.items():
            shop.db.session.execute(
                sa.update(Product)
                .where(Product.id == product_id, Product.stock >= quantity)
                .values(stock=Product.stock - quantity)
            )
        shop.db.session.commit()


@must_fire("lock-order", "Product")
def an_autoflush_sends_each_update(shop: Shop) -> None:
    with shop.push():
        for sku in ("P3", "P2"):
            product = shop.db.session.scalars(sa.select(Product).where(Product.sku == sku)).one()
            product.stock = Product.stock - 1
        shop.db.session.commit()


@must_fire("lock-order", "Post")
def a_flush_for_each_row(shop: Shop) -> None:
    with shop.push():
        posts = shop.db.session.scalars(sa.select(Post).order_by(Post.id.desc())).all()
        for number, post in enumerate(posts, start=1):
            post.title = f"{number}. {post.title}"
            shop.db.session.flush()
        shop.db.session.commit()


@must_fire("lock-order", "User")
def a_refresh_with_a_lock(shop: Shop) -> None:
    with shop.push():
        users = shop.db.session.scalars(sa.select(User).order_by(User.name.desc())).all()
        for user in users:
            shop.db.session.refresh(user, with_for_update=True)
        shop.db.session.commit()


@must_fire("lock-order", "OrderItem")
def lines_are_deleted_backwards(shop: Shop) -> None:
    with shop.push():
        for item_id in (3, 2, 1):
            shop.db.session.execute(sa.delete(OrderItem).where(OrderItem.id == item_id))
        shop.db.session.commit()


# --- what looks alike and is right ----------------------------------------------------


@must_not_fire("lock-order")
def a_cart_is_locked_in_the_order_of_keys(shop: Shop) -> None:
    with shop.push():
        for product_id in sorted([2, 3, 1]):
            product = shop.db.session.get_one(Product, product_id, with_for_update=True)
            product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lock-order")
def one_statement_locks_all(shop: Shop) -> None:
    with shop.push():
        statement = sa.select(Product).where(Product.id.in_([3, 1, 2])).with_for_update()
        products = shop.db.session.scalars(statement.order_by(Product.id)).all()
        for product in reversed(products):
            product.stock -= 1
            shop.db.session.flush()
        shop.db.session.commit()


@must_not_fire("lock-order")
def the_extension_locks_all(shop: Shop) -> None:
    with shop.push(), shop.db.transaction():
        products = shop.db.lock(Product, [3, 1, 2])
        for product_id in (3, 1):
            products[product_id].stock -= 1
            shop.db.session.flush()


@must_not_fire("lock-order")
def a_row_is_locked_again(shop: Shop) -> None:
    with shop.push():
        for product_id in (1, 2, 1):
            shop.db.session.get_one(Product, product_id, with_for_update=True)
        shop.db.session.commit()


@must_not_fire("lock-order")
def two_tables(shop: Shop) -> None:
    with shop.push():
        account = shop.db.session.get_one(Account, 2, with_for_update=True)
        product = shop.db.session.get_one(Product, 1, with_for_update=True)
        account.balance -= product.price
        product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lock-order")
def one_flush_sorts_its_updates(shop: Shop) -> None:
    with shop.push():
        for product in shop.db.session.scalars(sa.select(Product).order_by(Product.id.desc())):
            product.name = product.name.upper()
        shop.db.session.commit()


@must_not_fire("lock-order")
def a_commit_for_each_row(shop: Shop) -> None:
    with shop.push():
        for product_id in (3, 2, 1):
            product = shop.db.session.get_one(Product, product_id, with_for_update=True)
            product.stock -= 1
            shop.db.session.commit()


@must_not_fire("lock-order")
def a_job_takes_what_is_free(shop: Shop) -> None:
    with shop.push():
        for order_id in (2, 1):
            statement = sa.select(Order).where(Order.id == order_id)
            shop.db.session.scalar(statement.with_for_update(skip_locked=True))
        shop.db.session.commit()


@must_not_fire("lock-order")
def a_worker_goes_through_its_batch(shop: Shop) -> None:
    with shop.push():
        batch = sa.select(Post).order_by(Post.title.desc()).limit(3)
        for post in shop.db.session.scalars(batch.with_for_update(skip_locked=True)).all():
            post.body = "done"
            shop.db.session.flush()
        shop.db.session.commit()


@must_not_fire("lock-order")
def locks_are_not_waited_for(shop: Shop) -> None:
    with shop.push():
        for product_id in (2, 1):
            shop.db.session.get_one(Product, product_id, with_for_update={"nowait": True})
        shop.db.session.commit()


@must_not_fire("lock-order")
def prices_are_kept_from_changing_by_shared_locks(shop: Shop) -> None:
    with shop.push():
        order = Order(user_id=1)
        for product_id in (3, 1):
            product = shop.db.session.get_one(Product, product_id, with_for_update={"read": True})
            order.total = (order.total or 0) + product.price
        shop.db.session.add(order)
        shop.db.session.commit()


@must_not_fire("lock-order")
def new_rows_are_completed(shop: Shop) -> None:
    with shop.push():
        posts = [Post(author_id=1, title="new") for _ in range(2)]
        shop.db.session.add_all(posts)
        shop.db.session.flush()
        for post in reversed(posts):
            post.title = f"{post.id}: {post.title}"
            shop.db.session.flush()
        shop.db.session.commit()


@must_not_fire("lock-order")
def a_savepoint_gives_its_locks_back(shop: Shop) -> None:
    with shop.push(), shop.db.transaction() as session:
        savepoint = session.begin_nested()
        session.get_one(Product, 3, with_for_update=True)
        savepoint.rollback()
        session.get_one(Product, 1, with_for_update=True)


@must_not_fire("lock-order")
def the_root_of_the_aggregate_is_locked_first(shop: Shop) -> None:
    with shop.push():
        order = shop.db.session.get_one(Order, 1, with_for_update=True)
        for item in reversed(order.items):
            item.quantity = 2
            shop.db.session.flush()
        shop.db.session.commit()


@must_not_fire("lock-order")
def rows_are_read_in_any_order(shop: Shop) -> None:
    with shop.push():
        for product_id in (3, 1, 2):
            shop.db.session.get_one(Product, product_id)
        shop.db.session.get_one(Product, 2).views = 3
        shop.db.session.commit()


@must_not_fire("lock-order")
def a_view_locks_after_a_test(shop: Shop) -> None:
    @shop.app.post("/products/<int:product_id>")
    def rename(product_id: int) -> str:
        lock(shop, product_id).name = "mug"
        shop.db.session.commit()
        return ""

    with shop.push():
        shop.db.session.get_one(Product, 3).views = 3
        shop.db.session.flush()
        shop.db.session.get_one(Product, 2).views = 3
        shop.client.post("/products/1")


def lock_form(shop: Shop, *ids: str) -> None:
    @shop.app.post("/orders")
    def order() -> str:
        for product_id in request.form.getlist("id"):
            shop.db.session.get(Product, product_id, with_for_update=True)
        shop.db.session.commit()
        return ""

    shop.client.post("/orders", data={"id": list(ids)})


@must_not_fire("lock-order")
def keys_of_a_form_go_up(shop: Shop) -> None:
    lock_form(shop, "9", "10")


@must_fire("lock-order", "Product")
def keys_of_a_form_go_down(shop: Shop) -> None:
    lock_form(shop, "10", "9")


@must_not_fire("lock-order")
def a_sub_select_has_locked_them_all(shop: Shop) -> None:
    with shop.push():
        every = sa.select(Product.id).with_for_update().subquery()
        shop.db.session.scalars(sa.select(Product).join(every, every.c.id == Product.id)).all()
        lock(shop, 3)
        lock(shop, 1)
        shop.db.session.commit()


@must_fire("lock-order", "post_tags")
def pairs_of_keys_go_down(shop: Shop) -> None:
    pair = sa.tuple_(post_tags.c.post_id, post_tags.c.tag_id)
    with shop.push():
        for keys in ([(2, 1), (1, 2)], [(1, 1)]):
            shop.db.session.execute(sa.delete(post_tags).where(pair.in_(keys)))
        shop.db.session.commit()
