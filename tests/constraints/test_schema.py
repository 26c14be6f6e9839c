"""Tables by name, models and attributes by column."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.orm import Mapped, mapped_column

from flask_retort.constraints import Schema


class Base(orm.DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    mail: Mapped[str] = mapped_column("email")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "p"}  # noqa: RUF012 - so named


class Agent(Person):
    """In the same table, with a column of its own."""

    number: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "a"}  # noqa: RUF012 - SQLAlchemy's own way


class Clerk(Person):
    """In a table of its own."""

    __tablename__ = "clerk"
    id: Mapped[int] = mapped_column("clerk_id", sa.ForeignKey("person.id"), primary_key=True)
    desk: Mapped[int] = mapped_column("desk_no")
    __mapper_args__ = {"polymorphic_identity": "c"}  # noqa: RUF012 - SQLAlchemy's own way


class Another(Base):
    """A second model of the first one's table, which sees one of its columns."""

    __table__ = Person.__table__
    __mapper_args__ = {"include_properties": ["id"]}  # noqa: RUF012 - SQLAlchemy's own way


class Sale(Base):
    __tablename__ = "deal"
    __table_args__ = {"schema": "sales"}  # noqa: RUF012 - SQLAlchemy's own way
    id: Mapped[int] = mapped_column(primary_key=True)
    clerk_id: Mapped[int] = mapped_column(sa.ForeignKey(Clerk.id))


class Deal(Base):
    __tablename__ = "deal"
    id: Mapped[int] = mapped_column(primary_key=True)


link: sa.Table[Any] = sa.Table(
    "link", Base.metadata, sa.Column("person_id", sa.ForeignKey("person.id"))
)
SCHEMA = Schema.of(Base)


@pytest.mark.parametrize(
    ("table", "column", "model", "field"),
    [
        ("person", "email", Person, "mail"),
        ("person", "number", Agent, "number"),
        ("clerk", "desk_no", Clerk, "desk"),
        ("clerk", "clerk_id", Clerk, "id"),
        ("link", "person_id", None, "person_id"),
    ],
)
def test_model_and_attribute_of_a_column(
    table: str, column: str, model: type[Base] | None, field: str
) -> None:
    """The parent of an inheritance, unless a child alone has it; a table without a model."""
    found = Base.metadata.tables[table]
    assert SCHEMA.mapped(found, [found.c[column]]) == (model, (field,))


def test_the_model_of_a_table_alone() -> None:
    """It is the one that the others inherit from, or the first by name: never left to chance."""
    model, fields = SCHEMA.mapped(Base.metadata.tables["clerk"], [])
    assert (model, fields) == (Clerk, ())


@pytest.mark.parametrize(
    ("name", "schema", "model"),
    [
        ("deal", "sales", Sale),
        ("deal", None, Deal),
        ("deal", "public", Deal),
        ("DEAL", None, Deal),
        ("person", "public", Person),
    ],
)
def test_tables_of_one_name_in_two_schemas(name: str, schema: str, model: type[Base]) -> None:
    """The named schema decides; a table without one is in the connection's own."""
    assert SCHEMA.table(name, schema) is model.__table__


def test_the_statement_decides_where_the_driver_does_not() -> None:
    """SQLite and MySQL name no schema."""
    hint: Any = Sale.__table__
    assert SCHEMA.table("deal", None, hint=hint) is hint.metadata.tables["deal"] or hint
    assert SCHEMA.table("deal", "sales", hint=hint) is hint
    assert SCHEMA.table("nowhere", None, hint=hint) is None


def test_who_refers_to_a_table() -> None:
    """Foreign keys of any table, also of one without a model."""
    keys = SCHEMA.referring(Base.metadata.tables["person"])
    assert {key.table.name for key in keys} == {"clerk", "link"}


def test_a_metadata_alone_has_columns_for_attributes() -> None:
    """For scripts without models; and there may be no metadata yet."""
    schema = Schema.of(Base.metadata)
    table = schema.table("person", None)
    assert table is not None
    assert schema.mapped(table, [table.c.email]) == (None, ("email",))
    assert Schema(lambda: None).table("person", None) is None
    assert Schema(lambda: None).referring(table) == []
