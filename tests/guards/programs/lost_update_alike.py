"""Numbers that look as if they were computed from a stale one, and are right."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from flask import abort, request
from tests.guards.collection import Shop, must_not_fire
from tests.guards.models import (
    Account,
    Order,
    OrderItem,
    Post,
    Product,
    User,
    VersionedProduct,
)


@must_not_fire("lost-update")
def a_form_overwrites_the_stock(shop: Shop) -> None:
    @shop.app.post("/products/<int:product_id>")
    def edit(product_id: int) -> str:
        product = shop.db.session.get_one(Product, product_id)
        product.stock = int(request.form["stock"])
        product.price = Decimal(request.form["price"]) * Decimal("1.19")
        shop.db.session.commit()
        return ""

    shop.client.post("/products/1", data={"stock": "7", "price": "2"})


@must_not_fire("lost-update")
def json_fields_are_set_by_name(shop: Shop) -> None:
    @shop.app.patch("/products/<int:product_id>")
    def edit(product_id: int) -> str:
        product = shop.db.session.get_one(Product, product_id)
        for name, value in request.get_json().items():
            setattr(product, name, value)
        shop.db.session.commit()
        return ""

    shop.client.patch("/products/1", json={"stock": 3, "views": 4})


@must_not_fire("lost-update")
def the_database_computes(shop: Shop) -> None:
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        product.stock = Product.stock - 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def one_update_checks_and_writes(shop: Shop) -> None:
    with shop.push():
        left = shop.db.session.scalar(
            sa.update(Product)
            .where(Product.id == 1, Product.stock >= 2)
            .values(stock=Product.stock - 2)
            .returning(Product.stock)
        )
        assert left == 8
        shop.db.session.commit()


@must_not_fire("lost-update")
def the_row_is_read_with_a_lock(shop: Shop) -> None:
    with shop.push():
        product = shop.db.session.get_one(Product, 1, with_for_update=True)
        product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def the_row_is_refreshed_with_a_lock(shop: Shop) -> None:
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        shop.db.session.refresh(product, with_for_update=True)
        product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def the_extension_locks_a_row_that_was_read(shop: Shop) -> None:
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        shop.db.lock(Product, [1])
        product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def the_row_is_locked_in_the_next_transaction(shop: Shop) -> None:
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        if product.stock < 1:
            abort(409)
        shop.db.session.commit()
        shop.db.session.get_one(Product, 1, with_for_update=True)
        product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def a_locking_select_by_another_column(shop: Shop) -> None:
    with shop.push():
        statement = sa.select(Product).where(Product.sku == "P2").with_for_update()
        product = shop.db.session.scalars(statement).one()
        product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def the_root_of_the_aggregate_is_locked(shop: Shop) -> None:
    with shop.push():
        order = shop.db.session.get_one(Order, 1, with_for_update=True)
        for item in order.items:
            item.quantity += 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def rows_are_locked_by_the_extension(shop: Shop) -> None:
    with shop.push(), shop.db.transaction():
        products = shop.db.lock(Product, [1, 2])
        for product in products.values():
            product.stock -= 1


@must_not_fire("lost-update")
def a_version_protects_it(shop: Shop) -> None:
    with shop.push():
        product = shop.db.session.get_one(VersionedProduct, 1)
        product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def the_only_writer_of_sqlite_reads_and_writes(shop: Shop) -> None:
    with shop.push(), shop.db.transaction() as session:
        product = session.get_one(Product, 1)
        product.stock -= 1


@must_not_fire("lost-update")
def a_new_order_is_added_up(shop: Shop) -> None:
    with shop.push():
        order = Order(user_id=1, total=Decimal(0))
        shop.db.session.add(order)
        shop.db.session.flush()
        for product in shop.db.session.scalars(sa.select(Product)):
            shop.db.session.add(OrderItem(order=order, product=product, quantity=2))
            order.total += product.price * 2
        shop.db.session.commit()


@must_not_fire("lost-update")
def the_old_value_is_only_compared(shop: Shop) -> None:
    @shop.app.post("/products/<int:product_id>/discontinue")
    def discontinue(product_id: int) -> str:
        product = shop.db.session.get_one(Product, product_id)
        if product.stock < 1:
            abort(409)
        product.stock = 0
        shop.db.session.commit()
        return ""

    shop.client.post("/products/1/discontinue")


@must_not_fire("lost-update")
def a_price_comes_from_another_object(shop: Shop) -> None:
    with shop.push():
        cup, pot = shop.db.session.scalars(sa.select(Product).where(Product.id < 3))
        cup.price = pot.price * 2
        shop.db.session.commit()


@must_not_fire("lost-update")
def places_are_numbered(shop: Shop) -> None:
    with shop.push():
        views = 100
        for post in shop.db.session.scalars(sa.select(Post)):
            post.views = views
            views = views + 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def a_total_is_counted_anew(shop: Shop) -> None:
    with shop.push():
        order = shop.db.session.get_one(Order, 1)
        total = order.total + 1  # what the customer saw
        assert total
        total = sum((item.product.price for item in order.items), Decimal(2))
        order.total = total
        shop.db.session.commit()


@must_not_fire("lost-update")
def a_change_is_only_tried(shop: Shop) -> None:
    with shop.push():
        account = shop.db.session.get_one(Account, 1)
        account.balance -= Decimal(10)
        assert account.balance == Decimal(90)
        shop.db.session.rollback()


@must_not_fire(
    "lost-update", RETORT_ALLOW=[("lost-update", "Post.views", "a view more or less is no matter")]
)
def views_are_allowed(shop: Shop) -> None:
    with shop.push():
        shop.db.session.get_one(Post, 1).views += 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def an_own_write_is_read_again(shop: Shop) -> None:
    with shop.push():
        session = shop.db.session
        session.execute(
            sa.update(Account).where(Account.id == 1).values(balance=Account.balance - 10)
        )
        account = session.get_one(Account, 1)
        account.balance -= Decimal("0.5")  # the fee
        session.commit()


@must_not_fire("lost-update")
def rows_are_locked_through_a_join(shop: Shop) -> None:
    ordered = sa.select(Product).join(OrderItem, OrderItem.product_id == Product.id)
    locked = ordered.where(OrderItem.order_id == 1).order_by(Product.id).with_for_update(of=Product)
    with shop.push():
        for product in shop.db.session.scalars(locked).all():
            product.stock -= 1
        shop.db.session.commit()


@must_not_fire("lost-update")
def a_counter_starts_again_behind_its_limit(shop: Shop) -> None:
    with shop.push():
        user = shop.db.session.get_one(User, 1)
        user.logins = 0 if user.logins + 1 > 5 else 5
        shop.db.session.commit()


@must_not_fire("lost-update")
def the_key_of_a_locked_row_is_from_a_form(shop: Shop) -> None:
    @shop.app.post("/take")
    def take() -> str:
        key: Any = request.form["id"]
        product = shop.db.session.get_one(Product, key, with_for_update=True)
        product.stock -= 1
        shop.db.session.commit()
        return ""

    shop.client.post("/take", data={"id": "1"})


@must_not_fire("lost-update")
def a_sub_select_locks_the_row(shop: Shop) -> None:
    with shop.push(), shop.db.transaction() as session:
        first = sa.select(Product.id).where(Product.stock > 0).order_by(Product.id).limit(1)
        locked = first.with_for_update().scalar_subquery()
        product = session.scalars(sa.select(Product).where(Product.id == locked)).one()
        product.stock -= 1
