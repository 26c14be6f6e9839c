"""Tables and keys come and go in an order in which every database lets them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.dialects import mysql
from tests.migrations.catalogs import catalog
from tests.migrations.generating import differences, generate


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    """An engine on an empty database of each kind."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


def chain(length: int) -> sa.MetaData:
    """Tables of which each references the one before, with an index on the key."""
    metadata = sa.MetaData()
    for number in range(length):
        columns = [sa.Column("id", sa.Integer, primary_key=True)]
        if number:
            columns.append(sa.Column("up_id", sa.ForeignKey(f"t{number - 1}.id"), index=True))
        sa.Table(f"t{number}", metadata, *columns)
    return metadata


def migrate(engine: sa.Engine, metadata: sa.MetaData) -> Any:
    """Generate a script, run it up, down and up; returns its operations."""
    before = catalog(engine)
    with engine.connect() as connection:
        script = generate(connection, metadata)
    made: list[Any] = []
    for direction in ("upgrade", "downgrade", "upgrade"):
        with engine.begin() as connection:
            script.run(connection, direction, {"mysql": mysql})
        made.append(catalog(engine))
    assert made[1] == before
    assert made[2] == made[0]
    with engine.connect() as connection:
        assert differences(connection, metadata) == []
    return script.operations


def test_tables_are_dropped_before_those_they_reference(engine: sa.Engine) -> None:
    migrate(engine, chain(6))
    migrate(engine, sa.MetaData())


def test_a_table_is_dropped_after_the_column_that_references_it(engine: sa.Engine) -> None:
    migrate(engine, chain(2))
    without = sa.MetaData()
    sa.Table("t1", without, sa.Column("id", sa.Integer, primary_key=True))
    migrate(engine, without)


def test_a_key_is_dropped_before_its_index(engine: sa.Engine) -> None:
    migrate(engine, chain(2))
    without = chain(1)
    sa.Table("t1", without, sa.Column("id", sa.Integer, primary_key=True))
    migrate(engine, without)


def test_a_column_with_a_key_to_a_new_table_comes_after_the_table(engine: sa.Engine) -> None:
    migrate(engine, chain(1))
    more = chain(2)
    more.tables["t0"].append_column(sa.Column("best_id", sa.ForeignKey("t9.id"), index=True))
    sa.Table("t9", more, sa.Column("id", sa.Integer, primary_key=True))
    migrate(engine, more)


def test_operations_of_the_users_keep_their_places() -> None:
    engine = sa.create_engine("sqlite://")

    def directives(context: Any, revision: Any, scripts: list[Any]) -> None:
        scripts[0].upgrade_ops.ops.insert(0, ops.ExecuteSQLOp("SELECT 1"))
        scripts[0].upgrade_ops.ops.append(ops.ExecuteSQLOp("SELECT 2"))

    with engine.connect() as connection:
        made = generate(connection, chain(2), process_revision_directives=directives)
    operations = made.operations.upgrade_ops
    assert operations is not None
    kinds = [type(one) for one in operations.ops]
    assert kinds[0] is kinds[-1] is ops.ExecuteSQLOp
    assert kinds.count(ops.CreateTableOp) == 2
    engine.dispose()
