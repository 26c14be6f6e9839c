"""Models with every kind of column, constraint and index that a project is likely to have."""

from __future__ import annotations

import decimal
import enum
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql


class Colour(enum.Enum):
    """Its values are not its names."""

    RED = "red"
    DARK_BLUE = "dark blue"


def values(members: type[enum.Enum]) -> list[str]:
    """What is stored of an enumeration, where it is not the names."""
    return [member.value for member in members]


class Lowered(sa.types.TypeDecorator[str]):
    """A type of the application's own over one of SQLAlchemy's."""

    impl = sa.String(40)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value.lower() if value is not None else None


class Guid(sa.types.TypeDecorator[uuid.UUID]):
    """A type of the application's own that is another type on each database."""

    impl = sa.CHAR(32)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.UUID())
        return dialect.type_descriptor(sa.CHAR(32))


class Money(sa.types.TypeDecorator[decimal.Decimal]):
    """A type of the application's own that takes arguments."""

    impl = sa.Numeric
    cache_ok = True


class Point(sa.types.UserDefinedType[str]):
    """A type of the application's own that SQLAlchemy knows nothing of."""

    cache_ok = True

    def __init__(self, srid: int = 0) -> None:
        self.srid = srid

    def get_col_spec(self, **kw: Any) -> str:
        return "VARCHAR(30)"


def generic_types() -> dict[str, sa.types.TypeEngine[Any]]:
    """The types that are there on every engine, by the name of their column."""
    return {**_plain_types(), **_further_types()}


def _plain_types() -> dict[str, sa.types.TypeEngine[Any]]:
    return {
        "big_integer": sa.BigInteger(),
        "small_integer": sa.SmallInteger(),
        "integer": sa.Integer(),
        "integer_variant": sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
        "boolean": sa.Boolean(),
        "boolean_checked": sa.Boolean(create_constraint=True),
        "boolean_named": sa.Boolean(create_constraint=True, name="is_named"),
        "date": sa.Date(),
        "datetime": sa.DateTime(),
        "datetime_zone": sa.DateTime(timezone=True),
        "time": sa.Time(),
        "time_zone": sa.Time(timezone=True),
        "timestamp": sa.TIMESTAMP(),
        "timestamp_zone": sa.TIMESTAMP(timezone=True),
        "interval": sa.Interval(),
        "interval_precise": sa.Interval(second_precision=3),
        "float": sa.Float(),
        "float_53": sa.Float(53),
        "float_24": sa.Float(24),
        "float_decimal": sa.Float(asdecimal=True),
        "double": sa.Double(),
        "double_precision": sa.DOUBLE_PRECISION(),
        "real": sa.REAL(),
        "numeric": sa.Numeric(),
        "numeric_10_2": sa.Numeric(10, 2),
        "numeric_float": sa.Numeric(8, 3, asdecimal=False),
        "decimal": sa.DECIMAL(12, 4),
    }


def _further_types() -> dict[str, sa.types.TypeEngine[Any]]:
    return {
        "char": sa.CHAR(7),
        "string_10": sa.String(10),
        "varchar": sa.VARCHAR(20),
        "unicode": sa.Unicode(30),
        "nchar": sa.NCHAR(4).with_variant(sa.CHAR(4), "postgresql"),
        "text": sa.Text(),
        "text_long": sa.Text(100_000).with_variant(sa.Text(), "postgresql"),
        "unicode_text": sa.UnicodeText(),
        "large_binary": sa.LargeBinary(),
        "large_binary_100": sa.LargeBinary(100),
        "pickle": sa.PickleType(),
        "pickle_long": sa.PickleType(impl=sa.LargeBinary(100_000)),
        "json": sa.JSON(),
        "json_variant": sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
        "uuid": sa.Uuid(),
        "uuid_text": sa.Uuid(native_uuid=False),
        "enum": sa.Enum("draft", "sent", name="zoo_state"),
        "enum_class": sa.Enum(Colour),
        "enum_values": sa.Enum(Colour, name="zoo_values", values_callable=values),
        "enum_text": sa.Enum("a", "bb", native_enum=False),
        "enum_text_checked": sa.Enum("a", "bb", native_enum=False, create_constraint=True),
        "enum_text_named": sa.Enum(
            Colour, native_enum=False, create_constraint=True, name="is_colour", length=20
        ),
        "enum_odd": sa.Enum("it's", "50%", "a:b", 'say "x"', name="zoo odd"),
        "enum_variant": sa.Enum("k", "l", name="zoo_variant")
        .with_variant(sa.String(3), "mysql")
        .with_variant(sa.String(3), "mariadb"),
        "lowered": Lowered(),
        "guid": Guid(),
        "money": Money(14, 2),
        "point": Point(4326),
    }


def _mysql_types() -> dict[str, sa.types.TypeEngine[Any]]:
    return {
        "tinyint_1": mysql.TINYINT(1),
        "tinyint": mysql.TINYINT(),
        "mediumint": mysql.MEDIUMINT(),
        "unsigned": mysql.INTEGER(unsigned=True),
        "unsigned_big": mysql.BIGINT(unsigned=True),
        "zerofill": mysql.INTEGER(5, zerofill=True, unsigned=True),
        "integer_11": mysql.INTEGER(11),
        "mediumtext": mysql.MEDIUMTEXT(),
        "longtext": mysql.LONGTEXT(),
        "tinytext": mysql.TINYTEXT(),
        "longblob": mysql.LONGBLOB(),
        "varbinary": sa.VARBINARY(16),
        "binary": sa.BINARY(16),
        "datetime_6": mysql.DATETIME(fsp=6),
        "timestamp_6": mysql.TIMESTAMP(fsp=6),
        "time_6": mysql.TIME(fsp=6),
        "double_10_2": mysql.DOUBLE(10, 2),
        "float_10_2": mysql.FLOAT(10, 2),
        "year": mysql.YEAR(),
        "set": mysql.SET("a", "b"),
        "enum_mysql": mysql.ENUM("p", "q"),
        "bit": mysql.BIT(8),
        "varchar_collated": mysql.VARCHAR(20, collation="utf8mb4_bin", charset="utf8mb4"),
        "string_collated": sa.String(20, collation="utf8mb4_bin"),
        "text_65k": sa.Text(65_535),
        "nvarchar": mysql.NVARCHAR(12),
    }


def engine_types(name: str) -> dict[str, sa.types.TypeEngine[Any]]:
    """The types of one engine alone, by the name of their column."""
    if name == "postgresql":
        return {
            "array": sa.ARRAY(sa.Integer()),
            "array_text": postgresql.ARRAY(sa.String(10)),
            "array_of_arrays": postgresql.ARRAY(sa.Integer(), dimensions=2),
            "array_enum": postgresql.ARRAY(sa.Enum("x", "y", name="zoo_member")),
            "jsonb": postgresql.JSONB(),
            "inet": postgresql.INET(),
            "cidr": postgresql.CIDR(),
            "macaddr": postgresql.MACADDR(),
            "bit": postgresql.BIT(3),
            "varbit": postgresql.BIT(5, varying=True),
            "money_pg": postgresql.MONEY(),
            "oid": postgresql.OID(),
            "tsvector": postgresql.TSVECTOR(),
            "hstore_less": postgresql.INT4RANGE(),
            "multirange": postgresql.TSTZMULTIRANGE(),
            "interval_fields": postgresql.INTERVAL(fields="DAY TO SECOND", precision=2),
            "timestamp_3": postgresql.TIMESTAMP(precision=3),
            "time_3": postgresql.TIME(precision=3),
            "enum_pg": postgresql.ENUM("u", "v", name="zoo_pg"),
            "text_collated": sa.Text(collation="C"),
            "uuid_pg": postgresql.UUID(as_uuid=False),
            "double_pg": sa.Float().with_variant(postgresql.DOUBLE_PRECISION(), "postgresql"),
        }
    if name in ("mysql", "mariadb"):
        return _mysql_types()
    return {
        "numeric_affinity": sa.NUMERIC(),
        "string_nocase": sa.String(20, collation="NOCASE"),
        "string": sa.String(),
        "blob": sa.BLOB(),
    }


def types(metadata: sa.MetaData, engine: str) -> sa.Table:
    """A table with a column of each type."""
    columns = {**generic_types(), **engine_types(engine)}
    return sa.Table(
        "types",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, type_) for name, type_ in columns.items()),
    )


def constraints(metadata: sa.MetaData, engine: str) -> None:
    """Tables whose constraints have no names, and what else a table can have."""
    sa.Table(
        "places",
        metadata,
        sa.Column("country", sa.String(2), primary_key=True),
        sa.Column("city", sa.String(50), primary_key=True),
        sa.Column("code", sa.String(10), unique=True),
        sa.Column("founded", sa.Integer, sa.CheckConstraint("founded > 0")),
        sa.CheckConstraint("code <> ''"),
        sa.CheckConstraint("founded < 3000", name="founded_before"),
        sa.UniqueConstraint("country", "code"),
        comment="Where people live: 100% of it",
    )
    owners = sa.Table(
        "owners",
        metadata,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("boss_id", sa.ForeignKey("owners.id", ondelete="SET NULL")),
        sa.Column("country", sa.String(2)),
        sa.Column("city", sa.String(50)),
        sa.Column("name", sa.String(80), index=True, comment="as they write it"),
        sa.Column("email", sa.String(80), unique=True, index=True, nullable=False),
        sa.Column("at", sa.DateTime, server_default=sa.func.now(), nullable=False),
        sa.Column("state", sa.String(10), server_default="new"),
        sa.Column("active", sa.Boolean, server_default=sa.true(), nullable=False),
        sa.Column("count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column(
            "twice", sa.Integer, sa.Computed("count * 2", persisted=engine == "postgresql" or None)
        ),
        sa.Column("kept", sa.Integer, sa.Computed("count * 3", persisted=True)),
        sa.ForeignKeyConstraint(
            ["country", "city"], ["places.country", "places.city"], onupdate="CASCADE"
        ),
        sa.Index("ix_owners_both", "country", "city"),
    )
    if engine == "postgresql":
        sa.Index("ix_owners_lower", sa.func.lower(owners.c.name))
    sa.Table(
        "a_table_whose_name_is_longer_than_most_people_would",
        metadata,
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner_with_a_rather_long_name_too", sa.ForeignKey("owners.id"), index=True),
        sa.Column("another_owner_with_a_rather_long_name", sa.ForeignKey("owners.id")),
        sa.UniqueConstraint("number", "owner_with_a_rather_long_name_too"),
    )
    if engine != "sqlite":
        sa.Table(
            "counted",
            metadata,
            sa.Column(
                "id",
                sa.Integer,
                *([sa.Identity(start=10)] if engine == "postgresql" else []),
                primary_key=True,
            ),
            sa.Column("word", sa.String(10)),
        )


def fill(metadata: sa.MetaData, engine: str) -> sa.MetaData:
    """The metadata with all of it, for the dialect of this name."""
    types(metadata, engine)
    constraints(metadata, engine)
    return metadata


def circle(metadata: sa.MetaData, *, use_alter: bool = True) -> sa.MetaData:
    """The metadata with two tables that reference each other, and one of them itself."""
    sa.Table(
        "users",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("home_id", sa.ForeignKey("addresses.id", use_alter=use_alter)),
    )
    sa.Table(
        "addresses",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.ForeignKey("users.id"), index=True),
        sa.Column("part_of_id", sa.ForeignKey("addresses.id")),
    )
    return metadata
