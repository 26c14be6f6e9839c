"""The session: bound by the tables that a statement touches, and whole again after an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc, orm
from sqlalchemy.orm.exc import StaleDataError, UnmappedClassError

from . import constraints
from ._sa_compat import locks_rows, parts_of
from .engines import are_one_database, begin_as_writer
from .errors import MixedDatabases
from .transactions import blocks, callbacks, failures, writes
from .transactions.failures import LostWork

if TYPE_CHECKING:
    from .extension import SQLAlchemy

S = TypeVar("S", bound=orm.Session)
_UNKNOWN = object()


class Session(orm.Session):
    """A ``sqlalchemy.orm.Session`` that finds its engine by bind key.

    When a statement has failed and the database, or the unit of work, has given the transaction
    up, an implicit transaction is rolled back at once, so that the next statement works; the
    error says so. Inside ``db.transaction()``, ``begin()`` or a savepoint, its end rolls back.

    :param db: the extension whose engines are used, those of the current application.
    :param engines: used in place of them, by bind key.
    :param kwargs: arguments of ``sqlalchemy.orm.Session``. With ``bind`` the session uses that
        engine or connection for everything, as SQLAlchemy documents it for tests.
    """

    watch: ClassVar[Callable[..., Any] | None] = None
    """Called before each statement with the session and the arguments of the call; what it returns
    stands for executing it, unless that is None. For the guards, where any are on."""

    def __init__(
        self,
        db: SQLAlchemy[Any],
        *,
        engines: Mapping[str | None, sa.Engine] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._db = db
        self._engines = engines
        self._model_changes: Any = {}
        self._is_committing = False
        self.lost: LostWork | None = None
        """What the last error has taken with it, until the next commit, rollback or close."""

    @property
    def written(self) -> bool:
        """Whether the open transaction has written anything, and not rolled it back."""
        return writes.has_written(self)

    def get_bind(
        self,
        mapper: Any = None,
        clause: Any = None,
        bind: sa.Engine | sa.Connection | None = None,
        **kwargs: Any,
    ) -> sa.Engine | sa.Connection:
        """The engine for a mapper, or for all tables that a statement touches.

        An explicit ``bind``, or the one that the session was made with, wins. A statement without
        tables goes to the default engine.

        :raises flask_retort.errors.UnknownBind: the bind key of a table has no engine.
        :raises flask_retort.errors.MixedDatabases: the tables are in different databases.
        """
        if bind is not None:
            return bind
        if self.bind is not None or self.binds:
            try:
                return super().get_bind(mapper, clause=clause, **kwargs)
            except exc.UnboundExecutionError:
                if self.bind is not None:
                    raise
        engines = self._db.engines if self._engines is None else self._engines
        bind_key = self._bind_key(mapper, clause)
        if bind_key is _UNKNOWN:
            if None not in engines:
                return super().get_bind(mapper, clause=clause, **kwargs)
            bind_key = None
        return self._db._engine_for(engines, bind_key)

    def _bind_key(self, mapper: Any, clause: Any) -> Any:
        """The bind key that the tables agree on, or ``_UNKNOWN`` where there is no table."""
        has_choice = len(self._db.metadatas) > 1
        if not has_choice and isinstance(mapper, orm.Mapper):
            metadata = getattr(mapper.local_table, "metadata", None)
            return _UNKNOWN if metadata is None else metadata.info.get("bind_key")
        own = _keys_of_mapper(mapper) if mapper is not None else {}
        if not has_choice:
            return next(iter(own), _UNKNOWN)
        tables = own | (_keys_of_clause(clause) if clause is not None else {})
        if len(tables) > 1 and own:
            # A table with a schema can be in another database of the same server.
            tables = own | {key: table for key, table in tables.items() if table.schema is None}
        if len(tables) > 1 and not self._is_one_database(tables):
            raise MixedDatabases(_mixed_databases(tables))
        return next(iter(tables), _UNKNOWN)

    def _is_one_database(self, tables: dict[str | None, sa.Table[Any]]) -> bool:
        """Whether the bind keys are different names for one and the same database."""
        engines = self._db.engines if self._engines is None else self._engines
        return are_one_database([self._db._engine_for(engines, key) for key in tables])

    def connection(
        self,
        bind_arguments: Any = None,
        execution_options: Mapping[str, Any] | None = None,
    ) -> sa.Connection:
        """``Session.connection``; what a cursor of the driver writes, the session can't know."""
        connection = super().connection(bind_arguments, execution_options)
        writes.note_connection(self, connection)
        return connection

    def flush(self, objects: Any = None) -> None:
        """``Session.flush``; a version that is not the database's any more is StaleVersion."""
        wrote = self.written
        try:
            super().flush(*(() if objects is None else (objects,)))
        except StaleDataError as error:
            stale = constraints.stale(error, self)
            self._recover(stale, wrote)
            raise stale from error
        except BaseException as error:
            self._recover(error, wrote)
            raise

    def commit(self) -> None:
        """``Session.commit``; where it fails, the session is ready for the next transaction.

        :raises TransactionOpen: a ``db.transaction()`` block is open, and commits at its end.
        """
        blocks.check_end(self, "commit")
        wrote = self.written
        self._is_committing = True
        callbacks.hold(self)
        try:
            super().commit()
            self.lost = None
        except BaseException as error:
            self._is_committing = False
            self._recover(error, wrote)
            raise
        finally:
            self._is_committing = False
            callbacks.release(self)

    def rollback(self) -> None:
        """``Session.rollback``.

        :raises TransactionOpen: a ``db.transaction()`` block is open.
        """
        blocks.check_end(self, "rollback")
        self.lost = None
        callbacks.hold(self)
        try:
            super().rollback()
        finally:
            callbacks.release(self)

    def close(self) -> None:
        """``Session.close``."""
        self.lost = None
        super().close()

    def _recover(self, error: BaseException, wrote: bool) -> None:
        if not self._is_committing:  # the commit itself does it when it has failed
            lost_before = self.lost is not None and self.lost.wrote
            lost = failures.recover(self, error, wrote=wrote or lost_before)
            self.lost = lost or self.lost

    if not TYPE_CHECKING:  # the signatures, with their overloads, are those of the parent

        def execute(self, statement, params=None, **kwargs):
            """``Session.execute``, which also finds the database of a ``union()``."""
            return self._run(super().execute, statement, params, kwargs)

        def scalar(self, statement, params=None, **kwargs):
            """``Session.scalar``, which also finds the database of a ``union()``."""
            return self._run(super().scalar, statement, params, kwargs)

        def scalars(self, statement, params=None, **kwargs):
            """``Session.scalars``, which also finds the database of a ``union()``."""
            return self._run(super().scalars, statement, params, kwargs)

        def _run(self, run, statement, params, kwargs):
            if locks_rows(statement):
                self._begin_as_writer(statement, kwargs)
            watch, kwargs = self.watch, _with_clause(statement, kwargs)
            try:
                result = None if watch is None else watch(self, statement, params, kwargs)
                if result is None:
                    result = run(statement, params, **kwargs)
                elif run.__name__ != "execute":
                    result = getattr(result, run.__name__)()
            except BaseException as error:
                self._recover(error, self.written)
                raise
            writes.note_statement(self, statement, result)
            return result

        def bulk_save_objects(self, *args, **kwargs):
            """``Session.bulk_save_objects``."""
            self._run_bulk(super().bulk_save_objects, args, kwargs)

        def bulk_insert_mappings(self, *args, **kwargs):
            """``Session.bulk_insert_mappings``."""
            self._run_bulk(super().bulk_insert_mappings, args, kwargs)

        def bulk_update_mappings(self, *args, **kwargs):
            """``Session.bulk_update_mappings``."""
            self._run_bulk(super().bulk_update_mappings, args, kwargs)

        def _run_bulk(self, run, args, kwargs):
            wrote = self.written
            try:
                run(*args, **kwargs)
            except BaseException as error:
                self._recover(error, wrote)
                raise
            writes.note(self)

    def _begin_as_writer(self, statement: Any, kwargs: dict[str, Any]) -> None:
        """What FOR UPDATE is on SQLite, which has no row locks."""
        arguments = kwargs.get("bind_arguments") or {"clause": statement}
        begin_as_writer(super().connection(bind_arguments=arguments))


writes.watch(Session)


def _with_clause(statement: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with a ``union()`` named to ``get_bind``: SQLAlchemy passes it nothing."""
    if isinstance(statement, sa.CompoundSelect) and not kwargs.get("bind_arguments"):
        kwargs["bind_arguments"] = {"clause": statement}
    return kwargs


def _keys_of_mapper(mapper: Any) -> dict[str | None, sa.Table[Any]]:
    try:
        mapped = sa.inspect(mapper)
    except exc.NoInspectionAvailable as error:
        if isinstance(mapper, type):
            raise UnmappedClassError(mapper) from error
        raise
    table = _as_table(mapped.local_table)
    if table is None:
        return _keys_of_clause(mapped.local_table)
    return {_bind_key_of(table): table}


def _keys_of_clause(clause: Any) -> dict[str | None, sa.Table[Any]]:
    """One table for each bind key among the tables and columns in a statement."""
    found: dict[str | None, sa.Table[Any]] = {}
    seen: set[int] = set()
    elements: list[Any] = [clause]
    while elements:
        element = elements.pop()
        table = _as_table(element)
        if table is not None:
            found.setdefault(_bind_key_of(table), table)
        elif id(element) not in seen and _is_clause(element):
            seen.add(id(element))
            elements += parts_of(element)
    return found


def _as_table(element: Any) -> sa.Table[Any] | None:
    """The element if it is a table, or the table of a column."""
    table = element  # another name: narrowing by isinstance would lose the type of its columns
    if isinstance(element, sa.Column):
        table = table.table
    return table if _is_table(table) else None


def _is_table(element: Any) -> bool:
    return isinstance(element, sa.Table)


def _is_clause(element: Any) -> bool:
    return isinstance(element, sa.ClauseElement)


def _bind_key_of(table: sa.Table[Any]) -> str | None:
    key: str | None = table.metadata.info.get("bind_key")
    return key


def _mixed_databases(tables: dict[str | None, sa.Table[Any]]) -> str:
    listed = ", ".join(
        f"'{table.name}' ({f'bind {key!r}' if key is not None else 'the default database'})"
        for key, table in tables.items()
    )
    return (
        f"One statement touches tables of different databases: {listed}. It cannot run on either."
        " Run one statement for each database. If one engine can see them all, name it:"
        " session.execute(statement, bind_arguments={'bind': db.engines[...]})."
    )
