"""PostgreSQL's enumeration types come and go with the columns that use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from tests.migrations.catalogs import catalog
from tests.migrations.generating import differences, generate


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    """An engine on an empty database of each kind."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def postgres(postgresql_url: sa.URL) -> Iterator[sa.Engine]:
    """An engine on an empty PostgreSQL database."""
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def state(**kw: Any) -> sa.Enum:
    """A new type, of one name, as each model may write it for itself."""
    return sa.Enum("draft", "it's", "a:b", "50%", name="state", **kw)


def tables(**columns: list[sa.types.TypeEngine[Any]]) -> sa.MetaData:
    """Metadata with tables by name, each with columns of these types."""
    metadata = sa.MetaData()
    for table, types in columns.items():
        made = [sa.Column(f"c{number}", type_) for number, type_ in enumerate(types)]
        sa.Table(table, metadata, sa.Column("id", sa.Integer, primary_key=True), *made)
    return metadata


def migrate(engine: sa.Engine, metadata: sa.MetaData) -> str:
    """Generate a script, run it up, down and up; returns its text."""
    before = catalog(engine)
    with engine.connect() as connection:
        script = generate(connection, metadata)
    namespace = {"postgresql": postgresql, "mysql": mysql}
    made: list[Any] = []
    for direction in ("upgrade", "downgrade", "upgrade"):
        with engine.begin() as connection:
            script.run(connection, direction, namespace)
        made.append(catalog(engine))
    assert made[1] == before
    assert made[2] == made[0]
    with engine.connect() as connection:
        assert differences(connection, metadata) == []
    return f"{script.upgrade}\n{script.downgrade}"


def types(engine: sa.Engine) -> list[str]:
    """The names of the enumeration types that the database has."""
    return [one["name"] for one in catalog(engine)["types"]]


def test_a_type_comes_and_goes_with_its_table(engine: sa.Engine) -> None:
    text = migrate(engine, tables(a=[state()]))
    assert "DROP TYPE state" in text  # on every engine: the history may be run on PostgreSQL later
    assert "CREATE TYPE" not in text


def test_a_type_comes_and_goes_with_an_added_column(engine: sa.Engine) -> None:
    migrate(engine, tables(a=[]))
    text = migrate(engine, tables(a=[state()]))
    assert text.count("CREATE TYPE") == text.count("DROP TYPE") == 1


def test_tables_of_one_script_share_a_type(engine: sa.Engine) -> None:
    migrate(engine, tables(a=[state(), state()], b=[state()]))


def test_a_type_that_other_tables_use_is_neither_created_nor_dropped(engine: sa.Engine) -> None:
    migrate(engine, tables(a=[state()]))
    text = migrate(engine, tables(a=[state(), state()], b=[state()]))
    assert "TYPE" not in text
    assert "create_type=False" in text


def test_a_type_goes_with_its_last_column(postgres: sa.Engine) -> None:
    migrate(postgres, tables(a=[state()], b=[state()]))
    migrate(postgres, tables(a=[], b=[state()]))
    assert types(postgres) == ["state"]
    migrate(postgres, tables(a=[]))
    assert types(postgres) == []


def test_a_type_goes_with_the_last_column_of_a_table_that_stays(postgres: sa.Engine) -> None:
    migrate(postgres, tables(a=[state()]))
    migrate(postgres, tables(a=[]))
    assert types(postgres) == []


def test_the_type_of_an_array_or_a_decorator_is_one_of_them(postgres: sa.Engine) -> None:
    class Wrapped(sa.types.TypeDecorator[str]):
        impl = sa.Enum("x", "y", name="wrapped")
        cache_ok = True

    migrate(postgres, tables(a=[postgresql.ARRAY(state()), Wrapped()]))
    assert types(postgres) == ["state", "wrapped"]
    migrate(postgres, tables(a=[postgresql.ARRAY(state()), Wrapped()], b=[Wrapped(), state()]))
    migrate(postgres, sa.MetaData())
    assert types(postgres) == []


def test_a_type_that_is_there_for_postgresql_only_is_one_of_them(engine: sa.Engine) -> None:
    variant = sa.String(5).with_variant(state(), "postgresql")
    migrate(engine, tables(a=[variant, state().with_variant(sa.String(5), "mysql")]))
    migrate(engine, tables(a=[variant, state().with_variant(sa.String(5), "mysql")], b=[variant]))


def test_a_type_that_the_user_manages_is_left_alone(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        script = generate(connection, tables(a=[state(create_type=False)]))
    assert "TYPE" not in script.upgrade + script.downgrade


def test_text_columns_and_checked_ones_have_no_type(engine: sa.Engine) -> None:
    text = migrate(engine, tables(a=[sa.Enum("x", "y", native_enum=False), sa.String(3)]))
    assert "TYPE" not in text


def test_a_type_in_a_schema_is_created_there(postgres: sa.Engine) -> None:
    with postgres.begin() as connection:
        connection.execute(sa.schema.CreateSchema("far"))
    migrate(postgres, tables(a=[]))
    metadata = tables(a=[state(schema="far")])
    with postgres.begin() as connection:
        script = generate(connection, metadata)
        assert "CREATE TYPE far.state" in script.upgrade
        for direction in ("upgrade", "downgrade", "upgrade"):
            script.run(connection, direction, {})


def test_a_new_label_neither_creates_nor_drops_the_type(mysql_url: sa.URL) -> None:
    engine = sa.create_engine(mysql_url, poolclass=sa.NullPool)
    migrate(engine, tables(a=[sa.Enum("x", "y", name="letter")]))
    text = migrate(engine, tables(a=[sa.Enum("x", "y", "z", name="letter")]))
    engine.dispose()
    assert "alter_column" in text
    assert "TYPE" not in text


def test_a_text_that_becomes_an_enum_creates_the_type(engine: sa.Engine) -> None:
    migrate(engine, tables(a=[sa.String(30)]))
    text = migrate(engine, tables(a=[state()]))
    assert text.count("CREATE TYPE") == text.count("DROP TYPE") == 1
