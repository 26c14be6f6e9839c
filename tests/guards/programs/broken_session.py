"""Programs that catch a database's error: and go on with half of their work, or know what to do."""

from __future__ import annotations

from decimal import Decimal

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Account, Order, OrderItem, Post, Product, Tag, User, db

THIS = "tests.guards.programs.broken_session"
SKUS = ("P7", "P1", "P8")
"""The second one is there already."""


@must_fire("broken-session", "POST /products/import")
def an_import_skips_duplicates(shop: Shop) -> None:
    @shop.app.post("/products/import")
    def import_products() -> str:
        for sku in SKUS:
            db.session.add(Product(sku=sku, name=sku))
            try:
                db.session.flush()
            except IntegrityError:
                flask.current_app.logger.info("skipped")
        db.session.commit()
        return "imported"

    shop.client.post("/products/import")


@must_fire("broken-session", "flask import-products")
def a_command_skips_duplicates(shop: Shop) -> None:
    @shop.app.cli.command("import-products")
    def import_products() -> None:
        for sku in SKUS:
            try:
                db.session.add(Product(sku=sku, name=sku))
                db.session.flush()
            except IntegrityError:
                continue
        db.session.commit()

    shop.flask("import-products")


def tag_named(name: str) -> Tag:
    """Get or create, as it is often written."""
    try:
        tag = Tag(name=name)
        db.session.add(tag)
        db.session.flush()
    except IntegrityError:
        tag = db.session.scalars(sa.select(Tag).filter_by(name=name)).one()
    return tag


@must_fire("broken-session", "POST /posts")
def get_or_create_after_another_write(shop: Shop) -> None:
    @shop.app.post("/posts")
    def create_post() -> str:
        post = Post(author_id=1, title="rain again")
        db.session.add(post)
        db.session.flush()
        tag_named("news")
        db.session.commit()
        return "created"

    shop.client.post("/posts")


@must_fire("broken-session", "POST /orders")
def the_stock_is_taken_and_the_note_fails(shop: Shop) -> None:
    @shop.app.post("/orders")
    def place_order() -> str:
        db.session.execute(sa.update(Product).values(stock=Product.stock - 1))
        try:
            db.session.add(Tag(name="news"))
            db.session.flush()
        except IntegrityError:
            flask.flash("no new tag")
        db.session.add(Order(user_id=1, total=Decimal(1)))
        db.session.commit()
        return "placed"

    shop.app.secret_key = "only here"
    shop.client.post("/orders")


@must_fire("broken-session", "POST /signup")
def the_next_query_believes_in_what_is_gone(shop: Shop) -> None:
    @shop.app.post("/signup")
    def sign_up() -> str:
        user = User(name="eve", email="eve@example.com")
        db.session.add(user)
        db.session.flush()
        try:
            db.session.add(User(name="eve", email="ada@example.com"))
            db.session.flush()
        except IntegrityError:
            pass
        return str(db.session.scalar(sa.select(sa.func.count()).select_from(User)))

    shop.client.post("/signup")


@must_fire("broken-session", f"{THIS}.a_job_goes_on_after_an_error.nightly")
def a_job_goes_on_after_an_error(shop: Shop) -> None:
    def nightly() -> None:
        with shop.push():
            db.session.execute(sa.update(Account).values(balance=Account.balance * 2))
            try:
                db.session.add(Account(owner_id=99))
                db.session.flush()
            except IntegrityError:
                shop.app.logger.info("no such user")
            db.session.commit()

    nightly()


@must_not_fire("broken-session")
def get_or_create_is_all_there_is(shop: Shop) -> None:
    @shop.app.post("/tags")
    def add_tag() -> str:
        tag = tag_named("news")
        db.session.commit()
        return tag.name

    shop.client.post("/tags")


@must_not_fire("broken-session")
def get_or_create_after_reading(shop: Shop) -> None:
    @shop.app.post("/tags")
    def add_tag() -> str:
        author = db.session.get_one(User, 1)
        tag = tag_named("news")
        return f"{author.name} {tag.name}"

    shop.client.post("/tags")


@must_not_fire("broken-session")
def the_error_is_answered_with_a_rollback(shop: Shop) -> None:
    @shop.app.post("/products/import")
    def import_products() -> str:
        try:
            for sku in SKUS:
                db.session.add(Product(sku=sku, name=sku))
                db.session.flush()
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
        return str(db.session.scalar(sa.select(sa.func.count()).select_from(Product)))

    shop.client.post("/products/import")


@must_not_fire("broken-session")
def each_line_is_a_savepoint(shop: Shop) -> None:
    @shop.app.post("/products/import")
    def import_products() -> str:
        for sku in SKUS:
            try:
                with db.session.begin_nested():
                    db.session.add(Product(sku=sku, name=sku))
            except IntegrityError:
                continue
        db.session.commit()
        return "imported"

    shop.client.post("/products/import")


@must_not_fire("broken-session")
def each_line_is_a_block_in_a_block(shop: Shop) -> None:
    @shop.app.cli.command("import-products")
    def import_products() -> None:
        with db.transaction():
            for sku in SKUS:
                try:
                    with db.transaction():
                        db.session.add(Product(sku=sku, name=sku))
                except IntegrityError:
                    continue

    shop.flask("import-products")


@must_not_fire("broken-session")
def each_line_is_committed(shop: Shop) -> None:
    @shop.app.cli.command("import-products")
    def import_products() -> None:
        for sku in SKUS:
            try:
                db.session.add(Product(sku=sku, name=sku))
                db.session.commit()
            except IntegrityError:
                continue

    shop.flask("import-products")


@must_not_fire("broken-session")
def the_commit_fails_and_the_form_is_shown_again(shop: Shop) -> None:
    @shop.app.post("/orders")
    def place_order() -> list[str]:
        try:
            order = Order(user_id=1)
            db.session.add(order)
            db.session.flush()
            db.session.add(OrderItem(order_id=order.id, product_id=99))
            db.session.commit()
        except IntegrityError:
            return list(db.session.scalars(sa.select(Product.name)))
        return []

    shop.client.post("/orders")


@must_not_fire("broken-session")
def an_error_handler_reads_for_its_page(shop: Shop) -> None:
    @shop.app.errorhandler(IntegrityError)
    def conflict(error: IntegrityError) -> tuple[str, int]:
        return db.session.get_one(User, 1).name, 409

    @shop.app.post("/orders")
    def place_order() -> str:
        order = Order(user_id=1)
        db.session.add(order)
        db.session.flush()
        db.session.add(OrderItem(order_id=order.id, product_id=99))
        db.session.flush()
        return "never"

    shop.client.post("/orders")


@must_not_fire("broken-session")
def a_refused_request_is_noted_afterwards(shop: Shop) -> None:
    @shop.app.after_request
    def note(response: flask.Response) -> flask.Response:
        db.session.execute(sa.update(User).values(logins=User.logins + 1))
        db.session.commit()
        return response

    @shop.app.post("/products/import")
    def import_products() -> str:
        try:
            for sku in SKUS:
                db.session.add(Product(sku=sku, name=sku))
                db.session.flush()
        except IntegrityError:
            flask.abort(409, "one of them is there already")
        return "never"

    shop.client.post("/products/import")


@must_not_fire("broken-session")
def the_error_ends_the_job(shop: Shop) -> None:
    def nightly() -> None:
        with shop.push():
            for sku in SKUS:
                db.session.add(Product(sku=sku, name=sku))
                db.session.flush()

    with pytest.raises(IntegrityError):
        nightly()


@must_not_fire("broken-session")
def an_invalid_value_never_reaches_the_database(shop: Shop) -> None:
    @shop.app.post("/products")
    def create() -> str:
        product = Product(sku="P7", name="bowl")
        db.session.add(product)
        db.session.flush()
        try:
            product.stock = int("many")
        except ValueError:
            product.stock = 0
        db.session.commit()
        return "created"

    shop.client.post("/products")


@must_not_fire("broken-session")
def a_free_name_is_looked_for(shop: Shop) -> None:
    @shop.app.post("/tags")
    def add() -> str:
        for name in ("news", "old", "news-2"):
            db.session.add(Tag(name=name))
            try:
                db.session.commit()
            except IntegrityError:
                db.session.rollback()
            else:
                return name
        return "none is free"

    assert shop.client.post("/tags").text == "news-2"


@must_not_fire("broken-session")
def a_helper_rolls_back(shop: Shop) -> None:
    def is_saved() -> bool:
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            return False
        return True

    @shop.app.post("/tags")
    def add() -> str:
        db.session.add(Post(author_id=1, title="tagged"))
        db.session.flush()
        db.session.add(Tag(name="news"))
        if not is_saved():
            db.session.add(Tag(name="news-2"))
            db.session.commit()
        return ""

    shop.client.post("/tags")


@must_not_fire("broken-session")
def a_monitor_asks_for_a_table_that_may_not_be_there(shop: Shop) -> None:
    @shop.app.get("/health")
    def health() -> str:
        try:
            db.session.execute(sa.text("SELECT 1 FROM not_made_yet"))
        except SQLAlchemyError:
            flask.current_app.logger.debug("not made yet")
        return str(db.session.scalar(sa.select(sa.func.count(User.id))))

    assert shop.client.get("/health").text == "2"
