"""``io-in-transaction``: which calls and which transactions count, and what the message says."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa
from tests.conftest import Disposed
from tests.guards.collection import Shop
from tests.guards.models import Product
from tests.guards.on_servers import shop_on
from tests.guards.programs.io_in_transaction import connect, pause

from flask_retort.errors import GuardError


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_message_says_what_to_write(shop: Shop, port: int) -> None:
    """The host, the line, and where the call belongs."""
    with shop.push(), shop.db.transaction() as session:
        session.get_one(Product, 1)
        with pytest.raises(GuardError) as raised:
            connect(port)
    message = str(raised.value)
    assert message.startswith("127.0.0.1 was called (socket.getaddrinfo) inside an open ")
    assert "programs/io_in_transaction.py" in message
    assert "db.on_commit(function, argument)" in message
    assert "db.allow('io-in-transaction', '127.0.0.1', reason=...)" in message
    assert message.endswith("[retort:io-in-transaction]")


def test_a_call_is_reported_once_a_transaction(shop: Shop, port: int) -> None:
    """A loop of calls is one mistake; the next transaction has its own."""
    with shop.push():
        for _ in range(2):
            with shop.db.transaction() as session:
                session.get_one(Product, 1)
                with pytest.raises(GuardError):
                    connect(port)
                connect(port)
                with pytest.raises(GuardError, match=r"^time\.sleep was called inside"):
                    pause()


def test_what_is_allowed_may_pass(shop: Shop, port: int) -> None:
    """One host is, a pause is not."""
    with shop.push(), shop.db.transaction() as session:
        session.get_one(Product, 1)
        with shop.db.allow("io-in-transaction", "127.0.0.1", reason="in the same machine"):
            connect(port)
            with pytest.raises(GuardError):
                pause()


def test_a_socket_of_the_machine_itself_is_no_network(shop: Shop) -> None:
    """Nor is a datagram, which nobody waits for, and a pair of connected sockets."""
    with shop.push(), shop.db.transaction() as session:
        session.get_one(Product, 1)
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as datagrams:
            datagrams.connect(("127.0.0.1", 9))
        socket.getaddrinfo("127.0.0.1", 9, type=socket.SOCK_DGRAM)
        with closing(socket.socket(socket.AF_UNIX)) as local, pytest.raises(FileNotFoundError):
            local.connect("/nowhere")
        for end in socket.socketpair():
            end.close()


def test_the_databases_own_connections_are_no_network(
    mysql_url: sa.URL, disposed: Disposed
) -> None:
    """PyMySQL's sockets are Python's; a second connection in a transaction makes some."""
    shop, engine = shop_on(mysql_url, RETORT_GUARDS="raise")
    disposed(engine).dispose()
    with shop.push(), shop.db.transaction() as session:
        session.get_one(Product, 1, with_for_update=True)
        with engine.connect() as another:
            assert another.scalar(sa.text("SELECT 1")) == 1


def test_a_transaction_that_another_thread_has_ended(shop: Shop, port: int) -> None:
    """The thread that began it may call whom it likes."""
    with shop.push():
        session = shop.db.session()
        session.get_one(Product, 1, with_for_update=True)
        with shop.db.allow("shared-session", reason="one after the other"):
            other = threading.Thread(target=session.rollback)
            other.start()
            other.join()
        connect(port)


def test_the_sleep_is_still_pythons(shop: Shop) -> None:
    """It takes what it took, and refuses what it refused."""
    assert time.sleep(0.0) is None  # type: ignore[func-returns-value]
    time.sleep(0)
    with pytest.raises(TypeError):
        time.sleep("1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="negative"):
        time.sleep(-1)
    assert time.sleep.__name__ == "sleep"


def test_python_hears_once_of_many_applications(shop: Shop) -> None:
    """A second application adds no second hook, and wraps nothing twice."""
    sleep = time.sleep
    Shop("sqlite://", RETORT_GUARDS="raise")
    assert time.sleep is sleep
    assert hasattr(sleep, "__wrapped__") is (sys.version_info < (3, 13))
    assert not hasattr(getattr(sleep, "__wrapped__", None), "__wrapped__")


def test_a_test_may_wait_in_its_own_transaction(shop: Shop) -> None:
    """Nobody else wants its rows."""
    with shop.push(), shop.db.transaction() as session:
        session.get_one(Product, 1).views = 3
        session.flush()
        time.sleep(0.001)


def test_a_request_is_not_blamed_for_the_transaction_of_a_test(shop: Shop) -> None:
    """What waits in it is not the request's; the next transaction is."""
    waited = []

    @shop.app.post("/")
    def wait() -> str:
        shop.db.session.get_one(Product, 2)
        pause()
        shop.db.session.rollback()
        waited.append(shop.db.session().in_transaction())
        shop.db.session.get_one(Product, 1, with_for_update=True)
        pause()
        return ""

    def change(product: Product) -> None:
        product.views = 3

    def change_at_once(product: Product) -> None:
        change(product)
        shop.db.session.flush()

    def lock(product: Product) -> None:
        shop.db.session.refresh(product, with_for_update=True)

    for hold in (change, change_at_once, lock):
        with shop.push():
            hold(shop.db.session.get_one(Product, 1))
            with pytest.raises(GuardError):
                shop.client.post("/")
            shop.db.session.rollback()
    assert waited == [False] * 3
