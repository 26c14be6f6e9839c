"""The thirteen known defects of the predecessor, as rules that hold here.

The module under test is named by ``RETORT_DEFECTS_AGAINST``; run against the predecessor every one
of these tests fails, which ``tests/interop`` checks.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, Response
from sqlalchemy import orm

NAME = os.environ.get("RETORT_DEFECTS_AGAINST", "flask_retort")
extension = importlib.import_module(NAME)
record_queries = importlib.import_module(f"{NAME}.record_queries")
signals = importlib.import_module(f"{NAME}.track_modifications")


class Shop:
    """An application with parents, their children, and a note in another database."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.app = Flask("defects", instance_path=str(folder / "instance"))
        self.app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///default.db"
        self.app.config.update(config)
        self.db = db = extension.SQLAlchemy(self.app)

        class Parent(db.Model):  # type: ignore[name-defined, misc]
            id = sa.Column(sa.Integer, primary_key=True)
            name = sa.Column(sa.String(20))
            children = orm.relationship("Child", back_populates="parent")

        class Child(db.Model):  # type: ignore[name-defined, misc]
            id = sa.Column(sa.Integer, primary_key=True)
            parent_id = sa.Column(sa.Integer, sa.ForeignKey(Parent.id))
            parent = orm.relationship(Parent, back_populates="children")

        self.Parent, self.Child = Parent, Child

    def fill(self, parents: int, children: int = 0) -> None:
        with self.app.app_context():
            self.db.create_all()
            ids = range(1, parents + 1)
            self.db.session.add_all(self.Parent(id=i, name=f"n{i % 7}") for i in ids)
            self.db.session.flush()
            self.db.session.add_all(self.Child(parent_id=i) for i in ids for _ in range(children))
            self.db.session.commit()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    _close(shop)


def _close(shop: Shop) -> None:
    with shop.app.app_context():
        shop.db.session.remove()
        for engine in shop.db.engines.values():
            engine.dispose()


def test_x1_a_session_ends_with_its_context_though_another_teardown_raises(shop: Shop) -> None:
    """A teardown handler that raises leaves no session and no connection behind."""
    shop.fill(parents=0)

    @shop.app.teardown_appcontext
    def broken(error: BaseException | None) -> None:
        raise ValueError("broken handler")

    with (
        # Flask 3.2 raises the errors of teardown handlers in a group.
        pytest.RaisesGroup(ValueError, allow_unwrapped=True, flatten_subgroups=True),
        shop.app.app_context(),
    ):
        shop.db.session.add(shop.Parent(name="never committed"))
        shop.db.session.flush()
        pool = shop.db.engine.pool
    shop.app.teardown_appcontext_funcs.remove(broken)
    assert pool.checkedout() == 0
    for _ in range(20):
        with shop.app.app_context():
            assert not list(shop.db.session)
            assert shop.db.session.scalar(sa.select(sa.func.count(shop.Parent.id))) == 0


def test_x2_every_statement_runs_on_the_database_of_its_tables(tmp_path: Path) -> None:
    """Core selects, exists() and union() on a bound table are answered by its own database."""
    shop = Shop(tmp_path, SQLALCHEMY_BINDS={"other": "sqlite:///other.db"})
    note = shop.db.Table("note", sa.Column("id", sa.Integer, primary_key=True), bind_key="other")

    class Memo(shop.db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "other"
        id = sa.Column(sa.Integer, primary_key=True)

    with shop.app.app_context():
        session = shop.db.session
        shop.db.create_all()
        session.execute(note.insert(), [{"id": 1}, {"id": 2}])
        session.execute(sa.insert(Memo), [{"id": 7}])
        session.commit()
        assert session.scalars(sa.select(note).order_by(note.c.id)).all() == [1, 2]
        assert session.scalar(sa.select(sa.func.count()).select_from(note)) == 2
        assert session.scalar(sa.select(sa.exists().where(note.c.id == 2))) is True
        both = sa.union(sa.select(Memo.id), sa.select(note.c.id))
        assert sorted(session.scalars(both)) == [1, 2, 7]
        assert sorted(session.scalars(sa.union(sa.select(Memo.id), sa.select(Memo.id)))) == [7]
    _close(shop)


def test_x3_a_session_uses_the_connection_it_is_given(shop: Shop) -> None:
    """A session bound to a connection works in its transaction, and is rolled back with it."""
    shop.fill(parents=0)
    with shop.app.app_context():
        with shop.db.engine.connect() as connection:
            outer = connection.begin()
            session = shop.db.session(bind=connection, join_transaction_mode="create_savepoint")
            session.add(shop.Parent(name="isolated"))
            session.commit()
            shop.db.session.remove()
            outer.rollback()
        assert shop.db.session.scalar(sa.select(sa.func.count(shop.Parent.id))) == 0


def test_x4_a_request_cannot_ask_for_more_than_the_cap(shop: Shop) -> None:
    """The documented cap of 100 a page holds when the view gives none."""
    shop.fill(parents=300)
    with shop.app.test_request_context("/?per_page=100000"):
        assert len(shop.db.paginate(sa.select(shop.Parent)).items) == 100


def test_x5_the_previous_page_is_of_the_same_size(shop: Shop) -> None:
    """prev() keeps the size limit of the page, so that no row is out of reach backwards."""
    shop.fill(parents=400)
    select = sa.select(shop.Parent).order_by(shop.Parent.id)
    with shop.app.app_context():
        second = shop.db.paginate(select, page=2, per_page=200, max_per_page=200)
        assert [p.id for p in second.prev().items] == list(range(1, 201))


def test_x6_a_page_over_a_join_has_distinct_objects_and_their_number(shop: Shop) -> None:
    """A page of parents joined to children is full, and its total counts parents."""
    shop.fill(parents=50, children=3)
    select = sa.select(shop.Parent).join(shop.Parent.children).order_by(shop.Parent.id)
    with shop.app.app_context():
        page = shop.db.paginate(select, page=2, per_page=20)
        assert [p.id for p in page.items] == list(range(21, 41))
        assert page.total == 50


def test_x7_a_page_of_several_columns_has_them_all(shop: Shop) -> None:
    """A two-column select gives rows of two values."""
    shop.fill(parents=10)
    select: Any = sa.select(shop.Parent.id, shop.Parent.name).order_by(shop.Parent.id)
    with shop.app.app_context():
        assert shop.db.paginate(select, per_page=2).items == [(1, "n1"), (2, "n2")]


def test_x8_signals_follow_the_real_commit(tmp_path: Path) -> None:
    """Nothing is sent at a savepoint, all that was committed is sent at the commit, once."""
    pytest.importorskip("blinker")
    shop = Shop(tmp_path, SQLALCHEMY_TRACK_MODIFICATIONS=True)
    shop.fill(parents=0)
    sent: list[list[str]] = []

    def receive(sender: Flask, changes: list[tuple[Any, str]]) -> None:
        sent.append([f"{operation} {obj.name}" for obj, operation in changes])

    with shop.app.app_context(), signals.models_committed.connected_to(receive, shop.app):
        session = shop.db.session
        session.add(shop.Parent(name="outer"))
        session.flush()
        with session.begin_nested():
            session.add(shop.Parent(name="released"))
        assert sent == []
        savepoint = session.begin_nested()
        session.add(shop.Parent(name="undone"))
        session.flush()
        savepoint.rollback()
        session.commit()
        assert [sorted(changes) for changes in sent] == [["insert outer", "insert released"]]
    _close(shop)


def test_x9_a_released_savepoint_is_rolled_back_with_its_transaction(shop: Shop) -> None:
    """On SQLite a row added in a released savepoint is gone after rollback()."""
    shop.fill(parents=0)
    with shop.app.app_context():
        with shop.db.session.begin_nested():
            shop.db.session.add(shop.Parent(name="gone"))
        shop.db.session.rollback()
        assert shop.db.session.scalar(sa.select(sa.func.count(shop.Parent.id))) == 0


def test_x10_contexts_on_an_in_memory_database_are_isolated(tmp_path: Path) -> None:
    """An inner context does not see, and its rollback does not destroy, what an outer one adds."""
    shop = Shop(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://")
    shop.fill(parents=0)
    count = sa.select(sa.func.count(shop.Parent.id))
    with shop.app.app_context():
        shop.db.session.add(shop.Parent(name="outer"))
        shop.db.session.flush()
        with shop.app.app_context():
            assert shop.db.session.scalar(count) == 0
            shop.db.session.rollback()
        shop.db.session.commit()
        assert shop.db.session.scalar(count) == 1
    _close(shop)


def test_x11_sqlite_has_safe_defaults(shop: Shop) -> None:
    """Foreign keys are enforced, readers do not block writers, a busy database is waited for."""
    with shop.app.app_context(), shop.db.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("foreign_keys", "journal_mode", "busy_timeout")
        }
    assert pragmas["foreign_keys"] == 1
    assert pragmas["journal_mode"] == "wal"
    assert pragmas["busy_timeout"] > 5000


def test_x12_a_stream_without_its_context_says_what_to_write(shop: Shop) -> None:
    """A generator response that uses the session too late is answered with stream_with_context."""
    shop.fill(parents=2)

    @shop.app.get("/stream")
    def stream() -> Response:
        def generate() -> Iterator[str]:
            for parent in shop.db.session.scalars(sa.select(shop.Parent)):
                yield parent.name

        return Response(generate())

    with pytest.raises(RuntimeError, match="stream_with_context"):
        shop.app.test_client().get("/stream")


def test_x13_counting_a_page_does_not_select_every_column(tmp_path: Path) -> None:
    """The statement that counts selects the key, not the other columns."""
    shop = Shop(tmp_path, SQLALCHEMY_RECORD_QUERIES=True)
    shop.fill(parents=30)
    with shop.app.app_context():
        shop.db.paginate(sa.select(shop.Parent))
        counts = [
            info.statement
            for info in record_queries.get_recorded_queries()
            if "count" in info.statement.lower()
        ]
        assert len(counts) == 1
        assert "name" not in counts[0]
    _close(shop)
