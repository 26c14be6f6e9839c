"""Which engine a statement of a session goes to."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import exc
from sqlalchemy.orm.exc import UnmappedClassError

from flask_retort import SQLAlchemy
from flask_retort.session import Session


@pytest.fixture
def two(make_app: Any) -> tuple[Flask, SQLAlchemy[Any], Any, Any]:
    """An application with a default database and one under the key "other"."""
    app = make_app(SQLALCHEMY_BINDS={"other": "sqlite:///other.db"})
    db = SQLAlchemy(app)

    class Here(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    class There(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "other"
        id = sa.Column(sa.Integer, primary_key=True)

    with app.app_context():
        db.create_all()
    return app, db, Here, There


def test_a_statement_over_two_databases_is_refused(two: Any) -> None:
    """It cannot run on either: the error names both tables and what to write."""
    app, db, Here, There = two
    with app.app_context():
        for statement in (
            sa.select(Here.id, There.id),
            sa.select(Here).where(Here.id.in_(sa.select(There.id))),
            sa.select(Here).join(There, There.id == Here.id),
            sa.update(Here).where(Here.id == There.id).values(id=1),
        ):
            with pytest.raises(exc.UnboundExecutionError, match=r"'here'.*'there'"):
                db.session.execute(statement)


def test_a_union_finds_its_database_in_every_session(two: Any) -> None:
    """Also in a session that a test puts in place of the extension's, and in one made by hand."""
    app, db, _, There = two
    union: Any = sa.union(sa.select(There.id), sa.select(There.id))
    with app.app_context():
        db.session.add(There(id=7))
        db.session.commit()
        for session in (db.session, db._make_scoped_session({}), Session(db)):
            assert session.execute(union).all() == [(7,)]
            assert session.scalar(union) == 7
            assert session.scalars(union).all() == [7]
            session.close()


def test_two_keys_of_one_database_can_be_joined(make_app: Any) -> None:
    """Bind keys with the same URL are one database, and a statement over both runs there."""
    url = "sqlite:///same.db"
    app = make_app(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_BINDS={"alias": url})
    db: Any = SQLAlchemy(app)
    one = db.Table("one", sa.Column("id", sa.Integer))
    two = db.Table("two", sa.Column("id", sa.Integer), bind_key="alias")
    with app.app_context():
        db.create_all()
        db.session.execute(one.insert(), {"id": 1})
        db.session.commit()
        db.session.execute(two.insert(), {"id": 1})
        db.session.commit()
        both = sa.select(one, two).join(two, one.c.id == two.c.id)
        assert db.session.execute(both).all() == [(1, 1)]


def test_a_routing_session_can_pass_its_arguments_on_by_position(make_app: Any) -> None:
    """get_bind(mapper, clause, bind) is called by sessions that choose engines themselves."""
    app = make_app()

    class Routing(Session):
        def get_bind(self, mapper: Any = None, clause: Any = None, *args: Any, **kw: Any) -> Any:
            return super().get_bind(mapper, clause, None, **kw)

    db = SQLAlchemy(app, session_options={"class_": Routing})
    with app.app_context():
        assert db.session.scalar(sa.text("SELECT 1")) == 1


def test_naming_the_engine_overrides_the_choice(two: Any) -> None:
    """bind_arguments decides, whatever the tables are."""
    app, db, _, There = two
    with app.app_context(), pytest.raises(exc.OperationalError, match="no such table"):
        db.session.execute(sa.select(There), bind_arguments={"bind": db.engine})


def test_a_table_with_a_schema_can_be_joined_across_databases(make_app: Any) -> None:
    """A schema can name another database of the same server, so the mapper's engine decides."""
    app = make_app(SQLALCHEMY_BINDS={"other": "sqlite:///other.db"})
    db = SQLAlchemy(app)
    far = db.Table("far", sa.Column("id", sa.Integer), bind_key="other", schema="attached")

    class Near(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    with app.app_context():
        statement = sa.select(Near).join(far, far.c.id == Near.id)
        assert db.session.get_bind(mapper=Near, clause=statement) is db.engine


def test_statements_without_a_table_go_to_the_default_engine(two: Any) -> None:
    """Text and bare expressions run on the default database."""
    app, db, _, _ = two
    with app.app_context():
        assert db.session.get_bind(clause=sa.text("SELECT 1")) is db.engine
        assert db.session.get_bind() is db.engine
        assert db.session.scalar(sa.select(sa.literal(1))) == 1


def test_flush_reaches_every_database_of_a_transaction(two: Any) -> None:
    """Objects of both databases are written by one commit."""
    app, db, Here, There = two
    with app.app_context():
        db.session.add_all([Here(id=1), There(id=2)])
        db.session.commit()
    with app.app_context():
        assert db.session.get(Here, 1) is not None
        assert db.session.get(There, 2) is not None


def test_an_unknown_bind_key_is_named_with_the_known_ones(make_app: Any) -> None:
    """A model whose bind key is not configured says which key, and which there are."""
    app = make_app(SQLALCHEMY_BINDS={"auth": "sqlite://"})
    db = SQLAlchemy(app)

    class Lost(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "aut"
        id = sa.Column(sa.Integer, primary_key=True)

    with app.app_context():
        with pytest.raises(exc.UnboundExecutionError, match=r"'aut' is not in .*\['auth'\]"):
            db.session.get(Lost, 1)
        with pytest.raises(exc.UnboundExecutionError, match="'aut'"):
            db.create_all()


def test_an_unmapped_class_is_refused(make_app: Any) -> None:
    """get_bind with a class that is no model raises SQLAlchemy's own error."""
    app = make_app()
    db = SQLAlchemy(app)
    with app.app_context(), pytest.raises(UnmappedClassError):
        db.session.get_bind(mapper=dict)


def test_session_binds_win_over_bind_keys(make_app: Any) -> None:
    """A session made with ``binds`` uses them, and falls back to the application's engines."""
    app = make_app()
    db = SQLAlchemy(app)

    class One(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    class Two(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    engine = sa.create_engine("sqlite://")
    with app.app_context():
        session = db.session(binds={One: engine})
        assert session.get_bind(mapper=One) is engine
        assert session.get_bind(mapper=Two) is db.engine
    engine.dispose()
