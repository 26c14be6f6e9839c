"""Programs that write values into the text of a statement, and such that bind them."""

# ruff: noqa: UP031, UP032 - statements made of strings are what these programs are about

from __future__ import annotations

from textwrap import dedent
from typing import Any

from flask import request
from sqlalchemy import select, text
from tests.guards.collection import Shop, must_fire
from tests.guards.models import Order, Post, Product

HERE = __name__
SEARCH = "select id, name from product where name like '%%%s%%'"


@must_fire("sql-literal", f"{HERE}.a_view_formats_a_name_into_a_query.find")
def a_view_formats_a_name_into_a_query(shop: Shop) -> None:
    @shop.app.get("/find")
    def find() -> str:
        name = request.args["name"]
        row = shop.db.session.execute(text(f"select email from user where name = '{name}'")).first()
        return str(row)

    shop.client.get("/find?name=bob")


@must_fire("sql-literal", f"{HERE}.a_function_uses_percent.user_of")
def a_function_uses_percent(shop: Shop) -> None:
    def user_of(email: str) -> Any:
        return shop.db.session.execute(
            text("SELECT * FROM user WHERE email = '%s'" % email)
        ).first()

    with shop.push():
        user_of("ada@example.com")


@must_fire("sql-literal", f"{HERE}.a_function_adds_strings.log_in")
def a_function_adds_strings(shop: Shop) -> None:
    def log_in(name: str, email: str) -> Any:
        sql = "select id from user where name = '" + name + "' and email = '" + email + "'"
        return shop.db.session.execute(text(sql)).scalar()

    with shop.push():
        log_in("ada", "ada@example.com")


@must_fire("sql-literal", f"{HERE}.a_function_uses_format.product")
def a_function_uses_format(shop: Shop) -> None:
    def product(product_id: int) -> Any:
        sql = "select * from product where id = {} limit 1".format(product_id)
        return shop.db.session.execute(text(sql)).one()

    with shop.push():
        product(2)


@must_fire("sql-literal", f"{HERE}.an_update_has_numbers_in_it.take")
def an_update_has_numbers_in_it(shop: Shop) -> None:
    def take(product: Product, quantity: int) -> None:
        shop.db.session.execute(
            text(f"""
                update product set stock = stock - {quantity}
                where id = {product.id} and stock >= {quantity}
            """)
        )
        shop.db.session.commit()

    with shop.push():
        take(shop.db.session.get_one(Product, 1), 2)


@must_fire("sql-literal", f"{HERE}.a_list_is_joined_into_in.names")
def a_list_is_joined_into_in(shop: Shop) -> None:
    def names(ids: list[int]) -> Any:
        joined = ", ".join(str(i) for i in ids)
        return shop.db.session.scalars(text(f"select name from user where id in ({joined})")).all()

    with shop.push():
        names([1, 2])


@must_fire("sql-literal", f"{HERE}.a_filter_of_a_select_is_text.titled")
def a_filter_of_a_select_is_text(shop: Shop) -> None:
    def titled(word: str) -> Any:
        return shop.db.session.scalars(select(Post).where(text(f"title like '%{word}%'"))).all()

    with shop.push():
        titled("tea")


@must_fire("sql-literal", f"{HERE}.the_legacy_query_filters_by_text.rich")
def the_legacy_query_filters_by_text(shop: Shop) -> None:
    def rich(total: int) -> Any:
        return shop.db.session.query(Order).filter(text(f"total > {total}")).all()

    with shop.push():
        rich(5)


@must_fire("sql-literal", f"{HERE}.the_order_is_what_the_client_sends.posts")
def the_order_is_what_the_client_sends(shop: Shop) -> None:
    @shop.app.get("/posts")
    def posts() -> list[str]:
        query = select(Post.title).order_by(text(request.args["sort"]))
        return list(shop.db.session.scalars(query))

    assert shop.client.get("/posts?sort=title").status_code == 200


@must_fire("sql-literal", f"{HERE}.the_order_of_a_text_is_what_the_client_sends.products")
def the_order_of_a_text_is_what_the_client_sends(shop: Shop) -> None:
    @shop.app.get("/products")
    def products() -> list[str]:
        sort = request.args.get("sort", "id")
        return list(shop.db.session.scalars(text(f"select name from product order by {sort}")))

    assert shop.client.get("/products?sort=price").status_code == 200


@must_fire("sql-literal", f"{HERE}.a_driver_statement_has_a_value.touch")
def a_driver_statement_has_a_value(shop: Shop) -> None:
    def touch(name: str) -> None:
        connection = shop.db.session.connection()
        connection.exec_driver_sql(f"update user set logins = logins + 1 where name = '{name}'")
        shop.db.session.commit()

    with shop.push():
        touch("ada")


@must_fire("sql-literal", f"{HERE}.an_engine_is_used_directly.add_tag")
def an_engine_is_used_directly(shop: Shop) -> None:
    def add_tag(name: str) -> None:
        with shop.db.engine.begin() as connection:
            connection.execute(text(f"insert into tag (name) values ('{name}')"))

    with shop.push():
        add_tag("fresh")


@must_fire("sql-literal", f"{HERE}.conditions_are_collected.search")
def conditions_are_collected(shop: Shop) -> None:
    def search(name: str | None, least: int | None) -> Any:
        sql = "select * from product where 1 = 1"
        if name:
            sql += f" and name = '{name}'"
        if least:
            sql += f" and stock >= {least}"
        return shop.db.session.execute(text(sql)).all()

    with shop.push():
        search("cup", 5)


@must_fire("sql-literal", f"{HERE}.Users.by_name")
def a_repository_has_its_text_made_elsewhere(shop: Shop) -> None:
    def rows(sql: str) -> Any:
        return shop.db.session.execute(text(sql)).all()

    with shop.push():
        rows(Users().by_name("ada"))


class Users:
    def by_name(self, name: str) -> str:
        return f"select id from user where user.name = '{name}' order by id"


@must_fire("sql-literal", f"{HERE}.a_query_of_the_module_is_filled.matching")
def a_query_of_the_module_is_filled(shop: Shop) -> None:
    def matching(term: str) -> Any:
        return shop.db.session.execute(text(SEARCH % term)).all()

    with shop.push():
        matching("cu")


@must_fire("sql-literal", f"{HERE}.pages_are_formatted.page")
def pages_are_formatted(shop: Shop) -> None:
    def page(number: int, size: int = 2) -> Any:
        sql = dedent(f"""
            select title
            from post
            order by id  -- stable
            limit {size} offset {(number - 1) * size}
        """)
        return shop.db.session.scalars(text(sql)).all()

    with shop.push():
        page(2)


@must_fire("sql-literal", f"{HERE}.keys_of_a_form_are_joined.delete_posts")
def keys_of_a_form_are_joined(shop: Shop) -> None:
    @shop.app.post("/posts/delete")
    def delete_posts() -> str:
        keys = ",".join(request.form.getlist("id"))
        shop.db.session.execute(text(f"delete from post where id in ({keys})"))
        shop.db.session.commit()
        return "deleted"

    shop.client.post("/posts/delete", data={"id": ["1", "2"]})
