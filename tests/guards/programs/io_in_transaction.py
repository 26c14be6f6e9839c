"""Calls that wait for something else than the database."""

from __future__ import annotations

import http.client
import json
import smtplib
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import sqlalchemy as sa
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Account, Order, OrderStatus, Post, Product, User


class Payments(BaseHTTPRequestHandler):
    """The payment provider."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args: object) -> None:
        """Nothing."""


@contextmanager
def payments() -> Iterator[int]:
    """The port of a provider that answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Payments) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port)).close()


def pause() -> None:
    time.sleep(0.001)


def charge(port: int, order_id: int) -> str:
    body = json.dumps({"order": order_id}).encode()
    with urllib.request.urlopen(f"http://localhost:{port}/charges", body) as response:
        answer: str = response.read().decode()
    return answer


@contextmanager
def mail() -> Iterator[int]:
    """The port of a mail server that only greets, and refuses what comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 ready\r\n")
                while connection.recv(1000):
                    connection.sendall(b"221 bye\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


def send_receipt(port: int, order_id: int) -> None:
    with closing(smtplib.SMTP("localhost", port)) as connection:
        connection.quit()


# --- what makes others wait -----------------------------------------------------------


@must_fire("io-in-transaction", "localhost")
def a_card_is_charged_inside_the_block(shop: Shop) -> None:
    @shop.app.post("/orders/<int:order_id>/pay")
    def pay(order_id: int) -> str:
        with shop.db.transaction() as session:
            order = session.get_one(Order, order_id)
            charge(port, order.id)
            order.status = OrderStatus.PAID
        return ""

    with payments() as port:
        shop.client.post("/orders/1/pay")


@must_fire("io-in-transaction", "localhost")
def a_card_is_charged_after_the_flush(shop: Shop) -> None:
    with payments() as port, shop.push():
        order = Order(user_id=1)
        shop.db.session.add(order)
        shop.db.session.flush()
        charge(port, order.id)
        shop.db.session.commit()


@must_fire("io-in-transaction", "localhost")
def a_card_is_charged_while_the_row_is_locked(shop: Shop) -> None:
    with payments() as port, shop.push():
        account = shop.db.session.get_one(Account, 1, with_for_update=True)
        charge(port, account.id)
        shop.db.session.commit()


@must_fire("io-in-transaction", "localhost")
def a_card_is_charged_after_a_savepoint(shop: Shop) -> None:
    with payments() as port, shop.push(), shop.db.transaction() as session:
        order = session.get_one(Order, 1)
        with shop.db.transaction():
            order.status = OrderStatus.PAID
        charge(port, order.id)


@must_fire("io-in-transaction", "localhost")
def a_receipt_is_mailed_before_the_commit(shop: Shop) -> None:
    with mail() as port, shop.push():
        order = shop.db.session.get_one(Order, 1)
        order.status = OrderStatus.PAID
        shop.db.session.flush()
        send_receipt(port, order.id)
        shop.db.session.commit()


@must_fire("io-in-transaction", "127.0.0.1")
def a_cache_is_told_over_a_socket(shop: Shop) -> None:
    with mail() as port, shop.push(), shop.db.session.begin():
        shop.db.session.get_one(Product, 1).name = "mug"
        with closing(socket.socket()) as connection:
            connection.connect(("127.0.0.1", port))
            connection.recv(100)


@must_fire("io-in-transaction", "127.0.0.1")
def a_kept_connection_is_used_again(shop: Shop) -> None:
    with (
        payments() as port,
        closing(http.client.HTTPConnection("127.0.0.1", port)) as provider,
        shop.push(),
    ):
        provider.connect()
        with shop.db.transaction() as session:
            session.get_one(Order, 1).status = OrderStatus.PAID
            session.flush()
            provider.request("POST", "/charges", body=b"{}")
            provider.getresponse().read()


@must_fire("io-in-transaction", "time.sleep")
def a_loop_waits_for_another_process(shop: Shop) -> None:
    with shop.push(), shop.db.transaction() as session:
        while session.get_one(Product, 1).stock > 10:
            session.expire_all()
        time.sleep(0.001)


@must_fire("io-in-transaction", "time.sleep")
def an_import_is_slowed_down(shop: Shop) -> None:
    with shop.push():
        for number in range(2):
            shop.db.session.add(Post(author_id=1, title=str(number)))
            shop.db.session.flush()
            time.sleep(0.001)
        shop.db.session.commit()


@must_fire("io-in-transaction", "time.sleep")
def a_statement_is_repeated_after_a_pause(shop: Shop) -> None:
    with shop.push():
        shop.db.session.execute(sa.update(Product).where(Product.id == 1).values(views=1))
        time.sleep(0.001)
        shop.db.session.commit()


# --- what looks alike and is right ----------------------------------------------------


@must_not_fire("io-in-transaction")
def a_card_is_charged_after_the_commit(shop: Shop) -> None:
    with payments() as port, shop.push():
        order = Order(user_id=1)
        shop.db.session.add(order)
        shop.db.session.commit()
        charge(port, 1)


@must_not_fire("io-in-transaction")
def a_receipt_is_mailed_on_commit(shop: Shop) -> None:
    with mail() as port, shop.push(), shop.db.transaction() as session:
        order = session.get_one(Order, 1)
        order.status = OrderStatus.PAID
        shop.db.on_commit(send_receipt, port, order.id)


@must_not_fire("io-in-transaction")
def a_listener_mails_after_the_commit(shop: Shop) -> None:
    with mail() as port, shop.push():
        session = shop.db.session()
        sa.event.listen(session, "after_commit", lambda _: send_receipt(port, 1))
        session.get_one(Order, 1).status = OrderStatus.PAID
        session.commit()


@must_not_fire("io-in-transaction")
def a_view_that_only_reads_asks_another_service(shop: Shop) -> None:
    @shop.app.get("/orders/<int:order_id>")
    def show(order_id: int) -> str:
        order = shop.db.session.get_one(Order, order_id)
        return charge(port, order.id)

    with payments() as port:
        shop.client.get("/orders/1")


@must_not_fire("io-in-transaction")
def rates_are_fetched_before_the_first_statement(shop: Shop) -> None:
    with payments() as port, shop.push(), shop.db.transaction() as session:
        charge(port, 1)
        session.get_one(Product, 1).name = "mug"


@must_not_fire("io-in-transaction")
def a_read_only_block_waits(shop: Shop) -> None:
    with payments() as port, shop.push(), shop.db.read_only() as session:
        order = session.get_one(Order, 1)
        charge(port, order.id)
        time.sleep(0.001)


@must_not_fire("io-in-transaction")
def a_transaction_that_only_reads_waits(shop: Shop) -> None:
    with shop.push(), shop.db.transaction(read_only=True) as session:
        session.get_one(Order, 1)
        time.sleep(0.001)


@must_not_fire("io-in-transaction")
def another_thread_does_the_mailing(shop: Shop) -> None:
    with mail() as port, shop.push(), shop.db.transaction() as session:
        session.get_one(Order, 1).status = OrderStatus.PAID
        session.flush()
        thread = threading.Thread(target=send_receipt, args=(port, 1))
        thread.start()
        thread.join()


@must_not_fire("io-in-transaction")
def a_command_pauses_between_its_commits(shop: Shop) -> None:
    with shop.push():
        for user_id in (1, 2):
            shop.db.session.get_one(User, user_id).name = "nobody"
            shop.db.session.commit()
            time.sleep(0.001)


@must_not_fire("io-in-transaction")
def a_failed_payment_is_answered_after_the_rollback(shop: Shop) -> None:
    with payments() as port, shop.push():
        shop.db.session.get_one(Order, 1).status = OrderStatus.PAID
        shop.db.session.flush()
        shop.db.session.rollback()
        charge(port, 1)


@must_not_fire("io-in-transaction")
def other_threads_get_their_turn(shop: Shop) -> None:
    with shop.push(), shop.db.transaction() as session:
        session.get_one(Product, 1).views = 3
        session.flush()
        time.sleep(0)


@must_not_fire("io-in-transaction")
def the_client_of_a_test_calls_another_view(shop: Shop) -> None:
    @shop.app.get("/rates")
    def rates() -> str:
        return "1.1"

    with shop.push():
        shop.db.session.get_one(Product, 1).views = 3
        shop.db.session.flush()
        shop.client.get("/rates")
        shop.db.session.commit()


@must_not_fire("io-in-transaction")
def a_view_waits_while_a_test_has_rows(shop: Shop) -> None:
    @shop.app.get("/rates")
    def rates() -> str:
        time.sleep(0.001)
        return "1.1"

    with shop.push():
        shop.db.session.add(Post(author_id=1, title="news"))
        shop.db.session.flush()
        shop.client.get("/rates")
        shop.db.session.commit()


@must_fire("io-in-transaction", "time.sleep")
def a_view_waits_where_a_test_has_only_read(shop: Shop) -> None:
    @shop.app.post("/posts")
    def create() -> str:
        shop.db.session.add(Post(author_id=1, title="news"))
        shop.db.session.flush()
        time.sleep(0.001)
        shop.db.session.commit()
        return ""

    with shop.push():
        shop.db.session.get_one(User, 1)
        shop.client.post("/posts")
