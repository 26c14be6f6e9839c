"""After any error, in a request, a command and a nested transaction, the next statement works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click
import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy, errors


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)


class Product(Base):
    __tablename__ = "product"
    __table_args__ = (sa.CheckConstraint("stock >= 0", name="stock_not_negative"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(sa.String(5), unique=True)
    stock: Mapped[int] = mapped_column(sa.SmallInteger, default=0)
    shelf_id: Mapped[int | None] = mapped_column(sa.ForeignKey("shelf.id"))
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's form


Provoke = Callable[[SQLAlchemy[Any]], None]


def _unique(db: SQLAlchemy[Any]) -> None:
    db.session.add(Product(sku="taken"))
    db.session.flush()


def _foreign_key(db: SQLAlchemy[Any]) -> None:
    db.session.add(Product(sku="new", shelf_id=77))
    db.session.flush()


def _not_null(db: SQLAlchemy[Any]) -> None:
    db.session.add(Product(sku=None))
    db.session.flush()


def _check(db: SQLAlchemy[Any]) -> None:
    db.session.add(Product(sku="new", stock=-1))
    db.session.flush()


def _too_long(db: SQLAlchemy[Any]) -> None:
    db.session.execute(sa.insert(Product).values(sku="too long", version=1))


def _out_of_range(db: SQLAlchemy[Any]) -> None:
    db.session.execute(sa.insert(Product).values(sku="new", stock=2**70, version=1))


def _stale(db: SQLAlchemy[Any]) -> None:
    product = db.session.scalars(sa.select(Product).where(Product.sku == "taken")).one()
    product.stock = 5
    with db.session.no_autoflush:
        db.session.execute(
            sa.update(Product).values(version=9), execution_options={"synchronize_session": False}
        )
    db.session.flush()


def _missing(db: SQLAlchemy[Any]) -> None:
    db.lock(Product, [77])


def _wrong_sql(db: SQLAlchemy[Any]) -> None:
    db.session.execute(sa.text("SELECT nothing FROM nowhere"))


PROVOKED: list[tuple[Provoke, type[Exception]]] = [
    (_unique, errors.UniqueViolation),
    (_foreign_key, errors.ForeignKeyViolation),
    (_not_null, errors.NotNullViolation),
    (_check, errors.CheckViolation),
    (_too_long, errors.ValueTooLong),
    (_out_of_range, errors.OutOfRange),
    (_stale, errors.StaleVersion),
    (_missing, errors.NotFound),
    (_wrong_sql, sa.exc.DBAPIError),
]
NOT_ON_SQLITE = {_too_long: "SQLite keeps a text whatever the column's length"}


@pytest.fixture
def shop(make_app: MakeApp, database_url: sa.URL) -> Iterator[tuple[flask.Flask, SQLAlchemy[Any]]]:
    app = make_app(
        SQLALCHEMY_DATABASE_URI=database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 0, "pool_timeout": 1},
        RETORT_GUARDS="off",
    )
    db = SQLAlchemy(app, model_class=Base)
    with app.app_context():
        db.create_all()
        db.session.add(Product(sku="taken"))
        db.session.commit()
    yield app, db
    with app.app_context():
        assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def _cases(db: SQLAlchemy[Any]) -> list[tuple[Provoke, type[Exception]]]:
    left_out = NOT_ON_SQLITE if db.engine.dialect.name == "sqlite" else {}
    return [(provoke, kind) for provoke, kind in PROVOKED if provoke not in left_out]


def _skus(db: SQLAlchemy[Any]) -> list[str]:
    return list(db.session.scalars(sa.select(Product.sku).order_by(Product.id)))


def test_in_a_request(shop: tuple[flask.Flask, SQLAlchemy[Any]]) -> None:
    """The view that catches the error goes on, and the next request after one that fails."""
    app, db = shop

    @app.post("/<int:number>/<caught>")
    def view(number: int, caught: str) -> Any:
        provoke, kind = _cases(db)[number]
        try:
            provoke(db)
        except kind:
            if caught == "no":
                raise
        return _skus(db)

    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with app.app_context():
        count = len(_cases(db))
    for number in range(count):
        client = app.test_client()
        assert client.post(f"/{number}/no").status_code == 500
        assert client.post(f"/{number}/yes").json == ["taken"]


def test_in_a_command(shop: tuple[flask.Flask, SQLAlchemy[Any]]) -> None:
    """A command that catches them one after the other reads between them."""
    app, db = shop

    @app.cli.command("provoke")
    def provoke_all() -> None:
        for provoke, kind in _cases(db):
            with pytest.raises(kind):
                provoke(db)
            click.echo(",".join(_skus(db)))

    result = app.test_cli_runner().invoke(args=["provoke"], catch_exceptions=False)
    assert set(result.output.split()) == {"taken"}
    assert len(result.output.split()) >= len(PROVOKED) - 1


def test_in_a_nested_transaction(shop: tuple[flask.Flask, SQLAlchemy[Any]]) -> None:
    """Each is undone up to its savepoint; what the outer block has written is committed."""
    app, db = shop
    with app.app_context():
        with db.transaction() as session:
            session.add(Product(sku="kept"))
            for provoke, kind in _cases(db):
                with pytest.raises(kind), db.transaction():
                    provoke(db)
                assert _skus(db) == ["taken", "kept"]
        assert _skus(db) == ["taken", "kept"]
