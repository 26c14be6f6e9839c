"""Types that are the same are equal, and those that are not are found."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from tests.migrations.generating import differences

Type = sa.types.TypeEngine[Any]

REAL_CHANGES: list[tuple[Type, Type]] = [
    (sa.String(10), sa.String(20)),
    (sa.String(20), sa.String(10)),
    (sa.String(10), sa.Text()),
    (sa.Text(), sa.String(10)),
    (sa.Integer(), sa.String(20)),
    (sa.Integer(), sa.BigInteger()),
    (sa.SmallInteger(), sa.Integer()),
    (sa.Text(), sa.JSON()),
    (sa.JSON(), sa.Text()),
    (sa.Boolean(), sa.Integer()),
    (sa.Integer(), sa.Boolean()),
    (sa.DateTime(), sa.Date()),
    (sa.Numeric(10, 2), sa.Numeric(12, 2)),
    (sa.Numeric(10, 2), sa.Numeric(10, 4)),
    (sa.Numeric(10, 2), sa.Numeric(10)),
    (sa.Numeric(10, 2), sa.Integer()),
    (sa.Float(), sa.Numeric(10, 2)),
    (sa.Float(), sa.Integer()),
    (sa.LargeBinary(), sa.Text()),
    (sa.Uuid(native_uuid=False), sa.String(36)),
    (sa.CHAR(5), sa.CHAR(6)),
    (sa.Enum("a", "b", native_enum=False), sa.Enum("a", "long", native_enum=False)),
]

CHANGES_OF_ONE: dict[str, list[tuple[Type, Type]]] = {
    "sqlite": [
        (sa.String(), sa.String(10)),
        (sa.Numeric(), sa.Numeric(10, 2)),
        (sa.Text(), sa.DOUBLE_PRECISION()),
    ],
    "postgresql": [
        (sa.String(), sa.String(10)),
        (sa.Numeric(), sa.Numeric(10, 2)),
        (sa.DateTime(), sa.DateTime(timezone=True)),
        (sa.DateTime(), postgresql.TIMESTAMP(precision=3)),
        (sa.Interval(), sa.Interval(second_precision=3)),
        (sa.Double(), sa.Float(24)),
        (sa.REAL(), sa.Float(53)),
        (sa.JSON(), postgresql.JSONB()),
        (postgresql.ARRAY(sa.Integer()), sa.Integer()),
        (sa.Integer(), postgresql.ARRAY(sa.Integer())),
        (postgresql.ARRAY(sa.String(10)), postgresql.ARRAY(sa.String(20))),
        (sa.String(10), sa.Enum("a", "b", name="letter")),
    ],
    "mysql": [
        (sa.Integer(), mysql.INTEGER(unsigned=True)),
        (sa.DateTime(), mysql.DATETIME(fsp=6)),
        (sa.Text(), sa.Text(100_000)),
        (sa.Text(100_000), sa.Text(100)),
        (sa.LargeBinary(100), sa.LargeBinary(100_000)),
        (sa.Float(), sa.Float(53)),
        (sa.Double(), sa.Float(24)),
        (sa.String(4), sa.NCHAR(4)),
        (sa.NCHAR(4), sa.NCHAR(5)),
        (mysql.ENUM("a"), mysql.ENUM("a", "b")),
    ],
}


@pytest.fixture
def engine(database_url: sa.URL) -> Any:
    """An engine on an empty database of each kind."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def test_every_change_of_type_that_the_database_can_tell_is_found(engine: sa.Engine) -> None:
    changes = REAL_CHANGES + CHANGES_OF_ONE[engine.dialect.name]
    before, after = sa.MetaData(), sa.MetaData()
    for number, pair in enumerate(changes):
        for metadata, type_ in zip((before, after), pair, strict=True):
            sa.Table(f"t{number}", metadata, sa.Column("c", type_))
    before.create_all(engine)
    with engine.connect() as connection:
        found = {one[2] for one in differences(connection, after) if one[0] == "modify_type"}
    missed = [pair for number, pair in enumerate(changes) if f"t{number}" not in found]
    assert missed == []


def test_a_change_of_nullable_is_found_beside_an_unchanged_type(engine: sa.Engine) -> None:
    before, after = sa.MetaData(), sa.MetaData()
    sa.Table("t", before, sa.Column("c", sa.Float(53)))
    sa.Table("t", after, sa.Column("c", sa.Float(53), nullable=False))
    before.create_all(engine)
    with engine.connect() as connection:
        assert [one[0] for one in differences(connection, after)] == ["modify_nullable"]


def test_a_length_that_the_model_leaves_open_is_no_change(engine: sa.Engine) -> None:
    before, after = sa.MetaData(), sa.MetaData()
    sa.Table("t", before, sa.Column("c", sa.Numeric(10, 2)))
    sa.Table("t", after, sa.Column("c", sa.Numeric()))
    before.create_all(engine)
    with engine.connect() as connection:
        assert differences(connection, after) == []


def test_alembic_says_what_changes(engine: sa.Engine, caplog: pytest.LogCaptureFixture) -> None:
    before, after = sa.MetaData(), sa.MetaData()
    sa.Table("t", before, sa.Column("c", sa.String(128)))
    sa.Table("t", after, sa.Column("c", sa.String(10)))
    before.create_all(engine)
    with engine.connect() as connection, caplog.at_level("INFO"):
        differences(connection, after)
    assert (
        "Detected type change from VARCHAR(length=128) to String(length=10) on 't.c'"
        in caplog.messages
    )


def test_a_name_that_sqlite_does_not_know_is_read_by_its_affinity() -> None:
    class Odd(sa.types.UserDefinedType[str]):
        cache_ok = True

        def get_col_spec(self, **kw: Any) -> str:
            return "GEOGRAPHY"

    engine = sa.create_engine("sqlite://")
    metadata = sa.MetaData()
    sa.Table("t", metadata, sa.Column("c", Odd()))
    metadata.create_all(engine)
    with engine.connect() as connection:
        assert differences(connection, metadata) == []
    engine.dispose()
