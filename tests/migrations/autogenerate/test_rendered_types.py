"""Types are written so that the script runs, now and when their classes are gone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from sqlalchemy.dialects import mysql, postgresql
from tests.migrations import models_zoo
from tests.migrations.generating import context, generate
from tests.migrations.models_zoo import Guid, Lowered, Money, Point

from flask_retort.migrations.autogenerate.rendered_types import render

Type = sa.types.TypeEngine[Any]


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """A connection to an empty database."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def written(connection: sa.Connection, type_: Type, **kw: Any) -> str:
    """How a script has a column of this type."""
    metadata = sa.MetaData()
    sa.Table("t", metadata, sa.Column("c", type_))
    text = generate(connection, metadata, **kw).upgrade
    return text.partition("sa.Column('c', ")[2].partition(", nullable=")[0]


class Prefixed(sa.types.TypeDecorator[str]):
    """A type over another one of the application's own."""

    impl = Lowered
    cache_ok = True


class Binary(sa.types.TypeDecorator[str]):
    """A type that only one database has otherwise."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Type:
        if dialect.name in ("mysql", "mariadb"):
            return mysql.LONGBLOB()
        return sa.LargeBinary()


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (Lowered(), "sa.String(length=40)"),
        (Prefixed(), "sa.String(length=40)"),
        (Money(14, 2), "sa.Numeric(precision=14, scale=2)"),
        (Guid(), "sa.CHAR(length=32).with_variant(sa.UUID(), 'postgresql')"),
        (
            Binary(),
            "sa.LargeBinary().with_variant(mysql.LONGBLOB(), 'mysql')"
            ".with_variant(mysql.LONGBLOB(), 'mariadb')",
        ),
        (
            Lowered().with_variant(sa.Text(), "mysql"),
            "sa.String(length=40).with_variant(sa.Text(), 'mysql')",
        ),
        (sa.Interval(second_precision=3), "sa.Interval(second_precision=3)"),
        (sa.Interval(native=False), "sa.Interval(native=False)"),
        (sa.PickleType(impl=sa.LargeBinary(100)), "sa.LargeBinary(length=100)"),
        (
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            "sa.JSON().with_variant(postgresql.JSONB(astext_type=sa.Text()), 'postgresql')",
        ),
        (
            sa.JSON().with_variant(postgresql.ARRAY(sa.Integer), "postgresql"),
            "sa.JSON().with_variant(postgresql.ARRAY(sa.Integer()), 'postgresql')",
        ),
    ],
    ids=repr,
)
def test_a_type_is_written_as_what_the_databases_hold(
    connection: sa.Connection, type_: Type, text: str
) -> None:
    assert written(connection, type_) == text


def test_a_type_that_only_its_class_can_spell_is_imported(connection: sa.Connection) -> None:
    autogenerate = AutogenContext(context(connection, sa.MetaData()))
    assert render("type", Point(4326), autogenerate) is False
    assert autogenerate.imports == {"import tests.migrations.models_zoo"}
    assert written(connection, Point(4326)) == "tests.migrations.models_zoo.Point(srid=4326)"


def test_a_prefix_of_the_users_stays(connection: sa.Connection) -> None:
    assert written(connection, Point(1), user_module_prefix="own.") == "own.Point(srid=1)"


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mysql"])
def test_what_is_written_on_one_database_makes_the_same_columns_on_the_others(
    connection: sa.Connection, name: str
) -> None:
    metadata = sa.MetaData()
    models_zoo.types(metadata, name)
    script = generate(connection, metadata)
    made: list[sa.Table] = []

    class Op:
        """Stands for ``alembic.op``, and keeps the table."""

        def create_table(self, table: str, *items: Any) -> None:
            made.append(sa.Table(table, sa.MetaData(), *items))

        def f(self, text: str) -> str:
            return text

    dialects = {"postgresql": postgresql, "mysql": mysql}
    exec(script.upgrade, {"sa": sa, "op": Op(), "tests": sys.modules["tests"], **dialects})
    dialect = sa.make_url(f"{name}://").get_dialect()()
    assert _definitions(made[0], dialect) == _definitions(metadata.tables["types"], dialect)


def _definitions(table: sa.Table, dialect: sa.Dialect) -> dict[str, str]:
    return {column.name: column.type.compile(dialect=dialect) for column in table.columns}
