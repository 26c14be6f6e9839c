"""A TCP proxy in front of a database server, which cuts a connection around a COMMIT."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import sqlalchemy as sa


class Proxy:
    """Forwards what clients and the server say, until it is told to cut.

    The next chunk from a client that holds :attr:`word`, in capitals or not, ends its connection
    on both sides: ``cut = "before"`` before the chunk reaches the server; ``cut = "after"`` when
    the server has answered, before the client hears it. The proxy forwards again after that.
    """

    def __init__(self, url: sa.URL) -> None:
        port = url.port or {"postgresql": 5432}.get(url.get_backend_name(), 3306)
        self._server = (url.host or "127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[_Pair] = []
        self.cut: Literal["before", "after"] | None = None
        self.word = b"COMMIT"
        self.cuts = 0
        self.url = _readable(url).set(host="127.0.0.1", port=self._listener.getsockname()[1])
        """The server's URL through the proxy; connections over it are not encrypted."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def round_trips(self) -> int:
        """How often clients have said something and the server has answered, so far."""
        return sum(pair.round_trips for pair in self._pairs)

    def close(self) -> None:
        """End the proxy and all its connections."""
        _end(self._listener)
        for pair in self._pairs:
            pair.close()

    def take_cut(self, chunk: bytes) -> Literal["before", "after"] | None:
        """Where to cut because of this chunk, once."""
        if self.cut is None or self.word.lower() not in chunk.lower():
            return None
        cut, self.cut = self.cut, None
        self.cuts += 1
        return cut

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            self._pairs.append(_Pair(self, client, socket.create_connection(self._server)))


class _Pair:
    """A client's connection and the one to the server that stands for it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.round_trips = 0
        self._proxy = proxy
        self._client = client
        self._server = server
        self._cuts_answer = False
        self._client_spoke_last = False
        for target in (self._to_server, self._to_client):
            threading.Thread(target=self._run, args=(target,), daemon=True).start()

    def close(self) -> None:
        _end(self._client)
        _end(self._server)

    def _run(self, pump: Callable[[], None]) -> None:
        with suppress(OSError):  # one side is gone
            pump()
        self.close()

    def _to_server(self) -> None:
        while chunk := self._client.recv(65536):
            cut = self._proxy.take_cut(chunk)
            if cut == "before":
                return
            self._cuts_answer = cut == "after"
            self._client_spoke_last = True
            self._server.sendall(chunk)

    def _to_client(self) -> None:
        while chunk := self._server.recv(65536):
            if self._cuts_answer:
                return
            if self._client_spoke_last:
                self._client_spoke_last = False
                self.round_trips += 1
            self._client.sendall(chunk)


@contextmanager
def proxied(url: sa.URL) -> Iterator[Proxy]:
    """A proxy in front of the server of this URL."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()


def _end(side: socket.socket) -> None:
    """Close, and wake the thread that waits there. Nothing, if it is closed already."""
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
    side.close()


def _readable(url: sa.URL) -> sa.URL:
    """The URL with encryption off, which would hide the statements from the proxy."""
    if url.get_backend_name() == "postgresql":
        return url.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
    if url.get_driver_name() == "mysqldb":
        return url.update_query_dict({"ssl_mode": "DISABLED"})
    return url
