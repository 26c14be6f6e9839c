"""What reads but can't write, by the database's own refusal: an engine, or one transaction."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

_IN_AUTOCOMMIT = {
    "postgresql": "SET default_transaction_read_only = on",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
"""By dialect, what makes a connection refuse writes from now on."""

_RECIPE = "retort_reading"
_QUERY_ONLY = "retort_query_only"
_cursor_number = itertools.count()

Make = Callable[[dict[str, Any]], sa.Engine]
Attach = Callable[[sa.Engine], object]


class ReadingEngines(Mapping[str | None, sa.Engine]):
    """For each engine its reading engine, or where it can have none, the engine itself.

    :param engines: by bind key.
    :param autocommit: also where a transaction means more than its single statements. None:
        where it does not, which is PostgreSQL at its default isolation level.
    """

    def __init__(
        self, engines: Mapping[str | None, sa.Engine], *, autocommit: bool | None = None
    ) -> None:
        self._engines = engines
        self._autocommit = autocommit

    def __getitem__(self, bind_key: str | None) -> sa.Engine:
        engine = self._engines[bind_key]
        wanted = self._autocommit
        if wanted is None:
            wanted = engine.dialect.name == "postgresql"
        return (reading_engine(engine) or engine) if wanted else engine

    def __iter__(self) -> Iterator[str | None]:
        return iter(self._engines)

    def __len__(self) -> int:
        return len(self._engines)


class _Recipe:
    """How to make the reading engine of an engine, and the engine once it is made."""

    def __init__(self, options: dict[str, Any], make: Make) -> None:
        self._options = options
        self._make = make
        self._attached: list[Attach] = []
        self._mutex = threading.Lock()
        self._made: sa.Engine | None = None

    def engine(self, of: sa.Engine) -> sa.Engine:
        made = self._made
        if made is None:
            with self._mutex:
                made = self._made = self._made or self._new(of)
        return made

    def attach(self, attach: Attach) -> None:
        with self._mutex:
            self._attached.append(attach)
            if self._made is not None:
                attach(self._made)

    def _new(self, of: sa.Engine) -> sa.Engine:
        options = {"skip_autocommit_rollback": True, **self._options}
        engine = self._make({**options, "isolation_level": "AUTOCOMMIT"})
        event.listen(engine, "connect", _refuse_from_now_on(engine))
        _withhold_cursors(engine)
        _leave_out_savepoints(engine)
        _dispose_together(of, engine)
        _reading.add(engine)
        for attach in self._attached:
            attach(engine)
        return engine


_reading: weakref.WeakSet[sa.Engine] = weakref.WeakSet()


def remember(engine: sa.Engine, options: dict[str, Any], make: Make, *, pooler: str | None) -> None:
    """Let :func:`reading_engine` make another engine of these options, which is not done yet.

    Not behind a pooler that shares connections, which would give what is set on one of them to
    another client; not for a ready pool or connections of the user's making, which can't be had
    twice; and not where the options choose an isolation level, which makes a difference only to
    several statements in one transaction.
    """
    chosen = {"pool", "creator", "isolation_level"} & options.keys()
    chosen |= {"isolation_level"} & options.get("execution_options", {}).keys()
    if engine.dialect.name in _IN_AUTOCOMMIT and pooler is None and not chosen:
        # On the engine: in a dict of weak keys, what is attached could keep the engine alive.
        setattr(engine, _RECIPE, _Recipe(options, make))


def reading_engine(engine: sa.Engine) -> sa.Engine | None:
    """An engine for the same database in AUTOCOMMIT that can't write; made at the first call.

    A read over it is one round trip: there is no transaction to begin and to end. It has a pool of
    its own, of the same options, and is disposed with the engine. None where there can be none.
    """
    recipe = _recipe_of(engine)
    return None if recipe is None else recipe.engine(engine)


def attach_to_all(engine: sa.Engine, attach: Attach) -> None:
    """Call ``attach(engine)``, and ``attach(reading_engine)`` when there is one."""
    attach(engine)
    recipe = _recipe_of(engine)
    if recipe is not None:
        recipe.attach(attach)


def _recipe_of(engine: sa.Engine) -> _Recipe | None:
    return getattr(engine, _RECIPE, None)


def refuse_writes(connection: sa.Connection) -> None:
    """Make the transaction that is about to begin on the connection refuse writes, to its end.

    Costs one round trip; nothing on SQLite and on a connection of a reading engine.
    """
    if connection.engine in _reading:
        return
    if connection.dialect.name == "sqlite":
        _refuse_until_checkin(connection)
    else:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _refuse_from_now_on(engine: sa.Engine) -> Callable[[Any, Any], None]:
    statement = _IN_AUTOCOMMIT[engine.dialect.name]

    def connected(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()

    return connected


def _refuse_until_checkin(connection: sa.Connection) -> None:
    engine = connection.engine
    if not event.contains(engine, "checkin", _allow_writes):
        event.listen(engine, "checkin", _allow_writes)
    connection.info[_QUERY_ONLY] = True
    connection.connection.cursor().execute("PRAGMA query_only = ON")


def _allow_writes(connection: Any, record: Any) -> None:
    """When a connection returns to its pool, by whatever way; None if it was thrown away."""
    if record.info.pop(_QUERY_ONLY, False) and connection is not None:
        connection.execute("PRAGMA query_only = OFF")


def _withhold_cursors(engine: sa.Engine) -> None:
    """Let PostgreSQL's cursors outlive their statement, which is the transaction in AUTOCOMMIT.

    The server then keeps the rows that are not fetched yet, on its disk where they are many.
    """
    dialect: Any = engine.dialect
    if dialect.driver not in ("psycopg", "psycopg2"):
        return

    class WithHold(dialect.execution_ctx_cls):  # type: ignore[misc] # the driver's
        def create_server_side_cursor(self) -> Any:
            name = f"retort_{next(_cursor_number)}"
            return self.root_connection.connection.cursor(name, withhold=True)

    dialect.execution_ctx_cls = WithHold


def _leave_out_savepoints(engine: sa.Engine) -> None:
    """Savepoints need a transaction; there is nothing written that one could go back from."""
    dialect: Any = engine.dialect

    def nothing(connection: sa.Connection, name: str) -> None:
        pass

    dialect.do_savepoint = dialect.do_release_savepoint = nothing
    dialect.do_rollback_to_savepoint = nothing


def _dispose_together(engine: sa.Engine, reading: sa.Engine) -> None:
    dispose = engine.dispose

    def dispose_both(close: bool = True) -> None:
        dispose(close)
        reading.dispose(close)

    engine.dispose = dispose_both  # type: ignore[method-assign] # of this engine alone
