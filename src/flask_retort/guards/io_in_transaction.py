"""``io-in-transaction``: a network call or a sleep while a transaction holds something."""

from __future__ import annotations

import functools
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, ClassVar

from flask import Flask
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import (
    Session,
    SessionTransaction,
    SessionTransactionOrigin,
)

from flask_retort._sa_compat import locks_rows
from flask_retort.transactions import blocks, writes

from .execution import Execution
from .hooks import Guard, Listener
from .per_transaction import PerTransaction
from .reporting import Reports, Text

SLEEP = "time.sleep"


class IOInTransaction(Guard):
    """Finds what waits for something else than the database while others wait for its locks.

    A transaction counts once it has sent a statement, and if it is an explicit block that may
    write, or has written or locked rows. Another thread's does not. Nor does a test's, be it the
    test that waits or a request that it makes meanwhile. Listens to Python's audit events, so that
    it sees every library whose connections are made in Python. Costs a look-up for each audit event
    of the process, and a few calls for each transaction.
    """

    code: ClassVar[str] = "io-in-transaction"
    text: ClassVar[Text] = Text(
        what="{call} inside an open transaction, at {where}.",
        why="Until it returns, the transaction keeps its locks and its connection: whoever needs"
        " one of them waits for {party} too. And a rollback does not take the call back.",
        write="Call it after the commit: db.on_commit(function, argument). Or before the"
        " transaction begins, if that needs its result.",
    )

    def __init__(self, reports: Reports) -> None:
        super().__init__(reports)
        self._calls = PerTransaction(_Calls)

    def attach(self, app: Flask, engines: Mapping[str | None, Engine]) -> None:
        """Listen to the process, once for all applications."""
        _listen()

    def listeners(self) -> Mapping[str, Listener]:
        """Statements, and where transactions begin and end."""
        return {
            **self._calls.listeners(),
            "request_begins": self._request_begins,
            "after_begin": self._begins,
            "executes": self._executes,
            "after_commit": self._commits,
        }

    def waits(self, session: Session, event: str, subject: str) -> None:
        """Report a call, once a transaction, if that holds what others could wait for."""
        transaction = session.get_transaction()
        if transaction is None or session.info[_THREAD] != threading.get_ident():
            return
        calls = self._calls.of(session)
        if event == "socket.connect" and calls.has_resolved:
            return
        calls.has_resolved |= event == "socket.getaddrinfo"
        if subject in calls.said or calls.is_shared or not self._holds(session, transaction):
            return
        if not self.reports.places.is_test_itself():
            calls.said.add(subject)
            sleeps = event == SLEEP
            call = "time.sleep was called" if sleeps else f"{subject} was called ({event})"
            self.find(subject, call=call, party="the pause" if sleeps else subject)

    def _holds(self, session: Session, transaction: SessionTransaction) -> bool:
        if self._calls.of(session).has_locked or writes.has_written(session):
            return True
        if blocks.is_inside(session):
            return not blocks.innermost(session).settings.read_only
        return transaction.origin is SessionTransactionOrigin.BEGIN

    def _request_begins(self, session: Session) -> None:
        transaction = session.get_transaction()
        if writes.has_changes(session) or (transaction and self._holds(session, transaction)):
            self._calls.of(session).is_shared = True

    def _begins(
        self, session: Session, transaction: SessionTransaction, connection: Connection
    ) -> None:
        session.info[_THREAD] = threading.get_ident()
        sessions = _sessions_here()
        if session not in sessions:
            sessions[session] = self

    def _executes(self, executed: Execution) -> None:
        if locks_rows(executed.statement):
            self._calls.of(executed.session).has_locked = True

    def _commits(self, session: Session) -> None:
        if not session.in_nested_transaction():
            _sessions_here().pop(session, None)


@dataclass
class _Calls:
    """What is known of one transaction.

    :param has_locked: whether it has locked rows by a select.
    :param said: what was reported of it.
    :param has_resolved: whether a name was looked up, so that the connection that follows is known.
    :param is_shared: whether it held something before the request in which it is.
    """

    has_locked: bool = False
    said: set[str] = field(default_factory=set[str])
    has_resolved: bool = False
    is_shared: bool = False


_THREAD = "retort_thread"
_Sessions = weakref.WeakKeyDictionary[Session, IOInTransaction]
_thread = threading.local()


def _sessions_here() -> _Sessions:
    """Those that have begun a transaction in this thread, open or not."""
    sessions: _Sessions | None = getattr(_thread, "sessions", None)
    if sessions is None:
        sessions = _thread.sessions = _Sessions()
    return sessions


# --- what Python tells of ---------------------------------------------------------


@functools.cache
def _listen() -> None:
    """Add the audit hook, which Python keeps as long as the process lives."""
    sys.addaudithook(_audit)
    if sys.version_info < (3, 13):  # no event tells of it there
        time.sleep = _announced(time.sleep)  # type: ignore[assignment] # numbers of any kind


def _announced(sleep: Callable[[float], None]) -> Callable[[float], None]:
    @functools.wraps(sleep)
    def announced(seconds: float, /) -> None:
        _audit(SLEEP, (seconds,))
        sleep(seconds)

    return announced


def _audit(event: str, args: tuple[Any, ...]) -> None:
    name_of = _EVENTS.get(event)
    if name_of is None or not getattr(_thread, "sessions", None):
        return
    subject = name_of(args)
    if subject is None or _is_ours():
        return
    for session, guard in list(_sessions_here().items()):
        guard.waits(session, event, subject)


def _is_ours() -> bool:
    """Whether a connection to the database is being made, or this package itself waits."""
    names = [frame.f_globals.get("__name__", "") for frame in _frames()]
    return any(name.startswith("sqlalchemy.pool.") for name in names) or names[0].startswith(
        "flask_retort."
    )


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") != __name__:
            yield frame
        frame = frame.f_back


def _slept(args: tuple[Any, ...]) -> str | None:
    return SLEEP if args[0] else None  # sleep(0) lets other threads run


def _resolved(args: tuple[Any, ...]) -> str | None:
    is_datagram = args[3] == socket.SOCK_DGRAM  # sent, and not waited for
    return None if is_datagram else _name(args[0])


def _connected(args: tuple[Any, ...]) -> str | None:
    connection, address = args
    is_network = connection.family in (socket.AF_INET, socket.AF_INET6)
    is_datagram = connection.type == socket.SOCK_DGRAM
    return _name(address[0]) if is_network and not is_datagram else None


def _sent(args: tuple[Any, ...]) -> str | None:
    """Over a connection that was made before."""
    return _name(args[0].host)


def _name(host: object) -> str | None:
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host) if host else None


_EVENTS: dict[str, Callable[[tuple[Any, ...]], str | None]] = {
    SLEEP: _slept,
    "socket.getaddrinfo": _resolved,
    "socket.connect": _connected,
    "http.client.send": _sent,
    "ftplib.sendcmd": _sent,
    "imaplib.send": _sent,
    "poplib.putline": _sent,
}
