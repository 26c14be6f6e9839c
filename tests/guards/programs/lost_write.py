"""Programs that end with something unsaved: forgotten, or thrown away on purpose."""

from __future__ import annotations

from decimal import Decimal

import click
import flask
import flask.typing
import sqlalchemy as sa
from tests.guards.collection import Shop, must_fire
from tests.guards.models import (
    Account,
    Order,
    OrderItem,
    Post,
    Product,
    Profile,
    Tag,
    User,
    db,
)

THIS = "tests.guards.programs.lost_write"


@must_fire("lost-write", "POST /users")
def a_view_adds_and_does_not_commit(shop: Shop) -> None:
    @shop.app.post("/users")
    def create_user() -> tuple[dict[str, str], int]:
        user = User(name=flask.request.form["name"], email="new@example.com")
        db.session.add(user)
        return {"name": user.name}, 201

    shop.client.post("/users", data={"name": "eve"})


@must_fire("lost-write", "POST /posts/<int:post_id>")
def a_view_changes_and_redirects(shop: Shop) -> None:
    @shop.app.post("/posts/<int:post_id>")
    def edit_post(post_id: int) -> flask.typing.ResponseReturnValue:
        post = db.get_or_404(Post, post_id)
        post.title = flask.request.form["title"]
        return flask.redirect("/posts")

    shop.client.post("/posts/1", data={"title": "On coffee"})


@must_fire("lost-write", "DELETE /profiles/<int:profile_id>")
def a_view_deletes_and_does_not_commit(shop: Shop) -> None:
    @shop.app.delete("/profiles/<int:profile_id>")
    def delete_profile(profile_id: int) -> tuple[str, int]:
        db.session.delete(db.get_or_404(Profile, profile_id))
        return "", 204

    shop.client.delete("/profiles/1")


@must_fire("lost-write", "POST /orders")
def a_view_flushes_for_the_key_and_takes_that_for_saving(shop: Shop) -> None:
    @shop.app.post("/orders")
    def place_order() -> dict[str, int]:
        order = Order(user_id=1, total=Decimal(2))
        db.session.add(order)
        db.session.flush()
        db.session.add(OrderItem(order_id=order.id, product_id=1))
        db.session.flush()
        return {"order": order.id}

    shop.client.post("/orders")


@must_fire("lost-write", "POST /sale")
def a_view_updates_by_a_statement(shop: Shop) -> None:
    @shop.app.post("/sale")
    def start_sale() -> str:
        db.session.execute(sa.update(Product).values(price=Product.price / 2))
        return "done"

    shop.client.post("/sale")


@must_fire("lost-write", "POST /cleanup")
def a_view_deletes_by_sql(shop: Shop) -> None:
    @shop.app.post("/cleanup")
    def cleanup() -> str:
        db.session.execute(sa.text("DELETE FROM tag WHERE name = :name"), {"name": "old"})
        return "done"

    shop.client.post("/cleanup")


@must_fire("lost-write", "POST /log")
def the_last_line_after_the_commit(shop: Shop) -> None:
    @shop.app.post("/log")
    def publish() -> str:
        db.session.add(Post(author_id=1, title="news"))
        db.session.commit()
        db.session.add(Tag(name="published"))
        return "done"

    shop.client.post("/log")


@must_fire("lost-write", "POST /transfer")
def a_savepoint_is_taken_for_a_transaction(shop: Shop) -> None:
    @shop.app.post("/transfer")
    def transfer() -> str:
        with db.session.begin_nested():
            db.session.execute(sa.update(Account).values(balance=Account.balance - 10))
        return "done"

    shop.client.post("/transfer")


@must_fire("lost-write", "GET /visit")
def a_get_adds_a_row_and_does_not_commit(shop: Shop) -> None:
    @shop.app.get("/visit")
    def visit() -> str:
        db.session.add(Tag(name="visited"))
        return "hello"

    shop.client.get("/visit")


@must_fire("lost-write", "flask import-tags")
def a_command_does_not_commit(shop: Shop) -> None:
    @shop.app.cli.command("import-tags")
    def import_tags() -> None:
        for name in ("red", "green"):
            db.session.add(Tag(name=name))
        click.echo("imported 2 tags")

    shop.flask("import-tags")


@must_fire("lost-write", f"{THIS}.a_script_does_not_commit")
def a_script_does_not_commit(shop: Shop) -> None:
    with shop.push():
        user = db.session.get_one(User, 1)
        user.email = "ada@example.org"


@must_fire("lost-write", f"{THIS}.a_job_does_not_commit.nightly")
def a_job_does_not_commit(shop: Shop) -> None:
    def nightly() -> None:
        with shop.app.app_context():
            for post in db.session.scalars(sa.select(Post)):
                post.title = post.title.capitalize()

    nightly()


@must_fire("lost-write", "POST /subscribe")
def a_redirect_is_raised_before_the_commit(shop: Shop) -> None:
    @shop.app.post("/subscribe")
    def subscribe() -> str:
        db.session.add(Tag(name="subscribed"))
        flask.abort(flask.redirect("/thanks"))

    shop.client.post("/subscribe")


@must_fire("lost-write", "flask import-products")
def a_command_writes_in_bulk_and_does_not_commit(shop: Shop) -> None:
    @shop.app.cli.command("import-products")
    def import_products() -> None:
        db.session.bulk_save_objects([Product(sku=f"N{n}", name="new") for n in range(5)])

    shop.flask("import-products")


@must_fire("lost-write", "flask import-products")
def a_command_exits_as_if_all_were_well(shop: Shop) -> None:
    @shop.app.cli.command("import-products")
    @click.pass_context
    def import_products(context: click.Context) -> None:
        db.session.add(Product(sku="P9", name="bowl"))
        context.exit()

    shop.flask("import-products")


@must_fire("lost-write", "POST /import")
def a_view_writes_over_the_connection(shop: Shop) -> None:
    @shop.app.post("/import")
    def import_tags() -> str:
        rows = [{"name": "red"}, {"name": "green"}]
        db.session.connection().execute(sa.insert(Tag), rows)
        return "imported"

    shop.client.post("/import")


@must_fire("lost-write", "POST /archive")
def a_text_takes_from_one_table_for_another(shop: Shop) -> None:
    @shop.app.post("/archive")
    def archive() -> str:
        move = (
            "WITH old AS (SELECT name FROM tag) INSERT INTO tag (name) SELECT 'x' || name FROM old"
        )
        db.session.execute(sa.text(move))
        return "done"

    shop.client.post("/archive")


@must_fire("lost-write", "POST /report")
def a_temporary_table_is_not_all_that_is_written(shop: Shop) -> None:
    @shop.app.post("/report")
    def report() -> str:
        db.session.execute(sa.text("CREATE TEMPORARY TABLE picked AS SELECT id FROM product"))
        db.session.execute(sa.text("DELETE FROM picked WHERE id > 2"))
        db.session.execute(
            sa.text("UPDATE product SET stock = 0 WHERE id IN (SELECT * FROM picked)")
        )
        return "done"

    shop.client.post("/report")
