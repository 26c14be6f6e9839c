"""Statements that look like writes that are thrown away, and are none."""

from __future__ import annotations

import sqlalchemy as sa
from tests.guards.collection import Shop, must_not_fire
from tests.guards.models import Post, Product, db


@must_not_fire("lost-write")
def a_report_counts_the_rows_that_say_update(shop: Shop) -> None:
    @shop.app.post("/report")
    def report() -> str:
        found = "WITH u AS (SELECT id FROM post WHERE title = '(update post set') SELECT * FROM u"
        return str(len(db.session.execute(sa.text(found)).all()))

    shop.client.post("/report")


@must_not_fire("lost-write")
def a_report_has_a_comment(shop: Shop) -> None:
    @shop.app.post("/report")
    def report() -> str:
        query = """
            WITH recent AS (SELECT id FROM post ORDER BY id DESC)  -- last update first
            SELECT count(*) FROM recent /* not those of (delete from post) */
        """
        return str(db.session.scalar(sa.text(query)))

    shop.client.post("/report")


@must_not_fire("lost-write")
def a_report_collects_in_a_temporary_table(shop: Shop) -> None:
    @shop.app.post("/report")
    def report() -> str:
        db.session.execute(sa.text("CREATE TEMP TABLE IF NOT EXISTS picked AS SELECT id FROM post"))
        db.session.execute(sa.text("INSERT INTO picked SELECT id FROM product"))
        return str(db.session.scalar(sa.text("SELECT count(*) FROM picked")))

    shop.client.post("/report")


@must_not_fire("lost-write")
def a_table_for_one_report_is_made_by_sqlalchemy(shop: Shop) -> None:
    @shop.app.post("/report")
    def report() -> str:
        picked = sa.Table(
            "picked", sa.MetaData(), sa.Column("id", sa.Integer), prefixes=["TEMPORARY"]
        )
        picked.create(db.session.connection())
        db.session.execute(sa.insert(picked).from_select(["id"], sa.select(Post.id)))
        return str(db.session.scalar(sa.select(sa.func.count()).select_from(picked)))

    shop.client.post("/report")


@must_not_fire("lost-write")
def a_counter_is_kept_in_autocommit(shop: Shop) -> None:
    @shop.app.post("/count")
    def count() -> str:
        db.session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        db.session.execute(sa.update(Product).values(stock=Product.stock + 1))
        return "counted"

    shop.client.post("/count")
    with shop.push():
        assert set(db.session.scalars(sa.select(Product.stock))) != {0}


@must_not_fire("lost-write")
def a_table_is_read_over_the_connection(shop: Shop) -> None:
    @shop.app.post("/report")
    def report() -> str:
        connection = db.session.connection()
        return str(len(connection.execute(sa.select(Product.name)).all()))

    shop.client.post("/report")
