"""A generated change of type says how PostgreSQL converts the rows, where it has to be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.dialects import mysql
from tests.migrations.generating import Script, differences, generate

from flask_retort.migrations.autogenerate.type_casts import convert

Type = sa.types.TypeEngine[Any]
NAME = 'the "Value"'


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    """An engine on an empty database of each kind."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def table(type_: Type) -> sa.Table[Any]:
    """A table with a column of this type whose name needs quotes."""
    return sa.Table(
        "a",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(NAME, type_, key="value"),
    )


def change(engine: sa.Engine, old: sa.Table[Any], new: sa.Table[Any], value: Any) -> Script:
    """Generate the script between the two, run it up, down and up with a row; returns it."""
    old.create(engine)
    with engine.begin() as connection:
        connection.execute(old.insert().values(id=1, value=value))
        script = generate(connection, new.metadata)
    for direction in ("upgrade", "downgrade", "upgrade"):
        with engine.begin() as connection:
            script.run(connection, direction, {"mysql": mysql})
    with engine.connect() as connection:
        assert differences(connection, new.metadata) == []
        assert connection.scalar(sa.select(sa.func.count()).select_from(new)) == 1
    return script


def test_a_number_becomes_text_and_a_number_again(engine: sa.Engine) -> None:
    script = change(engine, table(sa.Integer()), table(sa.String(20)), 7)
    assert "postgresql_using" not in script.upgrade
    assert 'postgresql_using=\'"the ""Value"""::INTEGER\'' in script.downgrade


def test_text_becomes_a_number(engine: sa.Engine) -> None:
    script = change(engine, table(sa.String(20)), table(sa.Integer()), "7")
    assert "::INTEGER" in script.upgrade
    assert "postgresql_using" not in script.downgrade


def test_text_becomes_an_enum(engine: sa.Engine) -> None:
    letters = sa.Enum("x", "y", name="letter")
    script = change(engine, table(sa.String(20)), table(letters), "x")
    assert "::text::letter" in script.upgrade


def using(old: Type, new: Type, **kw: Any) -> str | None:
    """What is said of the change of a column ``c``."""
    op = ops.AlterColumnOp("a", "c", existing_type=old, modify_type=new, **kw)
    container = ops.UpgradeOps([ops.ModifyTableOps("a", [op])])
    convert(container)
    (change,) = container.ops
    assert isinstance(change, ops.ModifyTableOps)
    (changed,) = change.ops
    assert isinstance(changed, ops.AlterColumnOp)
    found: str | None = changed.kw.get("postgresql_using")
    return found


AUTOMATIC: list[tuple[Type, Type]] = [
    (sa.Integer(), sa.BigInteger()),
    (sa.Numeric(8, 2), sa.Double()),
    (sa.Float(), sa.Integer()),
    (sa.String(5), sa.Text()),
    (sa.String(5), sa.String(9)),
    (sa.Uuid(), sa.String(36)),
    (sa.Enum("x", name="e"), sa.Enum("x", "y", name="e")),
    (mysql.ENUM("x"), sa.Enum("x", "y", name="e")),
]


@pytest.mark.parametrize(("old", "new"), AUTOMATIC)
def test_what_postgresql_does_by_itself_is_left_to_it(old: Type, new: Type) -> None:
    assert using(old, new) is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (sa.Boolean(), sa.Integer(), "c::INTEGER"),
        (sa.Text(), sa.Date(), "c::DATE"),
        (sa.String(36), sa.Uuid(), "c::UUID"),
        (sa.Text(), sa.ARRAY(sa.Text()), "c::TEXT[]"),
        (sa.Enum("x", name="e"), sa.Enum("x", name="f"), "c::text::f"),
    ],
)
def test_what_postgresql_refuses_is_said(old: Type, new: Type, expected: str) -> None:
    assert using(old, new) == expected


def test_what_the_user_says_stays() -> None:
    said = "c::int + 1"
    assert using(sa.Text(), sa.Integer(), postgresql_using=said) == said
