"""``lost-update``: what is lost without it, what protects, and what the message says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.conftest import Disposed, MakeApp
from tests.guards.collection import Shop, collection
from tests.guards.models import Product, db
from tests.guards.on_servers import found_by, sell, shop_on, two_sell

from flask_retort import SQLAlchemy
from flask_retort.errors import GuardError, SerializationFailure
from flask_retort.guards import lost_update

STOCK = ("lost-update", "Product.stock")
NOTHING: dict[tuple[str, str], int] = {}


@pytest.fixture
def make_shop(disposed: Disposed) -> Callable[..., Shop]:
    """Makes the collection's shop on a server; its guards count."""

    def make(url: sa.URL, **config: Any) -> Shop:
        shop, engine = shop_on(url, RETORT_GUARDS="count", **config)
        disposed(engine)
        return shop

    return make


def test_an_update_is_lost_on_postgresql(
    make_shop: Callable[..., Shop], postgresql_url: sa.URL
) -> None:
    """Two were sold, one is missing; the guard has said so each time."""
    shop = make_shop(postgresql_url)
    assert two_sell(shop) == 9
    assert shop.found == {STOCK: 2}


def test_an_update_is_lost_on_sqlite(shop: Shop) -> None:
    """The second waits its turn, and writes what it has read before."""
    with shop.db.allow("lost-update", reason="shown here"):
        assert two_sell(shop) == 9


def test_what_protects_on_postgresql(postgresql_url: sa.URL, disposed: Disposed) -> None:
    """The right programs of the collection are right there too, but for the one that is SQLite's.

    On SQLite most of them are by their being the only writer, whatever else they do.
    """
    engine = disposed(sa.create_engine(postgresql_url))
    db.metadata.create_all(engine)
    found = {
        program.run.__name__: found_by(program, postgresql_url, engine)
        for program in collection()
        if program.code == "lost-update" and not program.must_fire
    }
    assert found.pop("the_only_writer_of_sqlite_reads_and_writes") == {STOCK}
    assert set().union(*found.values()) == set()


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_snapshots_protect_on_postgresql(
    make_shop: Callable[..., Shop], postgresql_url: sa.URL, level: str
) -> None:
    """The second transaction fails, and can be repeated: nothing is said."""
    shop = make_shop(postgresql_url, SQLALCHEMY_ENGINE_OPTIONS={"isolation_level": level})
    with pytest.raises(SerializationFailure):
        two_sell(shop)
    assert shop.found == NOTHING


def test_a_block_with_isolation_protects_on_postgresql(
    make_shop: Callable[..., Shop], postgresql_url: sa.URL
) -> None:
    """The level is the transaction's own, not the connection's."""
    shop = make_shop(postgresql_url)
    with shop.push(), shop.db.transaction(isolation="repeatable read") as session:
        sell(session.get_one(Product, 1))
    assert shop.found == NOTHING


def test_snapshots_protect_on_mariadb(make_shop: Callable[..., Shop], mysql_url: sa.URL) -> None:
    """Where snapshot isolation is on, as it is by default here, the second transaction fails."""
    shop = make_shop(mysql_url)
    with pytest.raises(SerializationFailure):
        two_sell(shop)
    assert shop.found == NOTHING


@pytest.mark.parametrize(
    "config",
    [
        {"RETORT_MYSQL": {"snapshot_isolation": False}},
        {"SQLALCHEMY_ENGINE_OPTIONS": {"isolation_level": "READ COMMITTED"}},
    ],
)
def test_an_update_is_lost_on_mariadb_without_snapshots(
    make_shop: Callable[..., Shop], mysql_url: sa.URL, config: dict[str, Any]
) -> None:
    """With the server's own default, and at a level without snapshots."""
    shop = make_shop(mysql_url, **config)
    assert two_sell(shop) == 9
    assert shop.found == {STOCK: 2}


def test_serializable_protects_on_mariadb(
    make_shop: Callable[..., Shop], mysql_url: sa.URL
) -> None:
    """It reads with locks, with or without snapshots."""
    options = {"isolation_level": "SERIALIZABLE"}
    off = {"snapshot_isolation": False}
    shop = make_shop(mysql_url, SQLALCHEMY_ENGINE_OPTIONS=options, RETORT_MYSQL=off)
    with shop.push():
        sell(shop.db.session.get_one(Product, 1))
        shop.db.session.commit()
    assert shop.found == NOTHING


def test_a_late_lock_is_no_protection(
    make_shop: Callable[..., Shop], postgresql_url: sa.URL
) -> None:
    """The session keeps what it has read before the lock; populate_existing reads it again."""
    shop = make_shop(postgresql_url)
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        with shop.push():
            shop.db.session.execute(sa.update(Product).values(stock=3))
            shop.db.session.commit()
        locked = shop.db.session.get_one(Product, 1, with_for_update=True)
        assert locked is product
        assert locked.stock == 10  # it is 3
        sell(locked)
        shop.db.session.flush()
        assert shop.found == {STOCK: 1}
        shop.db.session.rollback()
        shop.db.session.get_one(Product, 1)
        again = shop.db.session.get_one(Product, 1, with_for_update=True, populate_existing=True)
        sell(again)
        shop.db.session.commit()
        assert again.stock == 2
    assert shop.found == {STOCK: 1}


def test_the_message_says_what_to_write(shop: Shop) -> None:
    """With the names of the model, and the line that has computed."""
    with shop.push():
        sell(shop.db.session.get_one(Product, 1))
        with pytest.raises(GuardError) as raised:
            shop.db.session.commit()
        shop.db.session.rollback()
    message = str(raised.value)
    assert message.startswith("Product.stock was computed from its old value at ")
    assert "on_servers.py" in message
    assert "(sell), without a lock." in message
    assert "product.stock = Product.stock + difference" in message
    assert "product = db.lock(Product, [id])[id]" in message
    assert "db.allow('lost-update', 'Product.stock', reason=...)" in message
    assert message.endswith("[retort:lost-update]")


class OwnBase(DeclarativeBase):
    pass


class BinStock(OwnBase):
    """Neither its table nor its key has the usual name."""

    __tablename__ = "warehouse_stock"

    bin: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(primary_key=True)
    stock: Mapped[int]


def test_the_message_has_the_model_s_own_names(make_app: MakeApp) -> None:
    """Whoever copies its lines has code that runs."""
    app = make_app("tests.guards.models", RETORT_GUARDS="raise")
    own = SQLAlchemy(app, model_class=OwnBase)
    with app.app_context():
        own.create_all()
        own.session.add(BinStock(bin="A", sku="P1", stock=10))
        own.session.commit()
        sell(own.session.get_one(BinStock, ("A", "P1")))  # type: ignore[arg-type] # has stock too
        with pytest.raises(GuardError) as raised:
            own.session.commit()
        own.session.rollback()
        message = str(raised.value)
        assert "bin_stock.stock = BinStock.stock + difference" in message
        assert "where(BinStock.bin == ..., BinStock.sku == ..., BinStock.stock >=" in message
        assert "bin_stock = db.lock(BinStock, [(bin, sku)])[(bin, sku)]" in message
        assert own.lock(BinStock, [("A", "P1")])["A", "P1"].stock == 10


def test_a_second_line_can_make_it_right(shop: Shop) -> None:
    """What is overwritten or taken back before the flush is not written."""
    with shop.push():
        product, other, gone = (shop.db.session.get_one(Product, number) for number in (1, 2, 3))
        sell(product)
        product.stock = 4
        sell(other)
        other.stock = other.stock + 1
        sell(gone)
        shop.db.session.expunge(gone)
        shop.db.session.add(extra := Product(sku="P4", name="lid", stock=1))
        shop.db.session.commit()
        sell(extra)
        shop.db.session.delete(extra)
        shop.db.session.commit()


def test_an_overwritten_number_may_be_computed_with(shop: Shop) -> None:
    """It is no longer what the database had."""
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        product.stock = 20
        sell(product)
        shop.db.session.commit()
        assert product.stock == 19


def test_a_lock_that_was_rolled_back_is_none(shop: Shop) -> None:
    """With its savepoint it is given back."""
    with shop.push():
        savepoint = shop.db.session.begin_nested()
        shop.db.session.get_one(Product, 1, with_for_update=True)
        savepoint.rollback()
        guard = shop.db.guards.guards["lost-update"]
        product = shop.db.session.get_one(Product, 1)
        assert isinstance(guard, lost_update.LostUpdateGuard)
        assert not guard.is_locked(shop.db.session(), sa.inspect(product))


def test_what_is_read_again_is_as_good_as_new(
    make_shop: Callable[..., Shop], postgresql_url: sa.URL
) -> None:
    """Locked late, and then refreshed: under the lock."""
    shop = make_shop(postgresql_url)
    with shop.push():
        product = shop.db.session.get_one(Product, 1)
        shop.db.session.get_one(Product, 1, with_for_update=True)
        shop.db.session.refresh(product)
        sell(product)
        shop.db.session.commit()
    assert shop.found == NOTHING


def test_a_row_that_is_read_after_the_first_write_is_sqlites_own(shop: Shop) -> None:
    """Nobody else can write any more; what was read before is still as it was."""
    with shop.push():
        early = shop.db.session.get_one(Product, 3)
        shop.db.session.get_one(Product, 1).name = "mug"
        shop.db.session.flush()
        sell(late := shop.db.session.get_one(Product, 2))
        shop.db.session.flush()
        assert late.stock == 9
        sell(early)
        with pytest.raises(GuardError):
            shop.db.session.flush()
        shop.db.session.rollback()


def test_a_test_prepares_its_rows_as_it_likes(shop: Shop) -> None:
    """There is nobody whose update it could lose."""
    with shop.push():
        shop.db.session.get_one(Product, 1).stock -= 1
        shop.db.session.commit()


def test_it_listens_to_numbers_only() -> None:
    """Not to keys, to words, or where a version protects."""
    watched = {
        f"{mapper.class_.__name__}.{prop.key}"
        for mapper in db.Model.registry.mappers
        for prop in mapper.column_attrs
        if event.contains(getattr(mapper.class_, prop.key), "set", lost_update.on_set)
    }
    assert watched == {
        "User.logins",
        "Post.views",
        "Product.price",
        "Product.stock",
        "Product.views",
        "Order.total",
        "OrderItem.quantity",
        "Account.balance",
    }
