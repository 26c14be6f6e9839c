"""Programs with threads: that use one session in two of them, or one for each."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import flask
import sqlalchemy as sa
from sqlalchemy import orm
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Order, Post, Product, User, db

logger = logging.getLogger("shop")
THIS = "tests.guards.programs.shared_session"


def in_thread(work: Callable[..., object], *arguments: object) -> None:
    """Start a thread and wait for it, so that the program ends when both have."""
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    thread.join()


@must_fire("shared-session", f"{THIS}.a_thread_gets_an_object.send_digest")
def a_thread_gets_an_object(shop: Shop) -> None:
    def send_digest(user: User) -> None:
        try:
            ", ".join(post.title for post in user.posts)
        except RuntimeError:  # there is no application context
            logger.exception("not sent")

    @shop.app.get("/digest")
    def digest() -> str:
        in_thread(send_digest, db.session.get_one(User, 1))
        return "sent"

    shop.client.get("/digest")


@must_fire("shared-session", f"{THIS}.a_pool_gets_objects.total")
def a_pool_gets_objects(shop: Shop) -> None:
    def total(order: Order) -> Decimal:
        with shop.push():
            return sum((item.product.price for item in order.items), Decimal(0))

    @shop.app.get("/totals")
    def totals() -> list[str]:
        orders = db.session.scalars(sa.select(Order)).all()
        with ThreadPoolExecutor(1) as pool:
            return [str(amount) for amount in pool.map(total, orders)]

    shop.client.get("/totals")


@must_fire("shared-session", f"{THIS}.a_thread_gets_the_session.count")
def a_thread_gets_the_session(shop: Shop) -> None:
    def count(session: orm.Session) -> None:
        with shop.push():
            session.scalar(sa.select(sa.func.count()).select_from(Post))

    with shop.push():
        db.session.get_one(User, 1)
        in_thread(count, db.session())


@must_fire("shared-session", f"{THIS}.a_context_of_its_own_does_not_help_an_object.send_receipt")
def a_context_of_its_own_does_not_help_an_object(shop: Shop) -> None:
    def send_receipt(order: Order) -> None:
        with shop.push():
            logger.info("Dear %s", order.user.name)

    @shop.app.post("/receipts")
    def receipts() -> str:
        in_thread(send_receipt, db.session.get_one(Order, 1))
        return "sent"

    shop.client.post("/receipts")


@must_fire("shared-session", f"{THIS}.a_thread_saves_for_the_request.save")
def a_thread_saves_for_the_request(shop: Shop) -> None:
    def save(session: orm.Session, product: Product) -> None:
        with shop.push():
            product.name = "cup with a saucer"
            session.commit()

    @shop.app.post("/products")
    def rename() -> str:
        in_thread(save, db.session(), db.session.get_one(Product, 1))
        return "renamed"

    shop.client.post("/products")


@must_fire("shared-session", f"{THIS}.a_timer_reads_what_has_expired.remind")
def a_timer_reads_what_has_expired(shop: Shop) -> None:
    def remind(user: User) -> None:
        with shop.push():
            logger.info("Dear %s", user.name)

    with shop.push():
        ada, bob = db.session.scalars(sa.select(User).order_by(User.id))
        db.session.commit()
        logger.info("logged in: %s", bob.name)
        timer = threading.Timer(0, remind, [ada])
        timer.start()
        timer.join()


@must_fire("shared-session", f"{THIS}.a_callback_uses_the_session_it_was_made_with.done")
def a_callback_uses_the_session_it_was_made_with(shop: Shop) -> None:
    with shop.push():
        session = db.session()
        user = session.get_one(User, 1)

        def done(number: int) -> None:
            title = sa.select(Post.title).where(Post.id == number)
            with shop.push():
                logger.info("%s, read by %s", session.scalar(title), user.name)

        with ThreadPoolExecutor(1) as pool:
            list(pool.map(done, [1, 2]))


@must_not_fire("shared-session")
def a_thread_gets_a_key_and_has_a_context(shop: Shop) -> None:
    def send_digest(user_id: int) -> None:
        with shop.push():
            user = db.session.get_one(User, user_id)
            ", ".join(post.title for post in user.posts)

    @shop.app.get("/digest")
    def digest() -> str:
        in_thread(send_digest, db.session.get_one(User, 1).id)
        return "sent"

    shop.client.get("/digest")


@must_not_fire("shared-session")
def the_request_is_copied_to_the_thread(shop: Shop) -> None:
    @shop.app.get("/digest")
    def digest() -> str:
        db.session.get_one(User, 1)

        @flask.copy_current_request_context
        def send_digest() -> None:
            user = db.session.get_one(User, int(flask.request.args["user"]))
            ", ".join(post.title for post in user.posts)

        in_thread(send_digest)
        return "sent"

    shop.client.get("/digest?user=1")


@must_not_fire("shared-session")
def a_thread_reads_what_is_loaded(shop: Shop) -> None:
    def send_digest(user: User) -> None:
        ", ".join(f"{user.name}: {post.title}" for post in user.posts)

    @shop.app.get("/digest")
    def digest() -> str:
        query = sa.select(User).options(orm.selectinload(User.posts)).limit(1)
        in_thread(send_digest, db.session.scalars(query).one())
        return "sent"

    shop.client.get("/digest")


@must_not_fire("shared-session")
def the_object_was_taken_out_of_the_session(shop: Shop) -> None:
    def greet(user: User) -> None:
        logger.info("Dear %s", user.name)

    with shop.push():
        user = db.session.get_one(User, 1)
        db.session.expunge(user)
        in_thread(greet, user)
        db.session.get_one(User, 2)


@must_not_fire("shared-session")
def one_after_the_other_with_nothing_open(shop: Shop) -> None:
    def count(session: orm.Session) -> None:
        with shop.push():
            session.scalar(sa.select(sa.func.count()).select_from(Post))
            session.rollback()

    with shop.push():
        session = db.session()
        session.get_one(User, 1)
        session.commit()
        in_thread(count, session)
        session.get_one(User, 2)


@must_not_fire("shared-session")
def a_response_is_streamed(shop: Shop) -> None:
    @shop.app.get("/users.csv")
    def export() -> flask.Response:
        def lines() -> Iterator[str]:
            for user in db.session.scalars(sa.select(User).execution_options(yield_per=1)):
                yield f"{user.name},{len(user.posts)}\n"

        return flask.Response(flask.stream_with_context(lines()), mimetype="text/csv")

    assert shop.client.get("/users.csv").text == "ada,2\nbob,2\n"


@must_not_fire("shared-session")
def requests_run_at_the_same_time(shop: Shop) -> None:
    both = threading.Barrier(2)

    @shop.app.get("/users/<int:user_id>")
    def show(user_id: int) -> str:
        user = db.get_or_404(User, user_id)
        both.wait(10)
        return f"{user.name}, {len(user.posts)}"

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: shop.client.get(f"/users/{number}"), (1, 2)))


@must_not_fire("shared-session")
def jobs_have_a_context_each(shop: Shop) -> None:
    def price_of(product_id: int) -> Decimal:
        with shop.push():
            return db.session.get_one(Product, product_id).price

    with shop.push():
        keys = db.session.scalars(sa.select(Product.id)).all()
        with ThreadPoolExecutor(2) as pool:
            assert sum(pool.map(price_of, keys)) == 6


@must_not_fire("shared-session")
def an_executor_takes_turns_with_the_coroutine(shop: Shop) -> None:
    def titles(user: User) -> list[str]:
        return [post.title for post in user.posts]

    async def digest() -> list[str]:
        user = await asyncio.to_thread(db.session.get_one, User, 1)
        return await asyncio.to_thread(titles, user)

    with shop.push():
        db.session.get_one(User, 2)
        assert len(asyncio.run(digest())) == 2
