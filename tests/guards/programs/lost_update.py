"""Numbers that are computed from what was read, and written back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from flask import abort, request
from sqlalchemy.orm import Session
from tests.guards.collection import Shop, must_fire
from tests.guards.models import (
    Account,
    Order,
    OrderItem,
    OrderStatus,
    Post,
    Product,
    User,
)


@must_fire("lost-update", "Product.stock")
def a_view_takes_one_from_the_stock(shop: Shop) -> None:
    @shop.app.post("/products/<int:product_id>/buy")
    def buy(product_id: int) -> str:
        product = shop.db.session.get_one(Product, product_id)
        if product.stock < 1:
            abort(409)
        product.stock -= 1
        shop.db.session.commit()
        return ""

    shop.client.post("/products/1/buy")


@must_fire("lost-update", "Product.stock")
def an_assignment_subtracts_the_quantity(shop: Shop) -> None:
    with shop.push():
        quantity = 2
        product = shop.db.session.get_one(Product, 1)
        product.stock = product.stock - quantity
        shop.db.session.commit()


@must_fire("lost-update", "Product.stock")
def the_rest_is_computed_first_and_checked(shop: Shop) -> None:
    @shop.app.post("/orders")
    def order() -> tuple[str, int]:
        product = shop.db.session.scalars(sa.select(Product).filter_by(sku="P1")).one()
        remaining = product.stock - int(request.form["quantity"])
        if remaining < 0:
            return "sold out", 409
        product.stock = remaining
        shop.db.session.commit()
        return "", 201

    shop.client.post("/orders", data={"quantity": "3"})


@must_fire("lost-update", "Product.stock")
def the_rest_is_named_in_a_condition(shop: Shop) -> None:
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        if (remaining := product.stock - 4) >= 0:
            product.stock = remaining
        shop.db.session.commit()


@must_fire("lost-update", "Account.balance")
def a_balance_is_kept_above_zero(shop: Shop) -> None:
    with shop.push():
        account = shop.db.session.get_one(Account, 1)
        account.balance = max(account.balance - Decimal(30), Decimal(0))
        shop.db.session.commit()


@must_fire("lost-update", "Account.balance")
def a_row_is_added_between_the_read_and_the_write(shop: Shop) -> None:
    with shop.push():
        account = shop.db.session.get_one(Account, 1)
        shop.db.session.add(User(name="eve", email="eve@example.com"))
        shop.db.session.flush()
        balance = account.balance
        balance += Decimal(5)
        account.balance = balance
        shop.db.session.commit()


@must_fire("lost-update", "Product.stock")
def a_login_is_counted_between_the_read_and_the_write(shop: Shop) -> None:
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        shop.db.session.execute(sa.update(User).where(User.id == 1).values(logins=User.logins + 1))
        product.stock -= 1
        shop.db.session.commit()


class Stock:
    """A service class, as larger applications have them."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def take(self, product: Product, quantity: int) -> None:
        product.stock -= quantity


@must_fire("lost-update", "Product.stock")
def a_service_takes_it(shop: Shop) -> None:
    with shop.push():
        stock = Stock(shop.db.session())
        stock.take(shop.db.session.get_one(Product, 2), 1)
        shop.db.session.commit()


@must_fire("lost-update", "User.logins")
def a_login_is_counted(shop: Shop) -> None:
    @shop.app.post("/login")
    def login() -> str:
        user = shop.db.session.scalars(
            sa.select(User).where(User.email == request.form["email"])
        ).one()
        user.logins = (user.logins or 0) + 1
        shop.db.session.commit()
        return ""

    shop.client.post("/login", data={"email": "ada@example.com"})


@must_fire("lost-update", "Post.views")
def a_counter_chosen_by_name(shop: Shop) -> None:
    def increment(row: Any, name: str) -> None:
        setattr(row, name, getattr(row, name) + 1)

    with shop.push():
        increment(shop.db.session.get_one(Post, 1), "views")
        shop.db.session.commit()


@must_fire("lost-update", "Product.price")
def prices_rise_by_a_tenth(shop: Shop) -> None:
    with shop.push():
        for product in shop.db.session.scalars(sa.select(Product)):
            product.price *= Decimal("1.10")
        shop.db.session.commit()


@must_fire("lost-update", "Product.stock")
def the_lock_comes_after_the_read(shop: Shop) -> None:
    """The session keeps the values that it has read without the lock."""
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        if product.stock > 0:
            locked = shop.db.session.get_one(Product, 1, with_for_update=True)
            locked.stock -= 1
        shop.db.session.commit()


@must_fire("lost-update", "OrderItem.quantity")
def a_cart_adds_to_the_line_that_is_there(shop: Shop) -> None:
    @shop.app.post("/orders/<int:order_id>/items")
    def add_item(order_id: int) -> str:
        session = shop.db.session
        data = request.get_json()
        item = session.scalar(
            sa.select(OrderItem).filter_by(order_id=order_id, product_id=data["product_id"])
        )
        if item is None:
            session.add(OrderItem(order_id=order_id, **data))
        else:
            item.quantity += data["quantity"]
        session.commit()
        return ""

    shop.client.post("/orders/1/items", json={"product_id": 1, "quantity": 2})


@must_fire("lost-update", "Product.stock")
def a_cancelled_order_gives_back_what_it_took(shop: Shop) -> None:
    with shop.push():
        order = shop.db.session.get_one(Order, 1)
        products = {item.product: item.quantity for item in order.items}
        order.status = OrderStatus.CANCELLED
        for product, quantity in products.items():
            new_stock = product.stock + quantity
            product.stock = new_stock
        shop.db.session.commit()


@must_fire("lost-update", "Account.balance")
def money_is_moved_after_a_look_at_it(shop: Shop) -> None:
    @shop.app.post("/transfer")
    def transfer() -> str:
        sender = shop.db.session.get_one(Account, 1)
        receiver = shop.db.session.get_one(Account, 2)
        amount = Decimal(request.form["amount"])
        if sender.balance < amount:
            abort(409)
        sender.balance -= amount
        receiver.balance += amount
        shop.db.session.commit()
        return "moved"

    shop.client.post("/transfer", data={"amount": "5"})
