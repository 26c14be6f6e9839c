"""Programs that page through many rows: by skipping them, or in a way that costs little."""

from __future__ import annotations

from typing import Any

import flask
import sqlalchemy as sa
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Post, Tag, User

MANY = 10_050


def with_many_posts(shop: Shop) -> None:
    rows = [{"author_id": 1, "title": f"Day {number}"} for number in range(MANY)]
    with shop.push(), shop.db.engine.begin() as connection:
        connection.execute(sa.insert(shop.db.metadata.tables["post"]), rows)


@must_fire("deep-offset", "Post")
def a_crawler_follows_the_links_of_the_pages(shop: Shop) -> None:
    with_many_posts(shop)

    @shop.app.get("/posts")
    def posts() -> list[str]:
        page = shop.db.paginate(sa.select(Post).order_by(Post.id))
        return [post.title for post in page]

    assert shop.client.get("/posts?page=502").json


@must_fire("deep-offset", "Post")
def a_page_of_the_older_kind_is_deep(shop: Shop) -> None:
    with_many_posts(shop)

    @shop.app.get("/archive/<int:number>")
    def archive(number: int) -> list[str]:
        query: Any = shop.db.session.query(Post).order_by(Post.id)
        page = query.paginate(page=number, per_page=100)
        return [post.title for post in page]

    assert shop.client.get("/archive/101").json


@must_fire("deep-offset", "Post")
def an_api_takes_the_offset_from_the_request(shop: Shop) -> None:
    with_many_posts(shop)

    @shop.app.get("/api/posts")
    def posts() -> list[dict[str, object]]:
        start = flask.request.args.get("offset", 0, type=int)
        page = sa.select(Post).order_by(Post.id).limit(20).offset(start)
        return [{"id": post.id} for post in shop.db.session.scalars(page)]

    assert shop.client.get("/api/posts?offset=10000").json


@must_fire("deep-offset", "Post")
def an_export_counts_its_batches(shop: Shop) -> None:
    with_many_posts(shop)

    @shop.app.cli.command("export-posts")
    def export_posts() -> None:
        done = 0
        while True:
            batch = sa.select(Post).order_by(Post.id).limit(2500).offset(done)
            posts = shop.db.session.scalars(batch).all()
            if not posts:
                break
            done += len(posts)

    shop.flask("export-posts")


@must_fire("deep-offset", "Post")
def a_query_is_sliced(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        assert len(shop.db.session.query(Post).order_by(Post.id)[10_000:10_010]) == 10


@must_fire("deep-offset", "Post")
def a_page_over_a_join_is_deep(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        by_ada = sa.select(Post).join(Post.author).where(User.name == "ada").order_by(Post.id)
        assert shop.db.paginate(by_ada, page=101, per_page=100, count=False).items


@must_fire("deep-offset", "Post")
def a_feed_needs_two_columns_only(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        titles = sa.select(Post.id, Post.title).order_by(Post.id.desc())
        assert shop.db.paginate(titles, page=501, per_page=20, max_per_page=50).items


@must_fire("deep-offset", "post")
def a_table_is_paged_without_its_model(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        table = shop.db.metadata.tables["post"]
        page = sa.select(table.c.title).order_by(table.c.id).offset(10_000).limit(5)
        assert len(shop.db.session.execute(page).all()) == 5


@must_not_fire("deep-offset")
def a_reader_turns_the_first_pages(shop: Shop) -> None:
    with_many_posts(shop)

    @shop.app.get("/posts")
    def posts() -> list[str]:
        return [post.title for post in shop.db.paginate(sa.select(Post).order_by(Post.id))]

    for number in (1, 2, 3, 500):
        assert shop.client.get(f"/posts?page={number}").json


@must_not_fire("deep-offset")
def a_test_asks_for_a_page_that_is_not_there(shop: Shop) -> None:
    @shop.app.get("/posts")
    def posts() -> list[str]:
        return [post.title for post in shop.db.paginate(sa.select(Post).order_by(Post.id))]

    assert shop.client.get("/posts?page=9999").status_code == 404


@must_not_fire("deep-offset")
def a_scanner_asks_an_api_for_rows_that_are_not_there(shop: Shop) -> None:
    @shop.app.get("/api/tags")
    def tags() -> list[str]:
        start = flask.request.args.get("offset", 0, type=int)
        return list(shop.db.session.scalars(sa.select(Tag.name).limit(10).offset(start)))

    assert shop.client.get("/api/tags?offset=99999999").json == []


@must_not_fire("deep-offset")
def an_export_goes_on_behind_the_last_key(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        done, last = 0, 0
        while True:
            batch = sa.select(Post).where(Post.id > last).order_by(Post.id).limit(5000)
            posts = shop.db.session.scalars(batch).all()
            if not posts:
                break
            done, last = done + len(posts), posts[-1].id
        assert done >= MANY


@must_not_fire("deep-offset")
def a_sitemap_reads_many_rows_and_skips_none(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        assert len(shop.db.session.scalars(sa.select(Post.id).limit(50_000)).all()) >= MANY


@must_not_fire("deep-offset")
def a_resumed_export_streams_the_rest(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        rest = sa.select(Post).order_by(Post.id).offset(10_000).limit(5000)
        posts = shop.db.session.scalars(rest.execution_options(yield_per=10))
        assert sum(1 for _ in posts) >= 50


@must_not_fire("deep-offset")
def a_resumed_export_reads_the_rest(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        rest = sa.select(Post.id).order_by(Post.id).offset(10_000)
        assert len(shop.db.session.scalars(rest).all()) >= 50


@must_not_fire("deep-offset")
def a_report_finds_the_row_at_a_rank(shop: Shop) -> None:
    with_many_posts(shop)
    with shop.push():
        at_rank = sa.select(Post.id).order_by(Post.id).offset(10_000).limit(1).scalar_subquery()
        assert shop.db.session.scalar(sa.select(sa.func.count()).where(Post.id <= at_rank))
