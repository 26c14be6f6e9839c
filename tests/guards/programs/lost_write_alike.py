"""Contexts that end without a commit, and are right."""

from __future__ import annotations

from typing import Any, cast

import click
import flask
import flask.typing
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from tests.guards.collection import Shop, must_not_fire
from tests.guards.models import (
    Order,
    OrderItem,
    OrderStatus,
    Post,
    Product,
    Tag,
    User,
    db,
)
from werkzeug.exceptions import HTTPException


@must_not_fire("lost-write")
def a_view_commits(shop: Shop) -> None:
    @shop.app.post("/users")
    def create_user() -> tuple[dict[str, int], int]:
        user = User(name="eve", email="eve@example.com", posts=[Post(title="hello")])
        db.session.add(user)
        db.session.commit()
        return {"id": user.id}, 201

    shop.client.post("/users")


@must_not_fire("lost-write")
def a_view_only_reads(shop: Shop) -> None:
    @shop.app.get("/users")
    def users() -> list[dict[str, object]]:
        found = db.session.scalars(sa.select(User).order_by(User.name))
        return [{"name": user.name, "posts": len(user.posts)} for user in found]

    shop.client.get("/users")


@must_not_fire("lost-write")
def a_form_is_saved_unchanged(shop: Shop) -> None:
    @shop.app.post("/users/<int:user_id>")
    def edit(user_id: int) -> str:
        user = db.get_or_404(User, user_id)
        user.name = flask.request.form["name"]
        return "no change" if not db.session.is_modified(user) else "changed"

    shop.client.post("/users/1", data={"name": "ada"})


@must_not_fire("lost-write")
def a_preview_is_rolled_back(shop: Shop) -> None:
    @shop.app.post("/orders/preview")
    def preview() -> dict[str, int]:
        order = Order(user_id=1, items=[OrderItem(product_id=1)])
        db.session.add(order)
        db.session.flush()
        answer = {"items": len(order.items)}
        db.session.rollback()
        return answer

    shop.client.post("/orders/preview")


@must_not_fire("lost-write")
def a_preview_is_never_added(shop: Shop) -> None:
    @shop.app.post("/posts/preview")
    def preview() -> str:
        post = Post(author_id=1, title=flask.request.form["title"])
        return flask.render_template_string("<h1>{{ post.title }}</h1>", post=post)

    shop.client.post("/posts/preview", data={"title": "draft"})


@must_not_fire("lost-write")
def a_row_is_masked_for_the_answer(shop: Shop) -> None:
    @shop.app.get("/users/<int:user_id>")
    def show(user_id: int) -> dict[str, str]:
        user = db.get_or_404(User, user_id)
        user.email = "***"
        return {"name": user.name, "email": user.email}

    shop.client.get("/users/1")


@must_not_fire("lost-write")
def a_half_made_order_is_refused(shop: Shop) -> None:
    @shop.app.post("/orders")
    def place_order() -> str:
        db.session.add(Order(user_id=1))
        db.session.flush()
        product = db.session.get_one(Product, 1)
        if product.stock < 1000:
            flask.abort(409, "sold out")
        db.session.commit()
        return "placed"

    shop.client.post("/orders")


@must_not_fire("lost-write")
def an_error_handler_answers_for_a_view_that_failed(shop: Shop) -> None:
    @shop.app.errorhandler(ValueError)
    def invalid(error: ValueError) -> tuple[str, int]:
        return str(error), 422

    @shop.app.post("/products")
    def create() -> str:
        product = Product(sku="P9", name="bowl")
        db.session.add(product)
        product.stock = int(flask.request.form["stock"])
        db.session.commit()
        return "created"

    shop.client.post("/products", data={"stock": "many"})


@must_not_fire("lost-write")
def a_view_fails(shop: Shop) -> None:
    @shop.app.post("/users")
    def create_user() -> str:
        db.session.add(User(name="eve", email="eve@example.com"))
        raise RuntimeError("the mail server is away")

    with pytest.raises(RuntimeError):
        shop.client.post("/users")


@must_not_fire("lost-write")
def a_job_fails(shop: Shop) -> None:
    with pytest.raises(ZeroDivisionError), shop.push():
        db.session.add(Tag(name=f"{1 / 0}"))


@must_not_fire("lost-write")
def a_duplicate_is_rolled_back_and_told(shop: Shop) -> None:
    @shop.app.post("/register")
    def register() -> str:
        db.session.add(User(name="ada", email="ada@example.com"))
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            return "This address is taken."
        return "Welcome."

    shop.client.post("/register")


@must_not_fire("lost-write")
def what_is_added_is_taken_out_again(shop: Shop) -> None:
    @shop.app.post("/compare")
    def compare() -> str:
        product = Product(sku="P1", name="twin")
        db.session.add(product)
        db.session.expunge(product)
        return product.name

    shop.client.post("/compare")


@must_not_fire("lost-write")
def a_savepoint_that_was_tried_is_rolled_back(shop: Shop) -> None:
    @shop.app.post("/dry-run")
    def dry_run() -> str:
        savepoint = db.session.begin_nested()
        db.session.add(Product(sku="P8", name="try"))
        db.session.flush()
        savepoint.rollback()
        return "would work"

    shop.client.post("/dry-run")


@must_not_fire("lost-write")
def the_service_commits_in_a_block(shop: Shop) -> None:
    @shop.app.post("/sale")
    def start_sale() -> str:
        with db.transaction():
            db.session.execute(sa.update(Product).values(price=1))
        return "done"

    shop.client.post("/sale")


@must_not_fire("lost-write", RETORT_REQUEST_TRANSACTION=True)
def the_request_is_the_transaction(shop: Shop) -> None:
    @shop.app.post("/users")
    def create_user() -> str:
        db.session.add(User(name="eve", email="eve@example.com"))
        return "created"

    shop.client.post("/users")


@must_not_fire("lost-write")
def a_dry_run_of_a_command_is_allowed(shop: Shop) -> None:
    @shop.app.cli.command("reprice")
    @db.allow("lost-write", "flask reprice", reason="prints what would change")
    def reprice() -> None:
        for product in db.session.scalars(sa.select(Product)):
            product.price += 1
            click.echo(f"{product.name}: {product.price}")

    shop.flask("reprice")


@must_not_fire("lost-write")
def a_statement_that_checks_and_takes_finds_nothing(shop: Shop) -> None:
    @shop.app.post("/take")
    def take() -> str:
        enough = sa.update(Product).where(Product.id == 1, Product.stock >= 100)
        result = db.session.execute(enough.values(stock=Product.stock - 100))
        if cast("sa.CursorResult[Any]", result).rowcount == 0:
            return "sold out"
        db.session.commit()
        return "taken"

    shop.client.post("/take")


@must_not_fire("lost-write")
def an_error_of_the_form_is_answered_with_a_redirect(shop: Shop) -> None:
    class FormError(Exception):
        pass

    @shop.app.errorhandler(FormError)
    def back(error: FormError) -> flask.typing.ResponseReturnValue:
        return flask.redirect("/products/new")

    @shop.app.post("/products")
    def create() -> str:
        db.session.add(Product(sku="P9", name="bowl"))
        db.session.flush()
        raise FormError("the picture is too large")

    shop.client.post("/products")


@must_not_fire("lost-write")
def a_refusal_has_status_200(shop: Shop) -> None:
    @shop.app.errorhandler(HTTPException)
    def as_document(error: HTTPException) -> dict[str, object]:
        return {"ok": False, "code": error.code}

    @shop.app.post("/orders")
    def place_order() -> str:
        db.session.add(Order(user_id=1))
        db.session.flush()
        flask.abort(409)

    shop.client.post("/orders")


@must_not_fire("lost-write")
def the_last_function_after_the_request_commits(shop: Shop) -> None:
    @shop.app.after_request
    def end(response: flask.Response) -> flask.Response:
        if response.status_code < 400:
            db.session.commit()
        else:
            db.session.rollback()
        return response

    @shop.app.post("/tags/<name>")
    def add(name: str) -> str:
        db.session.add(Tag(name=name))
        return "added"

    shop.client.post("/tags/red")


@must_not_fire("lost-write")
def the_teardown_commits(shop: Shop) -> None:
    @shop.app.teardown_appcontext
    def end(error: BaseException | None) -> None:
        if error is None:
            db.session.commit()

    @shop.app.post("/tags/<name>")
    def add(name: str) -> str:
        db.session.add(Tag(name=name))
        return "added"

    shop.client.post("/tags/red")


@must_not_fire("lost-write")
def a_task_runs_at_once_in_a_context_of_its_own(shop: Shop) -> None:
    def ship(order_id: int) -> None:
        with shop.app.app_context():
            db.session.get_one(Order, order_id).status = OrderStatus.PAID
            db.session.commit()

    @shop.app.post("/orders")
    def place_order() -> str:
        order = Order(user_id=1)
        db.session.add(order)
        db.session.commit()
        ship(order.id)
        db.session.refresh(order)
        return order.status.value

    shop.client.post("/orders")


@must_not_fire("lost-write")
def a_command_gives_up(shop: Shop) -> None:
    @shop.app.cli.command("import-products")
    def import_products() -> None:
        db.session.add(Product(sku="P9", name="bowl"))
        db.session.flush()
        raise click.Abort

    with pytest.raises(SystemExit):
        shop.flask("import-products")


@must_not_fire("lost-write")
def a_command_exits_with_a_code(shop: Shop) -> None:
    @shop.app.cli.command("import-products")
    @click.pass_context
    def import_products(context: click.Context) -> None:
        db.session.add(Product(sku="P9", name="bowl"))
        db.session.flush()
        context.exit(2)

    with pytest.raises(SystemExit):
        shop.flask("import-products")


@must_not_fire("lost-write")
def a_value_is_set_and_set_back(shop: Shop) -> None:
    @shop.app.post("/users/<int:user_id>/try")
    def attempt(user_id: int) -> str:
        user = db.get_or_404(User, user_id)
        name, user.name = user.name, "other"
        user.name = name
        return name

    shop.client.post("/users/1/try")


@must_not_fire("lost-write")
def a_fixture_removes_the_session(shop: Shop) -> None:
    context = shop.push()
    context.push()
    db.session.add(Tag(name="scratch"))
    db.session.flush()
    db.session.remove()
    context.pop()


@must_not_fire("lost-write")
def a_report_is_a_recursive_query(shop: Shop) -> None:
    @shop.app.post("/report")
    def report() -> list[int]:
        days = "WITH RECURSIVE d(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM d WHERE n < 7)"
        return list(shop.db.session.scalars(sa.text(f"{days} SELECT n FROM d")))

    assert shop.client.post("/report").json == [1, 2, 3, 4, 5, 6, 7]
