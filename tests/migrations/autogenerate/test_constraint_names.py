"""Every constraint of a generated script has a name, which nothing else has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from tests.migrations import models_zoo
from tests.migrations.catalogs import catalog
from tests.migrations.generating import differences, generate

from flask_retort.migrations.autogenerate.constraint_names import LONGEST, constraint_name

CONVENTION = {
    "uq": "unique_%(table_name)s_%(column_0_name)s",
    "ck": "check_%(table_name)s_%(constraint_name)s",
}


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    """An engine on an empty database of each kind."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """A connection to an empty database."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def pets(*more: Any, metadata: sa.MetaData | None = None) -> sa.MetaData:
    """Two tables, and what else the second is to have."""
    metadata = metadata or sa.MetaData()
    sa.Table("owners", metadata, sa.Column("id", sa.Integer, primary_key=True))
    columns = [sa.Column(name, sa.Integer) for name in ("a", "b", "owner_id")]
    sa.Table("pets", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns, *more)
    return metadata


def constraints() -> list[Any]:
    """One of each kind, without a name."""
    return [
        sa.UniqueConstraint("a", "b"),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"]),
        sa.CheckConstraint("a > 0"),
    ]


def test_all_constraints_of_a_new_table_are_named(connection: sa.Connection) -> None:
    script = generate(connection, pets(*constraints()))
    names = re.findall(r"op\.f\('(\w+)'\)", script.upgrade)
    assert set(names) >= {"pk_owners", "pk_pets", "uq_pets_a_b", "fk_pets_owner_id_owners"}
    [check] = [name for name in names if name.startswith("ck_")]
    assert re.fullmatch(r"ck_pets_[0-9a-f]{8}", check)


def test_the_models_keep_their_constraints_without_names(connection: sa.Connection) -> None:
    metadata = models_zoo.fill(sa.MetaData(), "sqlite")
    tables = metadata.tables.values()
    before = {c: c.name for table in tables for c in table.constraints}
    types = {column: repr(column.type) for table in tables for column in table.columns}
    generate(connection, metadata)
    assert {c: c.name for table in tables for c in table.constraints} == before
    assert {column: repr(column.type) for table in tables for column in table.columns} == types


def test_added_constraints_can_be_dropped_again(engine: sa.Engine) -> None:
    pets().create_all(engine)
    before = catalog(engine)
    metadata = pets(*constraints()[:2])
    with engine.begin() as connection:
        script = generate(connection, metadata)
        script.run(connection, "upgrade", {})
    with engine.connect() as connection:
        assert differences(connection, metadata) == []
    with engine.begin() as connection:
        script.run(connection, "downgrade", {})
    assert _names(catalog(engine)) == _names(before)
    with engine.begin() as connection:
        script.run(connection, "upgrade", {})


def test_a_convention_of_the_metadata_is_left_alone(connection: sa.Connection) -> None:
    metadata = sa.MetaData(naming_convention=CONVENTION)
    pets(sa.UniqueConstraint("a"), sa.CheckConstraint("a > 0", name="a"), metadata=metadata)
    script = generate(connection, metadata)
    assert "name=op.f('unique_pets_a')" in script.upgrade
    assert "name=op.f('check_pets_a')" in script.upgrade
    assert "name=op.f('pk_pets')" in script.upgrade  # of which it says nothing


def test_names_of_the_user_stay(connection: sa.Connection) -> None:
    script = generate(connection, pets(sa.UniqueConstraint("a", name="mine")))
    assert "sa.UniqueConstraint('a', name='mine')" in script.upgrade


def test_the_check_of_a_type_is_named_after_its_column(connection: sa.Connection) -> None:
    checked = sa.Boolean(create_constraint=True)
    script = generate(connection, pets(sa.Column("tame", checked)))
    assert "sa.Boolean(create_constraint=True, name='ck_pets_tame')" in script.upgrade
    pets().create_all(connection)
    script = generate(connection, pets(sa.Column("tame", checked)))
    assert "sa.Boolean(create_constraint=True, name='ck_pets_tame')" in script.upgrade
    assert checked.name is None


def test_constraints_that_sqlite_has_without_a_name_can_be_dropped(
    connection: sa.Connection,
) -> None:
    pets(*constraints()[:2]).create_all(connection)
    metadata = pets(constraints()[0])
    script = generate(connection, metadata)
    script.run(connection, "upgrade", {})
    assert sa.inspect(connection).get_foreign_keys("pets") == []
    script.run(connection, "downgrade", {})
    [key] = sa.inspect(connection).get_foreign_keys("pets")
    assert key["name"] == "fk_pets_owner_id_owners"
    script.run(connection, "upgrade", {})
    assert sa.inspect(connection).get_foreign_keys("pets") == []


@given(
    table=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=80),
    columns=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0."), min_size=1, max_size=80),
        min_size=1,
        max_size=3,
        unique=True,
    ),
)
def test_no_name_is_longer_than_the_engines_take(table: str, columns: list[str]) -> None:
    made = sa.Table(table, sa.MetaData(), *(sa.Column(name, sa.Integer) for name in columns))
    unique = sa.UniqueConstraint(*made.columns)
    made.append_constraint(unique)
    name = constraint_name(unique)
    assert name is not None
    assert len(name.encode()) <= LONGEST
    assert name == constraint_name(unique)


def test_names_that_are_shortened_stay_different() -> None:
    long = "x" * LONGEST
    table = sa.Table("t", sa.MetaData(), *(sa.Column(long + end, sa.Integer) for end in "ab"))
    names = set()
    for column in table.columns:
        table.append_constraint(unique := sa.UniqueConstraint(column))
        names.add(constraint_name(unique))
    assert len(names) == 2


def test_checks_of_one_table_have_different_names() -> None:
    column: sa.Column[int] = sa.Column("a", sa.Integer)
    checks = [sa.CheckConstraint(column > 0), sa.CheckConstraint(column > 1)]
    sa.Table("t", sa.MetaData(), column, *checks)
    assert len({constraint_name(check) for check in checks}) == 2


def _names(found: dict[str, Any]) -> Any:
    """The tables with their columns and the names of what they have."""
    return {
        name: [
            [column["name"] for column in table["columns"]],
            *([one["name"] for one in table[kind]] for kind in ("unique", "foreign keys")),
        ]
        for name, table in found.items()
        if name != "types"
    }
