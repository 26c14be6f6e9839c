"""What the guard against values in SQL text says, and that each statement is looked at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import request
from sqlalchemy import text
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy
from flask_retort.errors import GuardError
from flask_retort.guards import sql_literal, string_templates

from .collection import Shop
from .models import Post, User

SECRET = "hunter2"


def refused(shop: Shop, statement: Any) -> str:
    with shop.push(), pytest.raises(GuardError) as raised:
        shop.db.session.execute(statement)
    return str(raised.value)


def by_name(name: str) -> str:
    return f"select * from user where name = '{name}'"


def test_message(shop: Shop) -> None:
    """It names the place and writes the statement with a parameter, without the value."""
    message = refused(shop, text(by_name(SECRET)))
    assert message.startswith("The value of name was put into a statement's text, at ")
    assert "test_sql_literal.py:" in message
    assert """text("select * from user where name = :name"), {"name": name}""" in message
    assert "db.allow('sql-literal', 'tests.guards.test_sql_literal.by_name', reason=" in message
    assert message.endswith("[retort:sql-literal]")
    assert SECRET not in message


def bound(shop: Shop, statement: Any) -> str:
    found = re.search(r"Bind it: (.*)\. Allow it", refused(shop, statement))
    assert found is not None
    return found[1]


def test_exec_driver_sql(shop: Shop) -> None:
    """It takes no ``text()``, so the message names the method that does."""
    with shop.push(), pytest.raises(GuardError) as raised:
        shop.db.session.connection().exec_driver_sql(by_name(SECRET))
    assert (
        """connection.execute(text("select * from user where name = :name"), {"name": name})"""
    ) in str(raised.value)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda days: f"select now() - interval '{days} days'",
            'CAST(:days AS interval)"), {"days": f"{days} days"}',
        ),
        (lambda day: f"select DATE '{day}'", 'CAST(:day AS DATE)"), {"day": day}'),
        (lambda day: f"select '{day}'::date", 'CAST(:day AS date)"), {"day": day}'),
        (lambda n: f"select {n}::numeric(8, 2)", 'CAST(:n AS numeric(8, 2))"), {"n": n}'),
    ],
)
def test_typed_literals_run_as_proposed(
    postgresql_url: sa.URL, make_app: MakeApp, make: Any, line: str
) -> None:
    """``date :day`` and ``:day::date`` would be a syntax error."""
    value: Any = "2026-11-21" if "day)" in line or "day}" in line else 7
    app = make_app(SQLALCHEMY_DATABASE_URI=postgresql_url, RETORT_GUARDS="raise")
    db = SQLAlchemy(app)
    with app.app_context():
        with pytest.raises(GuardError) as raised:
            db.session.execute(text(make(value)))
        message = str(raised.value)
        assert line in message
        found = re.search(r"Bind it: (.*)\. Allow it", message)
        assert found is not None
        name = make.__code__.co_varnames[0]
        statement, parameters = eval(found[1], {"text": text, name: value})
        assert db.session.execute(statement, parameters).scalar_one() is not None


def test_list(shop: Shop) -> None:
    """A list that was joined is bound as a list."""

    def by_ids(ids: list[int]) -> str:
        return "select * from user where id in (%s)" % ", ".join(map(str, ids))  # noqa: UP031 - the older form

    assert bound(shop, text(by_ids([71, 72]))) == (
        'text("select * from user where id in :ids")'
        '.bindparams(bindparam("ids", expanding=True)), {"ids": ids}'
    )


def test_equal_names(shop: Shop) -> None:
    """Two values of one name have two parameters."""

    def between(low: User, high: User) -> str:
        return f"select * from user where id > {low.id} and id < {high.id}"

    assert bound(shop, text(between(User(id=71), User(id=79)))) == (
        'text("select * from user where id > :id and id < :id_2"), {"id": low.id, "id_2": high.id}'
    )


def test_part_of_a_value(shop: Shop) -> None:
    """What stands around the value in its quotes goes with it; a table's name stays."""

    def like(table: str, word: str) -> str:
        return f"select * from {table} where name like '%{word}%'"

    assert bound(shop, text(like("user", "zz"))) == (
        'text(f"select * from {table} where name like :word"), {"word": f"%{word}%"}'
    )


def test_part_of_a_statement(shop: Shop) -> None:
    """A part is written as it was: alone, or in text that is put together."""

    def titled(title: str) -> Any:
        return sa.select(Post).where(text(f"title = '{title}'"))

    assert bound(shop, titled("zz")) == 'text("title = :title").params(title=title)'

    def search(least: int) -> str:
        sql = "select * from product where 1 = 1"
        sql += f" and stock >= {least}"
        return sql

    assert bound(shop, text(search(77))) == (
        '"and stock >= :least", and give the statement the parameters {"least": least}'
    )


def test_what_is_written_works(shop: Shop) -> None:
    """The lines that the messages give do what the statements did."""
    name, word, ids = "ada", "da", [1, 2]
    names = "select name from user where"
    with shop.push():
        scalars = shop.db.session.scalars
        assert scalars(text(f"{names} name = :name"), {"name": name}).all() == ["ada"]
        assert scalars(text(f"{names} name like :word"), {"word": f"%{word}%"}).all() == ["ada"]
        listed = text(f"{names} id in :ids").bindparams(sa.bindparam("ids", expanding=True))
        assert scalars(listed, {"ids": ids}).all() == ["ada", "bob"]
        users = sa.select(User.name).where(text("name = :name").params(name=name))
        assert scalars(users).all() == ["ada"]


def test_input(shop: Shop) -> None:
    """Text that the client has sent is found where it is no value, as in ORDER BY."""

    @shop.app.get("/users")
    def users() -> list[str]:
        return [*shop.db.session.scalars(sa.select(User.name).order_by(text(request.args["by"])))]

    with pytest.raises(GuardError, match=r"request.args\['by'\], which the client chooses"):
        shop.client.get("/users?by=email")


def test_each_time(shop: Shop) -> None:
    """The second run of a statement that SQLAlchemy knows already is found like the first."""
    for _ in range(2):
        refused(shop, text(by_name(SECRET)))


def test_the_session_is_usable_afterwards(shop: Shop) -> None:
    """Nothing was sent, so nothing is broken."""
    with shop.push():
        shop.db.session.add(User(name="eve", email="eve@example.com"))
        shop.db.session.flush()
        with pytest.raises(GuardError):
            shop.db.session.execute(text(by_name(SECRET)))
        shop.db.session.commit()
        assert shop.db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 3


def test_harmless_texts_are_compared_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant costs a comparison the first time; a module is read once."""
    searched: list[str] = []
    files: list[str] = []
    search, read = sql_literal._Search, string_templates.read

    def noted_search(sql: Any, *rest: Any) -> Any:
        searched.append(sql.text)
        return search(sql, *rest)

    def noted_read(filename: str, namespace: Any) -> Any:
        files.append(filename)
        return read(filename, namespace)

    monkeypatch.setattr(sql_literal, "_Search", noted_search)
    monkeypatch.setattr(string_templates, "read", noted_read)
    with shop.push():
        for _ in range(3):
            shop.db.session.execute(text("select * from user where name = 'bob'"))
            shop.db.session.execute(sa.select(User).where(User.name == "bob"))
    assert searched == ["select * from user where name = 'bob'"]
    assert len(files) == len(set(files)) > 0


def test_a_line_with_many_harmless_texts(shop: Shop) -> None:
    """A line that has sent a hundred texts without a value is left alone."""
    with shop.push():
        for column in [f"a{number}" for number in range(100)] + ["zz"]:
            shop.db.session.execute(text(f"select 1 as {column}"))
        guard = shop.db.guards.guards["sql-literal"]
        assert isinstance(guard, sql_literal.SQLLiteralGuard)
        assert max(map(len, guard._harmless.values())) == 100


def test_on_each_engine(make_app: MakeApp, database_url: sa.URL) -> None:
    """Text, a driver's own statement and an executemany are found whatever the driver is."""
    app = make_app(__name__, SQLALCHEMY_DATABASE_URI=database_url, RETORT_GUARDS="raise")
    db = SQLAlchemy(app)
    table = db.Table("note", sa.Column("id", sa.Integer), sa.Column("body", sa.String(9)))

    def body(value: str) -> str:
        return f"select id from note where body = '{value}'"

    def insert(value: str) -> str:
        return f"insert into note (id, body) values (:id, '{value}')"

    with app.app_context():
        db.create_all()
        with pytest.raises(GuardError, match="value"):
            db.session.execute(text(body("100%")))
        with pytest.raises(GuardError, match="value"):
            db.session.connection().exec_driver_sql(body("tea"))
        with pytest.raises(GuardError, match="value"):
            db.session.execute(text(insert("x")), [{"id": 1}, {"id": 2}])
        with db.engine.connect() as connection, pytest.raises(GuardError, match="value"):
            connection.execute(text(body("tea")))
        db.session.execute(sa.insert(table), [{"id": 1, "body": "it"}])
        assert db.session.scalars(text("select id from note where body = 'it'")).all() == [1]
        db.session.rollback()
