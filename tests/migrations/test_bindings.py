"""The databases of an application are found, whatever extension made them."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa

from flask_retort import SQLAlchemy
from flask_retort.errors import MigrationError
from flask_retort.migrations.bindings import bindings, is_same_database


def engine(url: str) -> sa.Engine:
    return sa.create_engine(url)


def table(metadata: sa.MetaData, name: str, bind: str | None) -> None:
    sa.Table(name, metadata, sa.Column("id", sa.Integer), info={"bind_key": bind})


def test_ours_has_engines_and_metadata_by_bind_key(app: flask.Flask) -> None:
    app.config["SQLALCHEMY_BINDS"] = {"far": "sqlite://"}
    db = SQLAlchemy(app)
    with app.app_context():
        found = bindings(db, ())
        assert list(found) == ["", "far"]
        assert found["far"].engine is db.engines["far"]
        assert found["far"].metadata is db.metadatas["far"]
        assert found[""].title == "default"


class Older:
    """The shape of Flask-SQLAlchemy 2: one metadata for all, engines by function."""

    def __init__(self) -> None:
        self.metadata = sa.MetaData()
        self.made = {None: engine("sqlite:///a.db"), "far": engine("sqlite:///b.db")}

    def get_engine(self, bind: str | None = None) -> sa.Engine:
        return self.made[bind]


def test_one_metadata_for_all_is_divided_by_bind_key() -> None:
    db = Older()
    table(db.metadata, "near", None)
    table(db.metadata, "stars", "far")
    found = bindings(db, ["far"])
    assert list(found[""].metadata.tables) == ["near"]
    assert list(found["far"].metadata.tables) == ["stars"]
    assert found["far"].engine is db.made["far"]


def test_the_shape_of_alchemical_is_known() -> None:
    made: dict[str | None, Any] = {None: sa.MetaData(), "far": sa.MetaData()}
    older = Older()
    db = types.SimpleNamespace(
        bind_names=["far"],
        get_engine=older.get_engine,
        get_metadata=lambda bind_key=None: made[bind_key],
    )
    assert bindings(db, ())["far"].metadata is made["far"]


def test_something_else_than_a_database_is_told() -> None:
    with pytest.raises(MigrationError, match=r"Migrate\(app, db\)"):
        bindings(types.SimpleNamespace(engine="sqlite://", metadata=sa.MetaData()), ())


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql+psycopg://u@host/shop", "postgresql+psycopg2://u:pw@host:5432/shop", True),
        ("postgresql+psycopg://u@host/shop", "postgresql+psycopg://u@host/other", False),
        ("postgresql+psycopg://u@host/shop", "postgresql+psycopg://v@host/shop", False),
        (
            "postgresql+psycopg://u@host/shop",
            "postgresql+psycopg://u@host/shop?options=-csearch_path%3Dother",
            False,
        ),
        ("mysql+pymysql://u@host/shop", "mysql+pymysql://u@host:3306/shop", True),
        ("sqlite://", "sqlite://", False),
        ("sqlite:///:memory:", "sqlite:///:memory:", False),
    ],
)
def test_the_same_database_is_known_by_its_address(one: str, other: str, same: bool) -> None:
    assert is_same_database(engine(one), engine(other)) is same


def test_a_file_is_the_same_by_any_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    direct = engine(f"sqlite:///{tmp_path / 'a.db'}")
    assert is_same_database(direct, engine(f"sqlite:///{tmp_path / 'link' / 'a.db'}"))
