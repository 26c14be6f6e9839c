"""What a guard keeps of each open transaction, with savepoints seen through."""

from __future__ import annotations

import copy
import itertools
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session, SessionTransaction

T = TypeVar("T")

_numbers = itertools.count()


class PerTransaction(Generic[T]):
    """A value for each session whose transaction is open; nobody sees it after the end.

    A savepoint that is rolled back brings back the value of its beginning. What is noted before a
    transaction has begun belongs to the one that begins next. Costs nothing until it is used.

    :param new: makes the value; its ``copy.deepcopy`` must be another value that is equal.
    """

    def __init__(self, new: Callable[[], T]) -> None:
        self._new = new
        self._key = f"retort_noted_{next(_numbers)}"
        self._before: weakref.WeakKeyDictionary[SessionTransaction, T] = weakref.WeakKeyDictionary()

    def get(self, session: Session) -> T | None:
        """The value, if it was asked for before."""
        entry: Any = session.info.get(self._key)
        if entry is None:
            return None
        root = session.get_transaction()
        if entry[0] is None and root is not None:
            entry[0] = weakref.ref(root)
        is_open = root is not None and entry[0]() is root
        value: T | None = entry[1] if entry[0] is None or is_open else None
        return value

    def of(self, session: Session) -> T:
        """The value, made now if need be."""
        value = self.get(session)
        if value is None:
            value = self._new()
            self._set(session, value)
        return value

    def listeners(self) -> Mapping[str, Callable[..., None]]:
        """The session events that the guard must pass on."""
        return {"after_transaction_create": self._begins, "after_soft_rollback": self._rolled_back}

    def _set(self, session: Session, value: T) -> None:
        root = session.get_transaction()
        # Weakly, as it leads back to the session.
        session.info[self._key] = [root and weakref.ref(root), value]

    def _begins(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.nested:
            self._before[transaction] = copy.deepcopy(self.of(session))

    def _rolled_back(self, session: Session, ended: SessionTransaction) -> None:
        if ended.nested and ended in self._before:
            self._set(session, self._before.pop(ended))
