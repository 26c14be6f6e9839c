"""``transaction()``: a with block, or a decorator, around one unit of work."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from flask_retort.errors import BrokenSession, RetryInTransaction

from . import blocks
from .blocks import Block
from .retry import Retry
from .settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Session)


class Transaction(Generic[S]):
    """A unit of work, committed as a whole or not at all; made by ``db.transaction(...)``.

    As a ``with`` block, it gives the session. As a decorator, it runs the function in such a block
    at each call, and with ``retry`` again where another transaction was in the way.

    :param current: gives the session to use, at each use.
    """

    def __init__(self, current: Callable[[], S], settings: Settings, retry: Retry | int) -> None:
        self._current = current
        self._settings = settings
        self._retry = retry if isinstance(retry, Retry) else Retry(times=retry)

    def __enter__(self) -> S:
        if self._retry.times:
            raise TypeError(_WITH_CANT_REPEAT)
        session = self._current()
        blocks.begin(session, self._settings, owner=self)
        return session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block = blocks.owned_by(self, self._current())
        if error is not None:
            if block is not None:
                block.rollback(error)
        elif block is not None:
            block.commit()
        else:  # the session is another one, since db.session.remove() inside
            raise BrokenSession(blocks.ENDED)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, run in a transaction at each call.

        Its session is in a transaction that has just begun, at each run; what it returns should be
        plain values, or objects that were added or read in it.

        :raises RetryInTransaction: with ``retry``, when called in a transaction that is open.
        :raises TypeError: it is a generator or ``async``, whose body runs later.
        """
        if any(runs_later(function) for runs_later in _RUN_LATER):
            raise TypeError(_RUNS_LATER.format(name=function.__qualname__))

        @functools.wraps(function)
        def in_transaction(*args: P.args, **kwargs: P.kwargs) -> R:
            return self._run(functools.partial(function, *args, **kwargs))

        return in_transaction

    def _run(self, work: Callable[[], R]) -> R:
        session, retry = self._current(), self._retry
        if retry.times:
            _refuse_inside(session)
        repetition = 0
        while True:
            block = blocks.begin(session, self._settings)
            try:
                return _done(block, work)
            except retry.on as error:
                # What waited for the commit can have failed too: then the work is done.
                if block.may_be_committed or not retry.times:
                    raise
                if repetition == retry.times:
                    error.add_note(f"The transaction was run {repetition + 1} times.")
                    raise
            repetition += 1
            time.sleep(retry.pause(repetition))


def _done(block: Block, work: Callable[[], R]) -> R:
    try:
        result = work()
    except BaseException as error:
        block.rollback(error)
        raise
    block.commit()
    return result


def _refuse_inside(session: Session) -> None:
    if blocks.is_open(session):
        raise RetryInTransaction(_RETRY_INSIDE)
    blocks.end_reading(session, RetryInTransaction(_RETRY_AFTER_CHANGES))


_RUN_LATER = (
    inspect.isgeneratorfunction,
    inspect.iscoroutinefunction,
    inspect.isasyncgenfunction,
)
_RUNS_LATER = (
    "{name}() is a generator, or async: to call it runs none of its body, so db.transaction() above"
    " it would end before the body begins. Write with db.transaction(): ... inside it."
)
_WITH_CANT_REPEAT = (
    "A with block runs once: Python can't run it again. With retry, write the block as a function"
    " with @db.transaction(retry=3) above it: @db.transaction(retry=3) def place_order(): ..."
)
_RETRY_INSIDE = (
    "A function with retry was called inside an open transaction. It could be run again only"
    " together with everything before it. Give retry to the outermost db.transaction(), and none to"
    " those inside it. With RETORT_REQUEST_TRANSACTION the request is the outermost: take the view"
    " out with @request_transactions.exempt."
)
_RETRY_AFTER_CHANGES = (
    "A function with retry was called while the session has changes that are not committed; a"
    " repetition would lose them. Commit them first with db.session.commit(), or make them inside"
    " the function."
)
