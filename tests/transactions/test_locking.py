"""Many rows locked by one statement, in the order of their keys."""

from __future__ import annotations

import enum
import random
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship
from tests.conftest import Disposed, MakeApp

from flask_retort import SQLAlchemy
from flask_retort.errors import LockTimeout, NotFound
from flask_retort.transactions import locking
from flask_retort.transactions.locking import lock


class Base(DeclarativeBase):
    pass


class Category(Base):
    __tablename__ = "category"
    id: Mapped[int] = mapped_column(primary_key=True)


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20), default="product")
    stock: Mapped[int] = mapped_column(default=100)
    category_id: Mapped[int | None] = mapped_column(sa.ForeignKey(Category.id))
    category: Mapped[Category | None] = relationship()
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "product"}  # noqa: RUF012 - SQLAlchemy's form


class Book(Product):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(sa.ForeignKey(Product.id), primary_key=True)
    pages: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"polymorphic_identity": "book"}  # noqa: RUF012 - as above


class Medium(Base):
    """Read together with the tables of its subclasses."""

    __tablename__ = "medium"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20), default="medium")
    __mapper_args__ = {  # noqa: RUF012 - as above
        "polymorphic_on": kind,
        "polymorphic_identity": "medium",
        "with_polymorphic": "*",
    }


class Film(Medium):
    __tablename__ = "film"
    id: Mapped[int] = mapped_column(sa.ForeignKey(Medium.id), primary_key=True)
    minutes: Mapped[int] = mapped_column(default=90)
    __mapper_args__ = {"polymorphic_identity": "film"}  # noqa: RUF012 - as above


class Size(enum.Enum):
    """Has no order."""

    SMALL = "small"
    LARGE = "large"


class Box(Base):
    __tablename__ = "box"
    size: Mapped[Size] = mapped_column(primary_key=True)


class Shelf(Base):
    __tablename__ = "shelf"
    row: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)


class Tag(Base):
    __tablename__ = "tag"
    name: Mapped[str] = mapped_column(sa.String(30), primary_key=True)


@contextmanager
def filled(app: flask.Flask) -> Generator[SQLAlchemy[Any]]:
    """Products 1 to 20 without books, books 101 to 103, places (1..3, 1..3)."""
    db = SQLAlchemy(app, model_class=Base)
    with app.app_context():
        db.create_all()
        db.session.add(Category(id=1))
        db.session.flush()
        db.session.add_all(Product(id=key, category_id=1) for key in range(1, 21))
        db.session.add_all(Book(id=key) for key in range(101, 104))
        db.session.add_all(Shelf(row=row, place=place) for row in (1, 2, 3) for place in (1, 2, 3))
        db.session.add_all(Tag(name=name) for name in ("a", "b"))
        db.session.add_all([Medium(id=1), Film(id=2), Box(size=Size.SMALL), Box(size=Size.LARGE)])
        db.session.commit()
        yield db
        db.session.remove()
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.fixture
def db(make_app: MakeApp, database_url: sa.URL) -> Iterator[SQLAlchemy[Any]]:
    """The tables on each database."""
    with filled(make_app(SQLALCHEMY_DATABASE_URI=database_url, RETORT_GUARDS="off")) as db:
        yield db


@pytest.fixture
def local_db(make_app: MakeApp) -> Iterator[SQLAlchemy[Any]]:
    """The tables on SQLite, for what does not depend on the database."""
    with filled(make_app(RETORT_GUARDS="off")) as db:
        yield db


@pytest.fixture(params=["postgresql_url", "mysql_url"])
def server_db(request: pytest.FixtureRequest, make_app: MakeApp) -> Iterator[SQLAlchemy[Any]]:
    """The tables where rows have locks of their own."""
    url = request.getfixturevalue(request.param)
    options = {"pool_size": 9}
    keys = {"SQLALCHEMY_DATABASE_URI": url, "SQLALCHEMY_ENGINE_OPTIONS": options}
    with filled(make_app(RETORT_GUARDS="off", **keys)) as db:
        yield db


@contextmanager
def statements(db: SQLAlchemy[Any]) -> Iterator[list[str]]:
    """The SELECTs sent meanwhile."""
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2].startswith("SELECT"):
            sent.append(arguments[2])

    sa.event.listen(db.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(db.engine, "before_cursor_execute", note)


@contextmanager
def another_session(db: SQLAlchemy[Any]) -> Iterator[Session]:
    """One that is not the context's."""
    with db.session.session_factory() as session:
        yield session


# --- what it gives --------------------------------------------------------------


def test_a_model_that_is_read_with_its_subclasses(db: SQLAlchemy[Any]) -> None:
    """Its own table is locked: PostgreSQL can't lock rows that may be missing in a join."""
    locked = db.lock(Medium, [2, 1])
    assert [type(medium) for medium in locked.values()] == [Medium, Film]
    assert [film.minutes for film in db.lock(Film, [2]).values()] == [90]


def test_keys_that_have_no_order(db: SQLAlchemy[Any]) -> None:
    """Members of an enumeration are keys like others."""
    assert {*db.lock(Box, Size)} == {*Size}


def test_the_objects_come_by_key_in_the_order_of_keys_by_one_statement(
    db: SQLAlchemy[Any],
) -> None:
    """Whatever order and repetition the keys are given in."""
    with statements(db) as sent:
        found = lock(db.session(), Product, iter([7, 3, 3, 12]))
    assert list(found) == [3, 7, 12]
    assert {key: product.id for key, product in found.items()} == {3: 3, 7: 7, 12: 12}
    assert len(sent) == 1
    assert db.lock(Tag, {"b", "a"})["a"].name == "a"


def test_no_keys_need_no_statement(local_db: SQLAlchemy[Any]) -> None:
    """Not even a connection."""
    session = local_db.session()
    assert lock(session, Product, []) == {}
    assert not session.in_transaction()


def test_keys_of_several_columns_are_tuples(db: SQLAlchemy[Any]) -> None:
    """In the order of the model's columns."""
    found = lock(db.session(), Shelf, [(3, 1), (1, 2)])
    assert [(key, place.row, place.place) for key, place in found.items()] == [
        ((1, 2), 1, 2),
        ((3, 1), 3, 1),
    ]


def test_a_model_that_joins_its_parent(db: SQLAlchemy[Any]) -> None:
    """Both of its rows are locked, and the parent finds children."""
    assert [book.pages for book in lock(db.session(), Book, [102, 101]).values()] == [1, 1]
    assert isinstance(lock(db.session(), Product, [103])[103], Book)


def test_what_is_joined_is_loaded(db: SQLAlchemy[Any]) -> None:
    """On PostgreSQL, where an outer join can't be locked, the model's own rows are."""
    with statements(db) as sent:
        found = lock(db.session(), Product, [1, 2], options=[joinedload(Product.category)])
        assert [product.category.id for product in found.values() if product.category] == [1, 1]
    assert len(sent) == 1


def test_the_objects_show_what_is_in_the_database(db: SQLAlchemy[Any]) -> None:
    """What others have committed since they were loaded is there; what was pending is sent."""
    session = db.session()
    session.expire_on_commit = False
    one, two = session.get_one(Product, 1), session.get_one(Product, 2)
    session.commit()
    with another_session(db) as other:
        other.get_one(Product, 1).stock = 5
        other.commit()
    with session.no_autoflush:
        two.stock = 7
        lock(session, Product, [1, 2])
    assert (one.stock, two.stock) == (5, 7)


def test_many_keys_are_locked_in_chunks(
    local_db: SQLAlchemy[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of keys over all of them."""
    monkeypatch.setattr(locking, "PARAMETERS", 6)
    with statements(local_db) as sent:
        assert list(lock(local_db.session(), Product, range(20, 0, -1))) == list(range(1, 21))
    assert len(sent) == 4
    with statements(local_db) as sent:
        lock(local_db.session(), Shelf, [(row, place) for row in (1, 2, 3) for place in (1, 2)])
    assert len(sent) == 2


# --- what it refuses ------------------------------------------------------------


def test_missing_rows_are_named(db: SQLAlchemy[Any]) -> None:
    """With the model and its key; left out with skip_locked."""
    with pytest.raises(NotFound, match=r"no Product with the key 77, 99: .*not-found") as raised:
        lock(db.session(), Product, [99, 1, 77])
    error = raised.value
    assert (error.model, error.fields, error.value) == (Product, ("id",), (77, 99))
    assert isinstance(error, sa.exc.NoResultFound)
    with pytest.raises(NotFound) as raised:
        lock(db.session(), Shelf, [(9, 9)])
    assert (raised.value.fields, raised.value.value) == (("row", "place"), (9, 9))
    with pytest.raises(NotFound, match="and 5 more"):
        lock(db.session(), Product, range(201, 216))
    if db.engine.dialect.name != "sqlite":
        assert list(lock(db.session(), Product, [1, 77], skip_locked=True)) == [1]


@pytest.mark.parametrize(
    ("model", "keys", "said"),
    [
        (Product, [1, None], "None for Product.id"),
        (Product, ["7"], r"the str '7' for Product.id, which is of type int.*int\(\.\.\.\)"),
        (Product, [True], "the bool True"),
        (Product, [(1,)], "the tuple"),
        (Product, [[1]], "the list"),
        (Product, 7, r"db.lock\(Product, \[7\]\)\[7\]"),
        (Tag, "ab", r"db.lock\(Tag, \['ab'\]\)"),
        (Tag, [7], "the int 7 for Tag.name"),
        (Shelf, [1], r"2 columns: each key is a tuple \(row, place\)"),
        (Shelf, [(1, 2, 3)], "each key is a tuple"),
        (Shelf, [[1, 2]], "each key is a tuple"),
        (Shelf, [(1, None)], "None for Shelf.place"),
    ],
)
def test_what_is_no_key_is_refused(model: Any, keys: Any, said: str) -> None:
    """Before anything is sent: a database may take "7" for 7, and answer about another key."""
    with Session() as session, pytest.raises(TypeError, match=said):
        lock(session, model, keys)


# --- locks ----------------------------------------------------------------------


@pytest.mark.server
def test_locked_rows_are_not_waited_for_if_one_must_not(server_db: SQLAlchemy[Any]) -> None:
    """nowait is LockTimeout at once, skip_locked leaves them out; others are free."""
    lock(server_db.session(), Product, [1, 2])
    with another_session(server_db) as other:
        assert list(lock(other, Product, [3, 4], nowait=True)) == [3, 4]
        assert list(lock(other, Product, [1, 2, 3, 5], skip_locked=True)) == [3, 5]
        with pytest.raises(LockTimeout):
            lock(other, Product, [2, 6], nowait=True)
    server_db.session.rollback()
    lock(server_db.session(), Shelf, [(1, 1), (2, 3)])
    with another_session(server_db) as other:
        assert len(lock(other, Shelf, [(1, 2), (2, 1)], nowait=True)) == 2
        with pytest.raises(LockTimeout):
            lock(other, Shelf, [(2, 3)], nowait=True)


@pytest.mark.server
def test_locks_for_reading_are_shared(server_db: SQLAlchemy[Any]) -> None:
    """Others may lock for reading as well, not for writing."""
    lock(server_db.session(), Product, [1], read=True)
    with another_session(server_db) as other:
        lock(other, Product, [1], read=True, nowait=True)
        with pytest.raises(LockTimeout):
            lock(other, Product, [1], nowait=True)


def test_on_sqlite_the_transaction_is_the_one_that_writes(
    make_app: MakeApp, tmp_path: Any, disposed: Disposed
) -> None:
    """From the lock to the end: what it has read, no other connection can change."""
    path = tmp_path / "lock.db"
    app = make_app(
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{path}",
        RETORT_SQLITE={"busy_timeout": 0.05},
        RETORT_GUARDS="off",
    )
    db = SQLAlchemy(app, model_class=Base)
    update = sa.update(Product).values(stock=Product.stock - 1)
    with app.app_context():
        db.create_all()
        db.session.add(Product(id=1))
        db.session.commit()
        other = disposed(sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0}))
        product = lock(db.session(), Product, [1])[1]
        with pytest.raises(sa.exc.OperationalError, match="locked"), other.begin() as connection:
            connection.execute(update)
        product.stock -= 1
        db.session.commit()
        with other.begin() as connection:
            connection.execute(update)
            assert connection.scalar(sa.select(Product.stock)) == 98
            with pytest.raises(LockTimeout):
                lock(db.session(), Product, [1])


@pytest.mark.server
def test_many_who_lock_the_same_rows_never_deadlock(server_db: SQLAlchemy[Any]) -> None:
    """8 threads, 10 of 20 rows each in random order, many times: nothing fails, nothing is lost."""
    app, times = flask.current_app._get_current_object(), 20  # type: ignore[attr-defined]
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            start.wait()
            with app.app_context():
                for _ in range(times):
                    keys = chance.sample(range(1, 21), 10)
                    for product in server_db.lock(Product, keys).values():
                        product.stock += 1
                    server_db.session.commit()
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    added = sa.select(sa.func.sum(Product.stock - 100)).where(Product.id <= 20)
    assert server_db.session.scalar(added) == 8 * times * 10
