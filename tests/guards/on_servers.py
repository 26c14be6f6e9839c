"""The collection's shop on a database server, with the products only, which loses updates."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from tests.guards.collection import Finding, Program, Shop
from tests.guards.models import Product, db, fill

_STATEMENTS = (
    "CREATE TABLE product (id INT PRIMARY KEY, sku VARCHAR(20), name VARCHAR(20),"
    " price NUMERIC(10, 2), stock INT, views INT)",
    "INSERT INTO product VALUES (1, 'P1', 'cup', 1, 10, 0), (2, 'P2', 'pot', 2, 10, 0)",
)


_SEQUENCES = sa.text("SELECT sequencename FROM pg_sequences")


def shop_on(url: sa.URL, **config: Any) -> tuple[Shop, sa.Engine]:
    """A shop with products 1 and 2, and its engine, which the test has to dispose."""
    shop = Shop(url.render_as_string(hide_password=False), **config)
    with shop.push():
        engine = shop.db.engine
    with engine.begin() as connection:
        for statement in _STATEMENTS:
            connection.exec_driver_sql(statement)
    return shop, engine


def found_by(program: Program, url: sa.URL, engine: sa.Engine) -> set[Finding]:
    """What the guards find in a program of the collection on PostgreSQL.

    :param engine: of the same database, which gets the collection's rows in place of what it has.
    """
    tables = [f'"{table.name}"' for table in reversed(db.metadata.sorted_tables)]
    with sa.orm.Session(engine) as session:
        for table in tables:
            session.execute(sa.text(f"DELETE FROM {table}"))
        for (sequence,) in session.execute(_SEQUENCES).all():
            session.execute(sa.text(f"ALTER SEQUENCE {sequence} RESTART WITH 1"))
        fill(session)
        for name in ("user", "product"):  # whose first keys are given by hand
            session.execute(sa.text(f"ALTER SEQUENCE {name}_id_seq RESTART WITH 100"))
        session.commit()
    address = url.render_as_string(hide_password=False)
    shop = Shop(address, **{"RETORT_GUARDS": "count", **program.config})
    program.run(shop)
    with shop.push():
        shop.db.engine.dispose()
    return set(shop.found)


def sell(product: Product) -> None:
    """One piece."""
    product.stock -= 1


def two_sell(shop: Shop) -> int:
    """Two sessions read the stock of 10, then each takes 1; the stock afterwards."""
    with shop.push():
        first = shop.db.session.get_one(Product, 1)
        assert first.stock == 10
        with shop.push():
            second = shop.db.session.get_one(Product, 1)
            sell(second)
            shop.db.session.commit()
        sell(first)
        shop.db.session.commit()
        stock: int = first.stock
    return stock
