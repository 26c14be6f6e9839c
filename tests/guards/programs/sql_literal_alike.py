"""Texts that look as if a value was put into them, and are right."""

from __future__ import annotations

import enum
import tempfile
from pathlib import Path
from typing import Any

import flask
import sqlalchemy as sa
from flask import request
from sqlalchemy import bindparam, literal_column, select, text
from tests.guards.collection import Shop, must_not_fire
from tests.guards.models import Post, Product, User

ACTIVE_LOGINS = 3

PRODUCTS = "product"

BEST = "select name from product where stock >= 10 and name <> 'tray' order by price limit 3"

SORTS = {"new": "post.id desc", "title": "post.title"}


class Role(enum.Enum):
    ADMIN = "admin"


@must_not_fire("sql-literal")
def a_constant_statement_has_literals(shop: Shop) -> None:
    with shop.push():
        shop.db.session.execute(text("select email from user where name = 'bob' and logins = 0"))


@must_not_fire("sql-literal")
def values_are_bound(shop: Shop) -> None:
    def user_of(email: str) -> Any:
        sql = "select * from user where email = :email and logins >= 0"
        return shop.db.session.execute(text(sql), {"email": email}).first()

    with shop.push():
        user_of("ada@example.com")


@must_not_fire("sql-literal")
def a_table_name_is_formatted(shop: Shop) -> None:
    def count(model: Any) -> Any:
        sql = f"select count(*) from {model.__tablename__} where id > 0"
        return shop.db.session.scalar(text(sql))

    with shop.push():
        assert [count(model) for model in (User, Product)] == [2, 3]


@must_not_fire("sql-literal")
def placeholders_are_made_for_in(shop: Shop) -> None:
    def names(ids: list[int]) -> Any:
        marks = ", ".join(f":id{i}" for i in range(len(ids)))
        values = {f"id{i}": value for i, value in enumerate(ids)}
        sql = f"select name from user where logins = 0 and id in ({marks})"
        return shop.db.session.scalars(text(sql), values).all()

    with shop.push():
        assert len(names([1, 2])) == 2


@must_not_fire("sql-literal")
def an_expanding_parameter_is_used(shop: Shop) -> None:
    sql = text("select name from user where id in :ids").bindparams(
        bindparam("ids", expanding=True)
    )
    with shop.push():
        shop.db.session.scalars(sql, {"ids": [1, 2]}).all()


@must_not_fire("sql-literal")
def constants_of_the_program_are_formatted(shop: Shop) -> None:
    with shop.push():
        shop.db.session.execute(text(f"select * from {PRODUCTS} where stock > {ACTIVE_LOGINS}"))
        shop.db.session.execute(text(f"select * from user where name = '{Role.ADMIN.value}'"))


@must_not_fire("sql-literal")
def a_condition_is_chosen_among_constants(shop: Shop) -> None:
    def products(in_stock: bool) -> Any:
        least = 1 if in_stock else 0
        order = "name" if in_stock else "price desc"
        sql = f"select name from product where stock >= {least} order by {order}"
        return shop.db.session.scalars(text(sql)).all()

    with shop.push():
        products(True)
        products(False)


@must_not_fire("sql-literal")
def the_order_is_chosen_from_a_dict(shop: Shop) -> None:
    @shop.app.get("/posts")
    def posts() -> list[str]:
        order = SORTS.get(request.args.get("sort", ""), "post.id")
        return list(shop.db.session.scalars(select(Post.title).order_by(text(order))))

    assert shop.client.get("/posts?sort=title").status_code == 200


@must_not_fire("sql-literal")
def the_order_is_checked(shop: Shop) -> None:
    @shop.app.get("/products")
    def products() -> list[str]:
        sort = request.args.get("sort", "id")
        if sort not in ("id", "name", "price"):
            flask.abort(400)
        query = select(Product.name).order_by(text(sort))
        rows = shop.db.session.scalars(text(f"select name from product order by {sort} desc"))
        return [*shop.db.session.scalars(query), *rows]

    assert shop.client.get("/products?sort=price").status_code == 200


@must_not_fire("sql-literal")
def a_constant_of_the_module_is_a_report(shop: Shop) -> None:
    with shop.push():
        shop.db.session.execute(text(BEST)).all()


@must_not_fire("sql-literal")
def a_report_is_read_from_a_file(shop: Shop) -> None:
    with tempfile.TemporaryDirectory() as folder, shop.push():
        path = Path(folder, "report.sql")
        path.write_text("select name from user where email like '%@example.com' and id = 1")
        shop.db.session.execute(text(path.read_text())).all()


@must_not_fire("sql-literal")
def rows_are_filled_from_a_script(shop: Shop) -> None:
    script = "insert into tag (name) values ('one'); insert into tag (name) values ('two')"
    with shop.push():
        for statement in script.split(";"):
            shop.db.session.execute(text(statement))
        shop.db.session.commit()


@must_not_fire("sql-literal")
def constants_are_joined_over_lines(shop: Shop) -> None:
    with shop.push():
        shop.db.session.execute(
            text(
                "select name from product"
                " where stock between 1 and 100"
                " and price < 50.0"
                " order by name limit 5"
            )
        ).all()
        sql = "select name from product where stock > 2"
        sql += " and name <> 'pot'"
        shop.db.session.execute(text(sql)).all()


@must_not_fire("sql-literal")
def statements_are_built_by_sqlalchemy(shop: Shop) -> None:
    def find(name: str, least: int) -> Any:
        like = Product.name.like(f"%{name}%")
        query = select(Product, literal_column("1", sa.Integer), sa.literal("x")).where(like)
        query = query.where(Product.name == name, Product.stock >= least)
        return shop.db.session.execute(query.limit(least)).all()

    with shop.push():
        find("cup", 2)
        shop.db.session.execute(sa.insert(User), [{"name": "eve", "email": "eve@example.com"}])
        shop.db.session.commit()


@must_not_fire("sql-literal")
def settings_have_no_parameters(shop: Shop) -> None:
    def limit_memory(kilobytes: int) -> None:
        shop.db.session.execute(text(f"pragma cache_size = -{kilobytes}"))

    with shop.push():
        limit_memory(2000)


@must_not_fire("sql-literal")
def a_column_is_formatted_and_its_value_bound(shop: Shop) -> None:
    def update(**changes: Any) -> None:
        sets = ", ".join(f"{column} = :{column}" for column in changes)
        sql = f"update product set {sets} where id = :id"
        shop.db.session.execute(text(sql), {"id": 1, **changes})
        shop.db.session.commit()

    with shop.push():
        update(stock=4, name="mug")


@must_not_fire("sql-literal")
def a_comment_names_the_request(shop: Shop) -> None:
    def users(request_id: str) -> Any:
        return shop.db.session.scalars(text(f"/* request '{request_id}' */ select name from user"))

    with shop.push():
        users("r-17").all()


@must_not_fire("sql-literal")
def messages_with_values_stand_beside_constants(shop: Shop) -> None:
    def count(limit: int) -> str:
        number = shop.db.session.scalar(text("select count(*) from user where id < 100 limit 1"))
        return f"{number} users, limit {limit}, where limit = {limit}: id < {limit}"

    with shop.push():
        count(1)


@must_not_fire("sql-literal")
def a_search_has_the_conditions_that_were_asked_for(shop: Shop) -> None:
    @shop.app.get("/search")
    def search() -> list[int]:
        conditions, values = ["1 = 1"], dict[str, object]()
        if "q" in request.args:
            conditions.append("name like :q")
            values["q"] = f"%{request.args['q']}%"
        if "min" in request.args:
            conditions.append("price >= :min")
            values["min"] = float(request.args["min"])
        sql = "select id from product where " + " and ".join(conditions) + " order by id limit 20"
        return [*shop.db.session.scalars(text(sql), values)]

    shop.client.get("/search?q=cup&min=1")


@must_not_fire("sql-literal")
def each_key_has_a_parameter(shop: Shop) -> None:
    @shop.app.get("/products")
    def products() -> list[str]:
        keys = {f"id{n}": int(key) for n, key in enumerate(request.args.getlist("id"))}
        names = ", ".join(f":{name}" for name in keys)
        return [
            *shop.db.session.scalars(text(f"select name from product where id in ({names})"), keys)
        ]

    shop.client.get("/products?id=1&id=2")


@must_not_fire("sql-literal")
def all_columns_but_one_are_named(shop: Shop) -> None:
    with shop.push():
        columns = ", ".join(c.name for c in Post.__table__.columns if c.name != "body")
        shop.db.session.execute(text(f"select {columns} from post where id = :id"), {"id": 1}).all()


@must_not_fire("sql-literal")
def a_direction_is_chosen(shop: Shop) -> None:
    @shop.app.get("/products")
    def products() -> list[str]:
        direction = "desc" if request.args.get("dir") == "desc" else "asc"
        sql = f"select name from product where stock > 0 order by price {direction} limit 10"
        return [*shop.db.session.scalars(text(sql))]

    shop.client.get("/products?dir=desc")


@must_not_fire("sql-literal")
def a_condition_is_a_default(shop: Shop) -> None:
    def products(where: str = "1 = 1") -> Any:
        return shop.db.session.execute(text(f"select id from product where {where}")).all()

    with shop.push():
        assert len(products()) == len(products("stock > 0"))
