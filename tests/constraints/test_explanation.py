"""The error's words and values, from a real SQLite database each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

from flask_retort import errors
from flask_retort.constraints import Schema, translate
from flask_retort.constraints.diagnosis import Diagnosis
from flask_retort.constraints.explanation import explain
from flask_retort.constraints.statement import Sent

Disposed = Callable[[sa.Engine], sa.Engine]
OWN_FK = {"message": "must be one of our cities"}


class Base(orm.DeclarativeBase):
    pass


class City(Base):
    __tablename__ = "city"
    id: Mapped[int] = mapped_column(primary_key=True)
    twin_id: Mapped[int | None] = mapped_column(sa.ForeignKey("city.id"))


class Street(Base):
    __tablename__ = "street"
    __table_args__ = (
        sa.UniqueConstraint("city_id", "name", info={"message": "is in that city already"}),
        sa.Index("ix_code", "code", unique=True, info={"message": "is another street's"}),
        sa.CheckConstraint("length < 50", info={"message": "must be shorter than 50 km"}),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    city_id: Mapped[int | None] = mapped_column(sa.ForeignKey("city.id", info=OWN_FK))
    other_id: Mapped[int | None] = mapped_column(sa.ForeignKey("street.id"))
    code: Mapped[str | None]
    name: Mapped[str] = mapped_column(info={"messages": {"not-null": "must have a name"}})
    length: Mapped[int] = mapped_column(default=1)
    token: Mapped[str | None] = mapped_column(unique=True)
    photo: Mapped[bytes | None] = mapped_column(unique=True)


@pytest.fixture
def engine(disposed: Disposed) -> sa.Engine:
    return made(disposed(sa.create_engine("sqlite://")))


def made(engine: sa.Engine) -> sa.Engine:
    translate(engine, Schema.of(Base))

    @sa.event.listens_for(engine, "connect")
    def check_foreign_keys(connection: Any, record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all([City(id=1), City(id=2)])
        street = {"code": "a", "name": "Main", "token": "hush", "photo": b"x"}
        session.add(Street(id=1, city_id=1, other_id=None, **street))
        session.commit()
    return engine


def refusal(engine: sa.Engine, statement: Any, parameters: Any = None) -> Any:
    with engine.connect() as connection, pytest.raises(errors.StatementFailure) as info:
        connection.execute(statement, parameters)
    return info.value


def street(**values: object) -> sa.Insert:
    return sa.insert(Street).values({"id": 2, "name": "Side"} | values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"city_id": 1, "name": "Main"}, "is in that city already"),
        ({"code": "a"}, "is another street's"),
        ({"length": 99}, "must be shorter than 50 km"),
        ({"city_id": 9}, "must be one of our cities"),
        ({"name": None}, "must have a name"),
        ({"token": "hush"}, "is already taken"),
    ],
)
def test_the_developer_s_own_message(
    engine: sa.Engine, values: dict[str, object], reason: str
) -> None:
    """It stands beside the constraint, the foreign key, the index or the column."""
    assert refusal(engine, street(**values)).reason == reason


def test_the_message_for_the_developer(engine: sa.Engine) -> None:
    """Model and field, cause, what the database says, and what to write."""
    text = str(refusal(engine, street(code="a")))
    assert text.startswith("Street.code: another row has the same value already")
    assert "The database says 'UNIQUE constraint failed: street.code'." in text
    assert "Catch UniqueViolation" in text
    assert text.endswith("[retort:unique]")


@pytest.mark.parametrize("values", [{"token": "hush"}, {"photo": b"x"}])
def test_secrets_and_binary_values_are_not_carried(
    engine: sa.Engine, values: dict[str, object]
) -> None:
    """The field is named, and no more."""
    error = refusal(engine, street(**values))
    assert error.fields == tuple(values)
    assert error.value is None


def test_hidden_parameters_stay_hidden(disposed: Disposed) -> None:
    """``hide_parameters`` of the engine counts here too."""
    engine = made(disposed(sa.create_engine("sqlite://", hide_parameters=True)))
    error = refusal(engine, street(code="a"))
    assert (error.fields, error.value) == (("code",), None)
    assert error.hide_parameters


def test_the_value_is_of_the_row_that_was_written(engine: sa.Engine) -> None:
    """One of several rows, or a condition's value, is not taken for it."""
    assert refusal(engine, street(code="a")).value == "a"
    rows = [{"id": 2, "name": "b", "code": "b"}, {"id": 3, "name": "c", "code": "a"}]
    assert refusal(engine, sa.insert(Street), rows).value is None
    with engine.begin() as connection:
        connection.execute(street(code="b"))
    change = sa.update(Street).where(Street.code == "b").values(code="a")
    assert refusal(engine, change).value == "a"


@pytest.mark.parametrize(
    ("statement", "direction", "model", "fields"),
    [
        (street(city_id=9), "missing", Street, ("city_id",)),
        (street(other_id=9, city_id=1), "missing", Street, ()),
        (sa.update(Street).values(city_id=9), "missing", Street, ("city_id",)),
        (sa.text("UPDATE street SET city_id = 9"), None, Street, ()),
        (sa.insert(City).values(id=3, twin_id=9), "missing", City, ("twin_id",)),
        (sa.text("INSERT INTO city VALUES (3, 9)"), "missing", City, ("twin_id",)),
        (sa.update(City).where(City.id == 1).values(id=7), "referenced", City, ()),
        (sa.delete(City), "referenced", City, ()),
        (sa.text("UPDATE city SET id = id + 7"), None, City, ("twin_id",)),
    ],
)
def test_foreign_keys_of_which_sqlite_says_nothing(
    engine: sa.Engine,
    statement: Any,
    direction: str | None,
    model: type[Base],
    fields: tuple[str, ...],
) -> None:
    """The statement tells the direction, and the fields where only one foreign key can be meant."""
    error = refusal(engine, statement)
    assert isinstance(error, errors.ForeignKeyViolation)
    assert (error.direction, error.model, error.fields) == (direction, model, fields)


@pytest.mark.parametrize("found", [{"columns": ("token",)}, {"constraint": "uq_token"}])
@pytest.mark.parametrize("schema", [Schema(lambda: None), Schema.of(Base)])
def test_the_database_s_own_words_without_a_secret(schema: Schema, found: Any) -> None:
    """What it says is cut where it holds the value of a secret, whether the models know or not."""
    diagnosis = Diagnosis(errors.UniqueViolation, "'hush' for key 'token'", "key 'token'", **found)
    sent = Sent("INSERT", table_name="street")
    text = explain(diagnosis, sent, schema, mysql.dialect(), hide_values=False).message()
    assert "hush" not in text
    assert "The database says 'key 'token''." in text


def test_a_long_value_is_cut_out_of_the_database_s_words(engine: sa.Engine) -> None:
    """PostgreSQL repeats a key of any length."""
    found = Diagnosis(errors.UniqueViolation, "x" * 999, "short", columns=("code",))
    told = explain(found, Sent(), Schema.of(Base), mysql.dialect(), hide_values=False)
    assert "The database says 'short'." in told.message()


@pytest.mark.parametrize(
    ("key", "fields", "constraint"),
    [
        ("street.PRIMARY", ("id",), "PRIMARY"),
        ("street.ix_code", ("code",), "ix_code"),
        ("street.token", ("token",), "token"),
    ],
)
def test_the_keys_of_mysql(key: str, fields: tuple[str, ...], constraint: str) -> None:
    """MySQL 8 puts the table in front, MariaDB does not: here is what only MySQL says."""
    found = Diagnosis(errors.UniqueViolation, "(1062, ...)", constraint=key)
    sent = Sent("INSERT", table_name="street")
    told = explain(found, sent, Schema.of(Base), mysql.dialect(), hide_values=False)
    assert (told.about.model, told.about.fields) == (Street, fields)
    assert told.about.constraint == constraint


def test_a_table_that_the_models_do_not_have(engine: sa.Engine) -> None:
    """Its name and its columns are told as they are."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE log (n INTEGER UNIQUE)")
    error = refusal(engine, sa.text("INSERT INTO log VALUES (1), (1)"))
    assert (error.model, error.fields, error.about.table) == (None, ("n",), "log")
    assert str(error).startswith("log.n: ")


def test_a_table_with_a_dot_in_its_name(engine: sa.Engine) -> None:
    """SQLite puts another dot between table and column."""
    table = sa.Table("a.b.c", sa.MetaData(), sa.Column("d.e", sa.Integer, unique=True))
    insert = table.insert().values({"d.e": 1})
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert)
    for statement in (insert, sa.text('INSERT INTO "a.b.c" VALUES (1)')):
        with engine.connect() as connection, pytest.raises(errors.UniqueViolation) as raised:
            connection.execute(statement)
        assert raised.value.about.table == "a.b.c"
        assert raised.value.fields == ("d.e",)
