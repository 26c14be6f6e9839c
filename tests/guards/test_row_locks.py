"""Which rows a statement locks, as far as it tells."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
)
from tests.guards.models import (
    Order,
    OrderItem,
    OrderStatus,
    Product,
    User,
    db,
    fill,
    post_tags,
)

from flask_retort.guards.execution import Execution
from flask_retort.guards.row_locks import (
    RowLocks,
    Rows,
    locks_inside,
    rows_changed,
    rows_inserted,
)
from flask_retort.session import Session

PRODUCT: Any = Product.__table__
ORDER: Any = Order.__table__
ITEM: Any = OrderItem.__table__


@pytest.fixture
def session() -> Iterator[Session]:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    db.metadata.create_all(engine)
    with Session(db, bind=engine) as session:
        fill(session)
        yield session
    engine.dispose()


@pytest.fixture
def seen(session: Session) -> list[Rows | None]:
    """What each statement of the session locks."""
    rows: list[Rows | None] = []

    def keep(session: Session, *call: Any) -> None:
        rows.append(Execution(session, *call).rows)

    session.watch = keep  # type: ignore[misc] # of this one only
    return rows


P = sa.select(Product)


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        (P.where(Product.id == 2), {}),
        (P.where(Product.id == 2).with_for_update(), {PRODUCT: {(2,)}}),
        (P.where(Product.id == 2, Product.stock > 1).with_for_update(), {PRODUCT: {(2,)}}),
        (P.where(Product.id.in_([2, 3])).with_for_update(), {PRODUCT: {(2,), (3,)}}),
        (P.where(Product.sku == "P1").with_for_update(), {PRODUCT: None}),
        (P.where(sa.or_(Product.id == 1, Product.id == 2)).with_for_update(), {PRODUCT: None}),
        (P.where(Product.id > 1).with_for_update(), {PRODUCT: None}),
        (P.where(Product.id == sa.bindparam("key", None)).with_for_update(), {PRODUCT: None}),
        (P.where(Product.id == Product.stock).with_for_update(), {PRODUCT: None}),
        (sa.select(Product.stock).where(Product.id == 1).with_for_update(), {PRODUCT: {(1,)}}),
        (sa.select(aliased(Product)).with_for_update(), {PRODUCT: None}),
        (
            sa.select(OrderItem).join(Order).where(Order.id == 1).with_for_update(),
            {ORDER: {(1,)}, ITEM: None},
        ),
        (
            sa.select(OrderItem).join(Order).where(Order.id == 1).with_for_update(of=OrderItem),
            {ITEM: None},
        ),
        (sa.select(Order).options(joinedload(Order.items)).with_for_update(), None),
        (
            sa.select(Order).options(selectinload(Order.items)).with_for_update(of=Order),
            {ORDER: None},
        ),
        (sa.update(Product).where(Product.id == 3).values(stock=1), {PRODUCT: {(3,)}}),
        (sa.update(PRODUCT).where(PRODUCT.c.id == 3).values(stock=1), {PRODUCT: {(3,)}}),
        (sa.delete(OrderItem).where(OrderItem.quantity > 5), {ITEM: None}),
        (
            sa.delete(post_tags).where(post_tags.c.post_id == 1, post_tags.c.tag_id == 2),
            {post_tags: {(1, 2)}},
        ),
        (sa.delete(post_tags).where(post_tags.c.post_id == 1), {post_tags: None}),
        (sa.insert(Product).values(sku="P9", name="jar"), {}),
        (sa.text("SELECT 1"), {}),
        (sa.func.max(1, 2), {}),
    ],
)
def test_rows_of_statements(
    session: Session, seen: list[Rows | None], statement: Any, rows: Rows | None
) -> None:
    """Keys where the statement names them all; None for a table, or for all, where it doesn't."""
    session.execute(statement)
    assert seen == [rows]


def test_a_lock_in_a_text_can_be_of_anything(session: Session, seen: list[Rows | None]) -> None:
    """Statements that SQLite would not understand are looked at as text."""
    keep: Any = session.watch

    def stop(*call: Any) -> None:
        keep(*call)
        raise InterruptedError

    session.watch = stop  # type: ignore[misc] # of this one only
    texts = ["SELECT id FROM product FOR UPDATE", "LOCK TABLE product", "SELECT get_lock('a', 1)"]
    for text in (sa.text(one) for one in [*texts, "SELECT pg_advisory_xact_lock(1)"]):
        for statement in (text, sa.select(Product).from_statement(text)):
            with pytest.raises(InterruptedError):
                session.execute(statement)
    for call in (sa.func.pg_advisory_xact_lock(1), sa.select(sa.func.get_lock("a", 1))):
        with pytest.raises(InterruptedError):
            session.execute(call)
    assert seen == [None] * 10


def test_a_table_that_is_always_joined_is_locked_too(
    session: Session, seen: list[Rows | None]
) -> None:
    """By a relationship that is loaded so unless one says otherwise."""

    class Base(DeclarativeBase):
        pass

    class Shelf(Base):
        __tablename__ = "shelf"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Box(Base):
        __tablename__ = "box"
        id: Mapped[int] = mapped_column(primary_key=True)
        shelf_id: Mapped[int] = mapped_column(sa.ForeignKey("shelf.id"))
        shelf: Mapped[Shelf] = relationship(Shelf, lazy="joined")

    Base.metadata.create_all(session.connection())
    session.execute(sa.select(Box).where(Box.id == 1).with_for_update())
    assert seen == [{Box.__table__: {(1,)}, Shelf.__table__: None}]


def test_get_and_refresh_name_the_key(session: Session, seen: list[Rows | None]) -> None:
    """SQLAlchemy gives it beside the statement."""
    product = session.get_one(Product, 2, with_for_update=True)
    session.refresh(product, with_for_update=True)
    assert seen == [{PRODUCT: {(2,)}}] * 2


def test_rows_of_a_flush(session: Session) -> None:
    """What is updated and deleted, before; what is inserted, after it."""
    order = session.get_one(Order, 1)
    user, other = session.scalars(sa.select(User))
    user.name, other.name = "eve", other.name
    with session.no_autoflush:
        order.items.pop()
        session.delete(order.items[0])
    session.add(new := Product(sku="P9", name="jar"))
    assert rows_changed(session) == {User.__table__: {(user.id,)}, ITEM: {(1,), (3,)}}
    inserted: list[Rows] = []
    event.listen(session, "after_flush", lambda *_: inserted.append(rows_inserted(session)))
    session.flush()
    assert inserted == [{PRODUCT: {(new.id,)}}]


def test_what_is_held(session: Session) -> None:
    """A row by its key; all of a table, or of the database, where rows are not known."""
    locks = RowLocks()
    locks.note_read({ORDER: {(1,)}})
    locks.note_written({PRODUCT: {(2,)}})
    assert locks.holds(ORDER, (1,))
    assert locks.holds(PRODUCT, (2,))
    assert not locks.holds(PRODUCT, (1,))
    item = session.get_one(OrderItem, 1)
    assert locks.holds_parent(sa.inspect(item))
    locks.note_read({PRODUCT: None})
    assert locks.holds(PRODUCT, (1,))
    assert not RowLocks().holds_parent(sa.inspect(item))
    assert RowLocks(everything=True).holds(PRODUCT, (1,))


LOCKED = sa.select(Product.id).where(Product.stock > 1).with_for_update()


@pytest.mark.parametrize(
    "statement",
    [
        P.where(Product.id == LOCKED.scalar_subquery()),
        P.where(Product.id.in_(LOCKED)),
        P.where(sa.or_(Product.id == 1, Product.id.in_(LOCKED))),
        P.where(Product.id == LOCKED.subquery().c.id),
        P.join(mine := LOCKED.subquery(), mine.c.id == Product.id),
        P.join(also := LOCKED.cte(), also.c.id == Product.id),
        sa.select(Order).join(Order.items).where(OrderItem.product_id.in_(LOCKED)),
    ],
)
def test_a_sub_select_can_lock_anything(
    session: Session, seen: list[Rows | None], statement: Any
) -> None:
    """Which rows it has chosen, nobody but the database knows."""
    session.execute(statement)
    assert seen == [None]


@pytest.mark.parametrize(
    "statement",
    [
        P.where(Product.id == sa.select(Product.id).limit(1).scalar_subquery()),
        P.where(Product.id == Product.stock, Product.name.is_(None), Product.stock.between(1, 2)),
        sa.select(Order).join(Order.items).where(~OrderItem.product_id.in_([1, 2])),
        sa.select(Order).where(Order.items.any(OrderItem.product_id == 1)),
        sa.select(sa.func.count()).select_from(Product),
    ],
)
def test_other_statements_lock_nothing_inside(statement: Any) -> None:
    """Whatever they are made of."""
    assert not locks_inside(statement)


class OfText(sa.TypeDecorator[Any]):
    """What it makes of a value only it knows."""

    impl = sa.String
    cache_ok = True


class Untold(sa.types.UserDefinedType[Any]):
    """As types were before SQLAlchemy 2.1."""

    cache_ok = True

    @property
    def python_type(self) -> Any:
        raise NotImplementedError


UUID = uuid.UUID(int=1)


@pytest.mark.parametrize(
    ("type_", "given", "key"),
    [
        (sa.Integer(), "3", 3),
        (sa.BigInteger(), "3", 3),
        (sa.Numeric(10, 2), "3.0", Decimal(3)),
        (sa.Numeric(10, 2), 3, 3),
        (sa.Float(), "3.5", 3.5),
        (sa.Uuid(), str(UUID), UUID),
        (sa.Uuid(), UUID.hex, UUID),
        (sa.Date(), "2026-07-01", date(2026, 7, 1)),
        (sa.DateTime(), "2026-07-01 12:00Z", datetime(2026, 7, 1, 12, tzinfo=UTC)),
        (sa.String(5), "3", "3"),
        (OfText(), 3, 3),
        (sa.Integer(), "3x", None),  # which MariaDB takes for 3
        (sa.Numeric(), "x", None),
        (sa.String(5), 3, None),
        (sa.Enum(OrderStatus), "NEW", None),
        (OfText(), "3", None),
        (Untold(), 3, None),
    ],
)
def test_keys_are_as_objects_have_them(type_: Any, given: Any, key: Any) -> None:
    """A form has texts only, which the database converts; None where only it can."""
    table = sa.Table("t", sa.MetaData(), sa.Column("id", type_, primary_key=True))
    for condition in (table.c.id == given, table.c.id.in_([given])):
        deleted = Execution(Session(db), sa.delete(table).where(condition), None, {}).rows
        assert deleted == {table: None if key is None else {(key,)}}
        ((known,),) = (deleted[table] or {(None,)},)
        assert type(known[0]) is type(key)


def test_pairs_of_keys(session: Session, seen: list[Rows | None]) -> None:
    """As ``db.lock()`` names them."""
    pair = sa.tuple_(post_tags.c.post_id, post_tags.c.tag_id)
    session.execute(sa.delete(post_tags).where(pair.in_([(1, 2), ("3", 4)])))
    session.execute(sa.delete(post_tags).where(sa.tuple_(*reversed(pair.clauses)).in_([(1, 2)])))
    assert seen == [{post_tags: {(1, 2), (3, 4)}}, {post_tags: None}]
