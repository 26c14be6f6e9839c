"""The session: one per application context, bound by the tables that a statement touches."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from flask.globals import app_ctx
from sqlalchemy import exc, orm
from sqlalchemy.orm.exc import UnmappedClassError
from sqlalchemy.util import ScopedRegistry

from ._sa_compat import parts_of
from .engines import are_one_database
from .errors import MixedDatabases, NoAppContext

if TYPE_CHECKING:
    from flask import Flask

    from .extension import SQLAlchemy

S = TypeVar("S", bound=orm.Session)
_UNKNOWN = object()


class Session(orm.Session):
    """A ``sqlalchemy.orm.Session`` that finds its engine by bind key.

    :param db: the extension whose engines are used, those of the current application.
    :param kwargs: arguments of ``sqlalchemy.orm.Session``. With ``bind`` the session uses that
        engine or connection for everything, as SQLAlchemy documents it for tests.
    """

    def __init__(self, db: SQLAlchemy[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._db = db
        self._model_changes: Any = {}

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
        engines = self._db.engines
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
        engines = self._db.engines
        return are_one_database([self._db._engine_for(engines, key) for key in tables])

    if not TYPE_CHECKING:  # the signatures, with their overloads, are those of the parent

        def execute(self, statement, params=None, **kwargs):
            """``Session.execute``, which also finds the database of a ``union()``."""
            return super().execute(statement, params, **_with_clause(statement, kwargs))

        def scalar(self, statement, params=None, **kwargs):
            """``Session.scalar``, which also finds the database of a ``union()``."""
            return super().scalar(statement, params, **_with_clause(statement, kwargs))

        def scalars(self, statement, params=None, **kwargs):
            """``Session.scalars``, which also finds the database of a ``union()``."""
            return super().scalars(statement, params, **_with_clause(statement, kwargs))


def _with_clause(statement: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments, with a ``union()`` named to ``get_bind``: SQLAlchemy passes it nothing."""
    if isinstance(statement, sa.CompoundSelect) and not kwargs.get("bind_arguments"):
        kwargs["bind_arguments"] = {"clause": statement}
    return kwargs


def make_scoped_session(
    factory: orm.sessionmaker[S], scopefunc: Callable[[], Any] | None
) -> orm.scoped_session[S]:
    """A registry of sessions, one for each application context unless a scope function is given.

    Contexts are held weakly and by identity, so that no session can outlive its context or be
    handed to another one.
    """
    if scopefunc is not None:
        return orm.scoped_session(factory, scopefunc)
    scoped = orm.scoped_session(factory, _current_context)
    scoped.registry = ContextRegistry(factory)
    return scoped


class ContextRegistry(ScopedRegistry[S]):
    """Sessions by application context."""

    def __init__(self, factory: Callable[[], S]) -> None:
        super().__init__(factory, _current_context)
        self.registry = weakref.WeakKeyDictionary()

    def pop(self) -> S | None:
        """Forget the session of the current context, and give it back if there was one."""
        session: S | None = self.registry.pop(_current_context(), None)
        return session


def _current_context() -> Any:
    try:
        return app_ctx._get_current_object()  # type: ignore[attr-defined]
    except RuntimeError:
        raise NoAppContext() from None


def call_after_teardown(app: Flask, function: Callable[[BaseException | None], None]) -> None:
    """Call the function when all teardown handlers of a context have run, or one has raised.

    ``app.teardown_appcontext`` would not do: a handler that raises keeps the others from running.
    """
    teardown = app.do_teardown_appcontext

    @functools.wraps(teardown)
    def do_teardown_appcontext(*args: Any, **kwargs: Any) -> None:
        try:
            teardown(*args, **kwargs)
        finally:
            error = args[-1] if args else None  # Flask 3.2 passes the context before it
            function(error if isinstance(error, BaseException) else None)

    app.do_teardown_appcontext = do_teardown_appcontext  # type: ignore[method-assign]


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
