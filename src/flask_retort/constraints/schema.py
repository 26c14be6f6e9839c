"""What the models say of a database: tables by name, classes and attributes by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm.exc import UnmappedColumnError


def _nothing() -> Iterable[orm.Mapper[Any]]:
    return ()


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables and models of one database, asked for only when an error is explained.

    :param metadata: gives the tables; None where there are none yet.
    :param mappers: gives the mappers, of these tables and of others.
    """

    metadata: Callable[[], sa.MetaData | None]
    mappers: Callable[[], Iterable[orm.Mapper[Any]]] = _nothing

    @classmethod
    def of(cls, models: sa.MetaData | type[Any]) -> Schema:
        """The schema of a metadata alone, or of a declarative base."""
        if isinstance(models, sa.MetaData):
            return cls(lambda: models)
        return cls(lambda: models.metadata, lambda: models.registry.mappers)

    def table(
        self, name: str, schema: str | None, *, hint: sa.Table[Any] | None = None
    ) -> sa.Table[Any] | None:
        """The table that a driver, or the text of a statement, calls so.

        :param schema: as named there: a table without a schema is in any that no other is in.
        :param hint: the table of the statement, which decides between tables of one name.
        """
        metadata = self.metadata()
        tables = list(metadata.tables.values()) if metadata is not None else []
        same = [table for table in tables if table.name == name]
        same = same or [table for table in tables if table.name.lower() == name.lower()]
        if hint is not None and hint.name == name and hint.schema in (schema, None):
            return hint
        exact = [table for table in same if table.schema == schema]
        without = [table for table in same if table.schema is None]
        any_schema = same if schema is None and len(same) == 1 else []
        return next(iter(exact or without or any_schema), None)

    def mapped(
        self, table: sa.Table[Any], columns: Sequence[sa.Column[Any]]
    ) -> tuple[type[Any] | None, tuple[str, ...]]:
        """The model of a table, and the names of its attributes for these columns.

        Of several models of one table the one that the others inherit from is taken, unless only
        another one has all the attributes. Without a model, the names are the columns'.
        """
        mappers = self._mappers_of(table)
        for mapper in mappers:
            keys = [_attribute(mapper, column) for column in columns]
            if None not in keys:
                return mapper.class_, tuple(key for key in keys if key is not None)
        model = mappers[0].class_ if mappers else None
        return model, tuple(column.name for column in columns)

    def referring(self, table: sa.Table[Any]) -> list[sa.ForeignKeyConstraint]:
        """The foreign keys by which rows of any table refer to this one."""
        metadata = self.metadata()
        tables = metadata.tables.values() if metadata is not None else ()
        found = (key for other in tables for key in other.foreign_key_constraints)
        return [key for key in found if _refers_to(key, table)]

    def _mappers_of(self, table: sa.Table[Any]) -> list[orm.Mapper[Any]]:
        mappers = list(self.mappers())
        own = [mapper for mapper in mappers if mapper.local_table is table]
        found = own or [mapper for mapper in mappers if table in mapper.tables]
        return sorted(found, key=lambda m: (len(m.class_.__mro__), m.class_.__qualname__))


def _refers_to(key: sa.ForeignKeyConstraint, table: sa.Table[Any]) -> bool:
    return all(
        element.target_fullname.rpartition(".")[0] == table.fullname for element in key.elements
    )


def _attribute(mapper: orm.Mapper[Any], column: sa.Column[Any]) -> str | None:
    try:
        return mapper.get_property_by_column(column).key
    except UnmappedColumnError:
        return None
