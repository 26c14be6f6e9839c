"""Each difference between models and database is one sentence in the user's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations
from alembic.runtime.migration import MigrationContext

from flask_retort.migrations.autogenerate.differences import lines

Change = Callable[[sa.MetaData], object]


def models() -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table("teams", metadata, sa.Column("id", sa.Integer, primary_key=True))
    sa.Table(
        "users",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(20), nullable=False, comment="shown"),
        sa.Column("team_id", sa.Integer),
        sa.Column("age", sa.Integer, server_default="1"),
        comment="people",
    )
    return metadata


@pytest.fixture
def connection(postgresql_url: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(postgresql_url, poolclass=sa.NullPool)
    models().create_all(engine)
    with engine.connect() as connection:
        yield connection


def users(metadata: sa.MetaData) -> sa.Table:
    return metadata.tables["users"]


CASES: dict[str, Change] = {
    "table posts is missing in the database": lambda m: sa.Table(
        "posts", m, sa.Column("id", sa.Integer)
    ),
    "table teams is in the database and not in the models": lambda m: m.remove(m.tables["teams"]),
    "table users: column nick is missing in the database": lambda m: users(m).append_column(
        sa.Column("nick", sa.String(5))
    ),
    "table users: column name has the type VARCHAR(length=20) in the database and"
    " String(length=30) in the models": lambda m: setattr(
        users(m).c["name"], "type", sa.String(30)
    ),
    "table users: column name may not be NULL in the database and may be NULL in the"
    " models": lambda m: setattr(users(m).c["name"], "nullable", True),
    "table users: column age has the server default '1' in the database and none in the"
    " models": lambda m: setattr(users(m).c["age"], "server_default", None),
    "table users: column name has the comment 'shown' in the database and 'hidden' in the"
    " models": lambda m: setattr(users(m).c["name"], "comment", "hidden"),
    "table users: index ix_name on name is missing in the database": lambda m: sa.Index(
        "ix_name", users(m).c["name"]
    ),
    "table users: unique index ix_age on age is missing in the database": lambda m: sa.Index(
        "ix_age", users(m).c["age"], unique=True
    ),
    "table users: unique constraint uq_name on name is missing in the database": lambda m: users(
        m
    ).append_constraint(sa.UniqueConstraint("name", name="uq_name")),
    "table users: foreign key fk_team from team_id to teams.id is missing in the"
    " database": lambda m: users(m).append_constraint(
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_team")
    ),
    "table users has the comment 'people' in the database and 'persons' in the models": lambda m: (
        setattr(users(m), "comment", "persons")
    ),
}


@pytest.mark.parametrize("sentence", CASES)
def test_a_difference_is_one_sentence(connection: sa.Connection, sentence: str) -> None:
    metadata = models()
    CASES[sentence](metadata)
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    upgrade = produce_migrations(context, metadata).upgrade_ops
    assert upgrade is not None
    assert lines([upgrade]) == [sentence]


def test_no_difference_is_no_sentence(connection: sa.Connection) -> None:
    upgrade = produce_migrations(MigrationContext.configure(connection), models()).upgrade_ops
    assert upgrade is not None
    assert lines([upgrade]) == []
