"""A statement that a session is about to execute, with what guards ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from flask_retort import _sa_compat as compat

from .row_locks import Rows, rows_of


class Execution:
    """One call of ``execute()``, ``scalar()`` or ``scalars()``; the names are ORMExecuteState's.

    SQLAlchemy's own event for it, ``do_orm_execute``, prepares each statement twice, which costs a
    read by key a thirtieth of its request.

    :param parameters: as given: one mapping, several, or None.
    :param arguments: the other arguments of the call.
    """

    def __init__(
        self,
        session: orm.Session,
        statement: Any,
        parameters: Any,
        arguments: Mapping[str, Any],
    ) -> None:
        self.session = session
        self.statement = statement
        self.parameters = parameters
        self._arguments = arguments

    @cached_property
    def execution_options(self) -> Mapping[str, Any]:
        """Those of the statement and of the call."""
        own: Mapping[str, Any] = self.statement.get_execution_options()
        return {**own, **self._arguments.get("execution_options", {})}

    @property
    def is_orm_statement(self) -> bool:
        """Whether it is about models, not only tables."""
        return compat.is_orm_statement(self.statement)

    @cached_property
    def rereads(self) -> bool:
        """Whether objects that are loaded get the values that are in the database now."""
        return compat.rereads(self.statement, self._arguments.get("execution_options"))

    @cached_property
    def all_mappers(self) -> Sequence[orm.Mapper[Any]]:
        """Of the models that it selects from, each once, or that it changes."""
        if not self.is_orm_statement:
            return []
        described: Any = getattr(self.statement, "column_descriptions", None)
        if isinstance(self.statement, sa.UpdateBase):
            described = [self.statement.entity_description]
        entities = [one.get("entity") for one in described or ()]
        mappers = (sa.inspect(entity).mapper for entity in entities if entity is not None)
        return list(dict.fromkeys(mappers))

    @property
    def bind_mapper(self) -> orm.Mapper[Any] | None:
        """Of the first model that it is about."""
        return compat.mapper_of(self.statement)

    @cached_property
    def rows(self) -> Rows | None:
        """See :func:`.rows_of`; worked out once for all guards."""
        return rows_of(self)

    def execute(self) -> sa.Result[Any]:
        """Execute it now, without asking the guards."""
        return orm.Session.execute(self.session, self.statement, self.parameters, **self._arguments)
