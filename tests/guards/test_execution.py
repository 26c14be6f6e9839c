"""What guards are told of a statement."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.guards.collection import Shop
from tests.guards.models import Post, Product, User, db

from flask_retort.guards.execution import Execution

USERS: Any = User.__table__


def execution(statement: Any, **arguments: Any) -> Execution:
    return Execution(db.session(), statement, None, arguments)


@pytest.mark.parametrize(
    ("statement", "models"),
    [
        (sa.select(User, Post), [User, Post]),
        (sa.select(User.id, User.name), [User]),
        (sa.update(User).values(name="ada"), [User]),
        (sa.select(USERS), []),
        (sa.update(USERS).values(name="ada"), []),
        (sa.text("SELECT 1"), []),
    ],
)
def test_models_of_a_statement(shop: Shop, statement: Any, models: list[Any]) -> None:
    """Each once, and none where it is about tables."""
    with shop.push():
        executed = execution(statement)
        assert [mapper.class_ for mapper in executed.all_mappers] == models
        assert executed.is_orm_statement is bool(models)
        first = models[0] if models else None
        assert getattr(executed.bind_mapper, "class_", None) is first


def test_options_of_the_call_come_before_those_of_the_statement(shop: Shop) -> None:
    """As SQLAlchemy merges them."""
    with shop.push():
        statement = sa.select(User).execution_options(yield_per=1, a=1)
        executed = execution(statement, execution_options={"a": 2})
        assert executed.execution_options == {"yield_per": 1, "a": 2}
        assert not executed.rereads


def test_what_reads_loaded_objects_again(shop: Shop) -> None:
    """The option, in each of its places, and a refresh."""
    seen: list[bool] = []

    def watch(*call: Any) -> None:
        seen.append(Execution(*call).rereads)

    with shop.push():
        session = db.session()
        session.watch = watch  # type: ignore[misc] # of this one only
        user = session.get_one(User, 1)
        session.refresh(user)
        session.get(User, 1, populate_existing=True)
        again = sa.select(User).execution_options(populate_existing=True)
        session.scalars(again).all()
        session.scalars(sa.select(User), execution_options={"populate_existing": True}).all()
        session.expire(user)
        assert user.name == "ada"
    assert seen == [False, True, True, True, True, True]


def test_it_can_be_executed_without_asking_again(shop: Shop) -> None:
    """For a guard that has to see the result."""
    with shop.push():
        asked: list[Any] = []
        session = db.session()
        session.watch = lambda *call: asked.append(call)  # type: ignore[misc]
        found = Execution(session, sa.select(Product.id).order_by(Product.id), None, {}).execute()
        assert found.scalars().all() == [1, 2, 3]
        assert asked == []
