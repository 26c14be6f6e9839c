"""From the names that a database gives to the constraint and columns of the metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from flask_retort import errors
from flask_retort.constraints import Schema, translate

Disposed = Callable[[sa.Engine], sa.Engine]
CONVENTION = {
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(column_0_N_label)s",
}
LONG = "a_long_name_of_a_column_that_goes_on_and_on_and_on"
MakeTable = Callable[..., sa.Table[Any]]


@pytest.fixture
def made(database_url: sa.URL, disposed: Disposed) -> Callable[[sa.Table[Any]], sa.Engine]:
    """Creates a table and hands back an engine that knows it."""

    def make(table: sa.Table[Any]) -> sa.Engine:
        engine = disposed(sa.create_engine(database_url))
        translate(engine, Schema.of(table.metadata))
        table.metadata.create_all(engine)
        return engine

    return make


def refusal(
    engine: sa.Engine, table: sa.Table[Any], *rows: dict[str, Any]
) -> errors.StatementFailure:
    with engine.connect() as connection:
        for row in rows[:-1]:
            connection.execute(sa.insert(table).values(row))
        with pytest.raises(errors.StatementFailure) as info:
            connection.execute(sa.insert(table).values(rows[-1]))
    return info.value


Made = Callable[[sa.Table[Any]], sa.Engine]


@pytest.mark.parametrize(
    "name",
    ["it's", 'a "b"', "100 %s", "Größe, in cm", "x" * 63, "tab.le.co.lumn", "uq (a)=(b)", "a`b"],
)
def test_hostile_names(made: Made, name: str) -> None:
    """Quotes, blanks, percent signs, dots, other alphabets and the longest names are read back."""
    table = sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(f"c{name}"[:60], sa.Integer, nullable=False),
        sa.UniqueConstraint(f"c{name}"[:60], name=f"u{name}"[:63]),
    )
    column = list(table.columns)[1]
    engine = made(table)
    rows = ({"id": key, column.key: 1} for key in (1, 2))
    error = refusal(engine, table, *rows)
    assert isinstance(error, errors.UniqueViolation)
    assert str(error).endswith("[retort:unique]")
    # SQLite's message is a list with commas and dots.
    if engine.dialect.name != "sqlite" or not {",", "."} & {*name}:
        assert (error.about.table, error.fields) == (name, (column.name,))
        assert (error.constraint, error.value) == (f"u{name}"[:63], 1)


def test_names_of_a_convention_that_are_too_long(made: Made) -> None:
    """SQLAlchemy shortens them with a hash, as each dialect can have them."""
    table = sa.Table(
        "t" * 20,
        sa.MetaData(naming_convention=CONVENTION),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(LONG, sa.Integer, unique=True),
        sa.Column("n", sa.Integer),
        sa.Column("m", sa.Integer),
        sa.CheckConstraint("n > 0", name="is_more_than_nothing"),
        sa.CheckConstraint("m < 100", name="small"),
    )
    engine = made(table)
    assert refusal(engine, table, {"id": 1, LONG: 1}, {"id": 2, LONG: 1}).fields == (LONG,)
    assert refusal(engine, table, {"id": 1, "n": 0}).fields == ("n",)
    error = refusal(engine, table, {"id": 1, "m": 100})
    assert (error.fields, error.constraint) == (("m",), f"ck_{'t' * 20}_small")


def test_a_unique_index_of_an_expression(made: Made, database_url: sa.URL) -> None:
    """The column in the expression is the field; also where only some rows are indexed."""
    if database_url.get_backend_name() == "mysql":
        pytest.skip("MariaDB has no indexes of expressions")
    table = sa.Table(
        "users",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("email", sa.String(20)),
        sa.Column("gone", sa.Boolean, nullable=False, default=False),
    )
    where = table.c.gone == sa.false()
    partial = {"postgresql_where": where, "sqlite_where": where}
    sa.Index("ix_email", sa.func.lower(table.c.email), unique=True, **partial)  # type: ignore[arg-type]
    error = refusal(made(table), table, {"id": 1, "email": "A"}, {"id": 2, "email": "a"})
    assert (error.fields, error.constraint) == (("email",), "ix_email")


def test_two_unnamed_constraints_that_begin_alike(made: Made) -> None:
    """Where only the first column's name is told, and two fit, none is invented."""
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("a", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("b", sa.Integer),
        sa.Column("c", sa.Integer),
        sa.UniqueConstraint("b", "c"),
        sa.UniqueConstraint("b", "a"),
    )
    error = refusal(made(table), table, {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 1, "c": 1})
    assert error.fields in (("b", "c"), ())
    assert error.about.table == "t"


class Moment(sa.types.TypeDecorator[Any]):
    """A type whose values the database writes in its own way."""

    impl = sa.String(20)
    cache_ok = True


def tenants(type_: Any) -> sa.Table[Any]:
    return sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Integer),
        sa.Column("email", type_),
        sa.Column("slug", sa.String(20)),
        sa.UniqueConstraint("tenant", "email"),
        sa.UniqueConstraint("tenant", "slug"),
        sa.UniqueConstraint("tenant", "id", name="uq_named"),
    )


FIRST = {"id": 1, "tenant": 1, "email": "a-b", "slug": "c"}


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"email": "a-b", "slug": "new"}, ("tenant", "email")),
        ({"email": "new", "slug": "c"}, ("tenant", "slug")),
        ({"email": None, "slug": "c"}, ("tenant", "slug")),
    ],
)
def test_the_values_tell_of_unnamed_constraints_that_begin_alike(
    made: Made, row: dict[str, Any], fields: tuple[str, ...]
) -> None:
    """MariaDB names them after the first column, and says which values are there already."""
    table = tenants(sa.String(20))
    assert refusal(made(table), table, FIRST, {"id": 2, "tenant": 1} | row).fields == fields


@pytest.mark.parametrize(
    ("type_", "row", "field"),
    [
        (sa.String(20), {"email": "a-b", "slug": "a-b"}, "email"),  # both give the same entry
        (Moment(), {"email": "new", "slug": "c"}, "slug"),  # what is written of it is not known
    ],
)
def test_values_that_tell_nothing_for_certain(
    made: Made, type_: Any, row: dict[str, Any], field: str
) -> None:
    """No field is named on MariaDB, which leaves no more to go by."""
    table = tenants(type_)
    error = refusal(engine := made(table), table, FIRST, {"id": 2, "tenant": 1} | row)
    assert error.fields == {"mysql": ()}.get(engine.dialect.name, ("tenant", field))


def test_a_number_that_the_models_do_not_explain(mysql_url: sa.URL, disposed: Disposed) -> None:
    """Another key of the same first column is in the database only: it is none of the models'."""
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("a", sa.Integer),
        sa.Column("b", sa.Integer),
        sa.Column("c", sa.Integer),
        sa.UniqueConstraint("a", "b"),
    )
    engine = disposed(sa.create_engine(mysql_url))
    translate(engine, Schema.of(table.metadata))
    table.create(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE t ADD UNIQUE (a, c)")
    first = {"id": 1, "a": 1, "b": 1, "c": 1}
    error = refusal(engine, table, first, first | {"id": 2, "b": 2})
    assert (error.fields, error.constraint, error.about.table) == ((), "a_2", "t")
    error = refusal(engine, table, first, first | {"id": 2, "c": 2})
    assert (error.fields, error.constraint) == (("a", "b"), "a")


def test_a_name_that_was_never_given_in_the_database(made: Made) -> None:
    """The table is older than the names in the models: the server's own names are known."""
    columns = sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Integer, unique=True)
    engine = made(sa.Table("t", sa.MetaData(), *columns))
    table = sa.Table(
        "t",
        sa.MetaData(naming_convention=CONVENTION | {"pk": "pk_%(table_name)s"}),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("a", sa.Integer, unique=True),
    )
    translate(engine, Schema.of(table.metadata))
    assert refusal(engine, table, {"id": 1, "a": 1}, {"id": 2, "a": 1}).fields == ("a",)
    assert refusal(engine, table, {"id": 1, "a": 1}, {"id": 1, "a": 2}).fields == ("id",)


def test_unnamed_checks_beside_each_other(made: Made) -> None:
    """PostgreSQL names that of one column after it, and that of several after the table."""
    table = sa.Table(
        "line",
        sa.MetaData(),
        sa.Column("qty", sa.Integer),
        sa.Column("most", sa.Integer),
        sa.CheckConstraint("qty > 0"),
        sa.CheckConstraint("qty <> 5"),
        sa.CheckConstraint("qty < most"),
    )
    engine = made(table)
    unknown = {"mysql": ()}  # numbered only: CONSTRAINT_1
    for qty, fields in ((0, ("qty",)), (5, ("qty",)), (11, ("qty", "most"))):
        error = refusal(engine, table, {"qty": qty, "most": 10})
        assert error.fields == unknown.get(engine.dialect.name, fields)


def test_a_column_of_the_table_s_own_name(mysql_url: sa.URL, disposed: Disposed) -> None:
    """MariaDB calls its check of a JSON column ``table.column``."""
    table = sa.Table(
        "payload",
        sa.MetaData(),
        sa.Column("n", sa.Integer),
        sa.Column("payload", sa.JSON),
        sa.Column("body_check", sa.JSON),
        sa.CheckConstraint("n > 0"),
    )
    engine = disposed(sa.create_engine(mysql_url))
    translate(engine, Schema.of(table.metadata))
    table.create(engine)
    for column in ("payload", "body_check"):
        with engine.connect() as connection, pytest.raises(errors.CheckViolation) as info:
            connection.exec_driver_sql(f"INSERT INTO payload ({column}) VALUES ('none')")
        assert (info.value.fields, info.value.constraint) == ((column,), f"payload.{column}")


def test_an_unnamed_check_of_two_columns(made: Made) -> None:
    """Each database has a name or a text of its own for it."""
    table = sa.Table(
        "spans",
        sa.MetaData(),
        sa.Column("starts", sa.Integer),
        sa.Column("ends", sa.Integer),
        sa.Column("kind", sa.String(9)),
        sa.CheckConstraint("kind <> 'ends' AND starts < ends OR kind IS NULL"),
    )
    row = {"starts": 2, "ends": 1, "kind": "x"}
    assert refusal(made(table), table, row).fields == ("kind", "starts", "ends")


def test_a_key_of_a_table_that_a_trigger_writes(mysql_url: sa.URL, disposed: Disposed) -> None:
    """MariaDB names the key only: it is not taken for one of the statement's table."""
    metadata = sa.MetaData()
    table = sa.Table(
        "item",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("code", sa.Integer, unique=True),
    )
    sa.Table("log", metadata, sa.Column("pin", sa.Integer), sa.UniqueConstraint("pin", name="uq_p"))
    engine = disposed(sa.create_engine(mysql_url))
    translate(engine, Schema.of(metadata))
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER t AFTER INSERT ON item FOR EACH ROW INSERT INTO log VALUES (4711)"
        )
    error = refusal(engine, table, {"id": 1, "code": 1}, {"id": 2, "code": 2})
    assert isinstance(error, errors.UniqueViolation)
    assert (error.about.table, error.fields, error.constraint) == (None, (), "uq_p")
    assert error.value is None
    assert "4711" not in str(error.args[0])
    assert refusal(engine, table, {"id": 1, "code": 1}, {"id": 1, "code": 2}).about.table == "item"


def test_a_constraint_that_the_models_do_not_know(made: Made) -> None:
    """Its name is the database's, and the columns are told where the database tells."""
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("n", sa.Integer))
    engine = made(table)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE UNIQUE INDEX secretly ON t (n)")
    error = refusal(engine, table, {"id": 1, "n": 1}, {"id": 2, "n": 1})
    assert error.constraint == {"sqlite": None}.get(engine.dialect.name, "secretly")
    assert error.fields == {"mysql": ()}.get(engine.dialect.name, ("n",))


def test_a_name_that_postgresql_has_cut(postgresql_url: sa.URL, disposed: Disposed) -> None:
    """SQLAlchemy counts 63 characters, and the server keeps 63 bytes."""
    name = "ü" * 40
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("n", sa.Integer),
        sa.UniqueConstraint("n", name=name, info={"message": "is there"}),
    )
    engine = disposed(sa.create_engine(postgresql_url))
    translate(engine, Schema.of(table.metadata))
    table.create(engine)
    error = refusal(engine, table, {"n": 1}, {"n": 1})
    assert error.constraint == "ü" * 31
    assert error.reason == "is there"
