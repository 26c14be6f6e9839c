"""Programs with threads: more of them than connections, or only seemingly so."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from sqlalchemy.orm import Session
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Product, User

TWO = {"pool_size": 2, "max_overflow": 0}


def at_once(threads: int, work: Callable[[], object]) -> None:
    """Do it once in each of so many threads, none of which ends before all have done it."""
    everybody = threading.Barrier(threads)

    def run() -> None:
        work()
        everybody.wait(timeout=10)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(run) for _ in range(threads)]:
            done.result()


def read_products(shop: Shop) -> Callable[[], object]:
    """A view that reads, and a function that requests it."""

    @shop.app.get("/products")
    def products() -> list[str]:
        return [product.name for product in shop.db.session.scalars(sa.select(Product))]

    def request() -> None:
        assert shop.client.get("/products").status_code == 200

    return request


@must_fire("pool-too-small", "default", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def a_server_has_a_thread_too_many(shop: Shop) -> None:
    at_once(3, read_products(shop))


@must_fire(
    "pool-too-small",
    "default",
    SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 1},
)
def the_overflow_is_used_up_too(shop: Shop) -> None:
    at_once(4, read_products(shop))


@must_fire("pool-too-small", "default", SQLALCHEMY_POOL_SIZE=1, SQLALCHEMY_MAX_OVERFLOW=0)
def one_connection_is_meant_to_keep_sqlite_from_locking(shop: Shop) -> None:
    @shop.app.post("/visits/<int:number>")
    def visit(number: int) -> str:
        counted = sa.update(User).where(User.id == number).values(logins=User.logins + 1)
        shop.db.session.execute(counted)
        shop.db.session.commit()
        return "counted"

    at_once(2, lambda: shop.client.post("/visits/1"))


@must_fire("pool-too-small", "default", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def a_script_spreads_its_work_over_threads(shop: Shop) -> None:
    def check_price() -> None:
        with shop.push():
            assert shop.db.session.get_one(Product, 1).price > 0

    at_once(4, check_price)


@must_fire("pool-too-small", "default", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def workers_of_a_queue_live_beside_the_server(shop: Shop) -> None:
    jobs: queue.Queue[int | None] = queue.Queue()

    def work() -> None:
        while (number := jobs.get()) is not None:
            with shop.push():
                shop.db.session.get_one(User, number)
            jobs.task_done()

    worker = threading.Thread(target=work)
    worker.start()
    jobs.put(1)
    jobs.join()
    at_once(2, read_products(shop))
    jobs.put(None)
    worker.join()


@must_fire("pool-too-small", "default", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def a_thread_too_many_joins_later(shop: Shop) -> None:
    request = read_products(shop)
    with ThreadPoolExecutor(1) as scheduler:
        scheduler.submit(request).result()
        at_once(2, request)


@must_not_fire("pool-too-small", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def the_development_server_starts_a_thread_a_request(shop: Shop) -> None:
    request = read_products(shop)
    for _ in range(5):
        thread = threading.Thread(target=request)
        thread.start()
        thread.join()


@must_not_fire("pool-too-small", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def a_server_has_as_many_threads_as_connections(shop: Shop) -> None:
    request = read_products(shop)
    at_once(2, lambda: [request() for _ in range(3)])


@must_not_fire("pool-too-small", SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": -1})
def the_pool_opens_as_many_as_are_needed(shop: Shop) -> None:
    at_once(4, read_products(shop))


@must_not_fire("pool-too-small", SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 0})
def a_pool_of_size_zero_has_no_limit(shop: Shop) -> None:
    at_once(4, read_products(shop))


@must_not_fire("pool-too-small", SQLALCHEMY_ENGINE_OPTIONS={"poolclass": sa.NullPool})
def there_is_no_pool(shop: Shop) -> None:
    at_once(4, read_products(shop))


@must_not_fire("pool-too-small", SQLALCHEMY_DATABASE_URI="sqlite://")
def a_database_in_memory_serves_all_threads(shop: Shop) -> None:
    def ask() -> None:
        with shop.push():
            assert shop.db.session.scalar(sa.select(sa.literal(1))) == 1

    at_once(16, ask)


@must_not_fire("pool-too-small", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def most_threads_never_touch_the_database(shop: Shop) -> None:
    @shop.app.get("/health")
    def health() -> str:
        return "well"

    read_products(shop)()
    at_once(4, lambda: shop.client.get("/health"))


@must_not_fire("pool-too-small", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def one_thread_opens_many_sessions(shop: Shop) -> None:
    with shop.push():
        for number in (1, 2, 3):
            with Session(shop.db.engine) as session, session.begin():
                session.get_one(Product, number)
            shop.db.session.get_one(Product, number)
            shop.db.session.rollback()


@must_not_fire("pool-too-small", SQLALCHEMY_ENGINE_OPTIONS=TWO)
def new_threads_take_the_place_of_old_ones(shop: Shop) -> None:
    request = read_products(shop)
    at_once(2, request)
    at_once(2, request)
