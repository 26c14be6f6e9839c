"""Functions that wait for the end of a transaction: run after its commit, or after its rollback."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, cast

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction

P = ParamSpec("P")

_WAITING = "retort_callbacks"
_HELD = "retort_callbacks_held"


def on_commit(
    session: Session, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs
) -> None:
    """Call the function once the open transaction, or else the next one, is committed.

    It is called after the outermost commit, in the order of registration, in the same thread; the
    session is free for a new transaction then. It is forgotten when the transaction is rolled
    back, or the savepoint that was open at this moment. What it raises comes out of the commit when
    all functions have been called; the data is committed by then. Costs nothing until used.

    :param function: called with the arguments that follow.
    """
    _waiting(session).add(session, "commit", functools.partial(function, *args, **kwargs))


def on_rollback(
    session: Session, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs
) -> None:
    """Call the function if the open transaction, or savepoint, is rolled back; else forget it.

    A session that is closed with its transaction open has rolled it back.

    :param function: called with the arguments that follow.
    """
    _waiting(session).add(session, "rollback", functools.partial(function, *args, **kwargs))


def hold(session: Session) -> None:
    """Keep what becomes due until :func:`release`: the caller has work to end."""
    session.info[_HELD] = True


def release(session: Session) -> None:
    """Call what is due."""
    session.info.pop(_HELD, None)
    waiting = cast("_Waiting | None", session.info.get(_WAITING))
    if waiting is not None:
        waiting.call_due(session)


def is_within(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    """Whether the innermost of the two is the other, or a savepoint somewhere in it."""
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer


@dataclass(frozen=True, slots=True)
class _Entry:
    after: str
    call: Callable[[], object]
    transaction: SessionTransaction | None
    """The innermost one at registration; None: the next one."""


class _Waiting:
    """The functions that wait for the transactions of one session."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._due: list[Callable[[], object]] = []
        self._committed: SessionTransaction | None = None

    def listen(self, session: Session) -> None:
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_soft_rollback", self._after_rollback)
        event.listen(session, "after_transaction_end", self._after_end)

    def add(self, session: Session, after: str, call: Callable[[], object]) -> None:
        innermost = session.get_nested_transaction() or session.get_transaction()
        self._entries.append(_Entry(after, call, innermost))

    def _after_commit(self, session: Session) -> None:
        if not session.in_nested_transaction():
            self._committed = session.get_transaction()

    def _after_rollback(self, session: Session, ended: SessionTransaction) -> None:
        if ended.nested:
            self._take(lambda entry: is_within(entry.transaction, ended), "rollback")
            self.call_due(session)

    def _after_end(self, session: Session, ended: SessionTransaction) -> None:
        if ended.parent is None:
            is_committed, self._committed = self._committed is ended, None
            self._take(lambda _: True, "commit" if is_committed else "rollback")
            self.call_due(session)

    def _take(self, belongs: Callable[[_Entry], bool], after: str) -> None:
        """Make due what waited for this end, and forget what waited for the other."""
        mine = [entry for entry in self._entries if belongs(entry)]
        self._entries = [entry for entry in self._entries if entry not in mine]
        self._due += [entry.call for entry in mine if entry.after == after]

    def call_due(self, session: Session) -> None:
        """Call all, whatever one raises; then raise the first error, with the others as notes."""
        if _HELD in session.info:
            return
        # A function may end a transaction of its own: what becomes due by that is called there.
        due, self._due = self._due, []
        raised: list[BaseException] = []
        for call in due:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - raised below, when all have been called
                raised.append(error)
        for other in raised[1:]:
            raised[0].add_note(f"Another function that waited for the transaction raised {other!r}")
        if raised:
            raise raised[0]


def _waiting(session: Session) -> _Waiting:
    waiting = session.info.get(_WAITING)
    if waiting is None:
        waiting = session.info[_WAITING] = _Waiting()
        waiting.listen(session)
    return cast(_Waiting, waiting)
