"""The schema as revisions, on each back end."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_retort import migrations
from flask_retort.migrations.progress import Event, RevisionFinished, silent
from shop import config, create_app
from shop.db import db
from shop.errors import ShopError
from shop.models import DataImport, Order, User
from shop.services import schema

VERSIONS = "alembic_version"
FIRST = "fc501b7699a5"


def catalogue() -> dict[str, Any]:
    """What the database itself knows of its tables, but for the one of the revisions."""
    inspector = sa.inspect(db.engine)
    return {table: shape(inspector, table) for table in tables()}


def shape(inspector: sa.Inspector, table: str) -> dict[str, Any]:
    """Columns, constraints and indexes of one table; what has no order is sorted."""
    columns = [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)]
    unordered = [
        *inspector.get_indexes(table),
        *inspector.get_unique_constraints(table),
        *inspector.get_foreign_keys(table),
        *inspector.get_check_constraints(table),
    ]
    return {
        "columns": columns,
        "primary key": inspector.get_pk_constraint(table),
        "more": sorted(map(str, unordered)),
    }


def tables() -> set[str]:
    """The names of the tables, but for the one of the revisions."""
    return {*sa.inspect(db.engine).get_table_names()} - {VERSIONS}


def forget_the_revisions() -> None:
    """Leave the database as a shop without revisions would have it."""
    with db.engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE {VERSIONS}"))


def heads() -> list[str]:
    """The revisions that the database says it is at."""
    with db.engine.connect() as connection:
        return list(connection.scalars(sa.text(f"SELECT version_num FROM {VERSIONS}")))


def test_models_and_revisions_agree(context: None) -> None:
    """After an upgrade from nothing, autogenerate finds no difference to the models."""
    migrations.check()


def test_models_and_revisions_make_the_same_tables(context: None) -> None:
    """Also where autogenerate does not look: checks, names, the order of columns."""
    revised = catalogue()
    migrations.downgrade(revision="base")
    forget_the_revisions()
    db.create_all()
    assert revised == catalogue()
    assert set(revised) == set(db.metadata.tables)


def test_down_and_up_again_is_the_same(context: None) -> None:
    """A downgrade to the beginning leaves no table, and an upgrade makes what was there."""
    before = catalogue()
    assert migrations.downgrade(revision="base") > 0
    assert tables() == set()
    migrations.upgrade()
    assert catalogue() == before


def test_each_name_follows_the_convention(context: None) -> None:
    """What the database calls its constraints and indexes can be told from their columns."""
    inspector = sa.inspect(db.engine)
    for table in tables():
        primary = inspector.get_pk_constraint(table)["name"]
        # MariaDB calls every primary key so, whatever it is told.
        assert primary == f"pk_{table}" or db.engine.dialect.name == "mysql"
        uniques = {named(one, "uq", table) for one in inspector.get_unique_constraints(table)}
        indexes = inspector.get_indexes(table)
        # To some databases a unique constraint is an index too, of the same name.
        for index in (one for one in indexes if one["name"] not in uniques):
            named(index, "ix", table)
        for key in inspector.get_foreign_keys(table):
            named({**key, "column_names": key["constrained_columns"]}, "fk", table)
        for check in inspector.get_check_constraints(table):
            assert str(check["name"]).startswith(f"ck_{table}_")


def named(item: Any, prefix: str, table: str) -> str:
    """The item's name, which has to be made of its table's and its columns'."""
    assert item["name"] == "_".join([prefix, table, *item["column_names"]])
    return str(item["name"])


def test_a_database_without_revisions_is_taken_over(context: None) -> None:
    """Tables that an earlier version made stay as they are, with their rows; nothing is lost."""
    migrations.downgrade(revision=FIRST)
    forget_the_revisions()
    with db.engine.begin() as connection:
        row = {"name": "kept", "imported_at": dt.datetime.now(dt.UTC)}
        connection.execute(sa.insert(DataImport), [row])
    events: list[Event] = []
    schema.upgrade(events.append)
    assert any(isinstance(e, RevisionFinished) and e.revision == FIRST for e in events)
    assert db.session.scalars(sa.select(DataImport.name)).all() == ["kept"]
    assert heads()
    migrations.check()


def test_orders_survive_an_upgrade(context: None) -> None:
    """Orders of a shop that could not cancel any are there afterwards, and not cancelled."""
    migrations.downgrade(revision=FIRST)
    moment = dt.datetime(2026, 3, 29, 1, 59, 59, 123456, tzinfo=dt.UTC)
    with db.engine.begin() as connection:
        user = {"id": 1, "email": "a@example.org", "user_name": "a", "active": True}
        connection.execute(sa.insert(User), user)
        order = {"number": "1", "user_id": 1, "ordered_at": moment, "total": Decimal("1.50")}
        connection.execute(sa.insert(Order), order)
    schema.upgrade(silent)
    kept = db.session.scalars(sa.select(Order)).one()
    assert (kept.number, kept.ordered_at, kept.total) == ("1", moment, Decimal("1.50"))
    assert kept.cancelled_at is None


def test_a_half_made_database_is_completed(context: None) -> None:
    """Where an earlier version was interrupted, what it had not made is made."""
    before = catalogue()
    migrations.downgrade(revision=FIRST)
    forget_the_revisions()
    with db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE order_items"))
    schema.upgrade(silent)
    assert catalogue() == before


def test_a_newer_database_is_one_sentence(context: None) -> None:
    """A database that a newer shop has upgraded is refused with the reason, and stays as it is."""
    with db.engine.begin() as connection:
        connection.execute(sa.text(f"UPDATE {VERSIONS} SET version_num = 'f00dfeedf00d'"))
    with pytest.raises(ShopError, match=r"f00dfeedf00d.*\[retort:database-ahead\]"):
        schema.upgrade(silent)
    assert heads() == ["f00dfeedf00d"]


def test_no_table_but_the_versions_is_unknown_to_the_models(app: Flask) -> None:
    """The revisions leave nothing behind that nobody knows of, such as a journal."""
    with app.app_context():
        assert {*sa.inspect(db.engine).get_table_names()} == {*db.metadata.tables, VERSIONS}


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
def test_the_sql_can_be_read_without_a_database(
    capsys: pytest.CaptureFixture[str], dialect: str
) -> None:
    """``--sql`` writes every table for each back end, and connects to none."""
    url = {
        "sqlite": "sqlite:////nowhere/shop.db",
        "postgresql": "postgresql+psycopg://127.0.0.1:1/shop",
        "mysql": "mysql+pymysql://127.0.0.1:1/shop",
    }[dialect]
    app = create_app(config.Testing(url))
    with app.app_context():
        migrations.upgrade(sql=True)
        script = capsys.readouterr().out
        created = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) \(", script))
        assert created == {*db.metadata.tables, VERSIONS}
