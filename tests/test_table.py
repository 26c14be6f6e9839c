"""db.Table: which metadata a table gets."""

from __future__ import annotations

import sqlalchemy as sa

from flask_retort import SQLAlchemy
from flask_retort.table import Table


def test_a_table_belongs_to_the_db_that_made_it() -> None:
    """Two SQLAlchemy objects have table classes of their own, with their own metadata."""
    one, two = SQLAlchemy(), SQLAlchemy()
    column = sa.Column("id", sa.Integer, primary_key=True)
    table = one.Table("t", column)
    assert isinstance(table, Table)
    assert table.metadata is one.metadata
    assert two.Table("t", sa.Column("id", sa.Integer)) is not table


def test_a_bind_key_chooses_the_metadata_with_the_naming_convention() -> None:
    """The metadata of a new bind key has the default's naming convention."""
    db = SQLAlchemy(metadata=sa.MetaData(naming_convention={"pk": "pk_%(table_name)s"}))
    table = db.Table("t", sa.Column("id", sa.Integer, primary_key=True), bind_key="other")
    assert table.metadata is db.metadatas["other"]
    assert table.primary_key.name == "pk_t"


def test_options_of_a_table_are_kept() -> None:
    """Schema, comment and keyword arguments reach SQLAlchemy's table."""
    table = SQLAlchemy().Table("t", sa.Column("id", sa.Integer), schema="shop", comment="a table")
    assert (table.schema, table.comment, table.key) == ("shop", "a table", "shop.t")


def test_naming_a_table_again_gives_the_same_table() -> None:
    """db.Table("t") without columns is the table that is known, as in SQLAlchemy."""
    db = SQLAlchemy()
    table = db.Table("t", sa.Column("id", sa.Integer))
    assert db.Table("t") is table
