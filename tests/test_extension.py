"""Registering, engines, metadata, and the small helpers of the ``db`` object."""

from __future__ import annotations

import gc
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import event, exc, orm
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.exceptions import NotFound

from flask_retort import SQLAlchemy
from flask_retort.errors import ConfigurationError
from flask_retort.query import Query

# --- repr: the five cases -----------------------------------------------------


@pytest.mark.parametrize(
    ("default", "binds", "expected"),
    [
        ("sqlite://", [], "<SQLAlchemy sqlite://>"),
        ("sqlite://", ["a", "b"], "<SQLAlchemy sqlite:// +2 engines>"),
        (None, ["x"], "<SQLAlchemy (No default engine) +1 engines>"),
        (None, ["a", "b"], "<SQLAlchemy (No default engine) +2 engines>"),
    ],
)
def test_repr_tells_the_engines(default: str | None, binds: list[str], expected: str) -> None:
    """In a context repr(db) is the default URL and the number of other engines."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = default
    app.config["SQLALCHEMY_BINDS"] = dict.fromkeys(binds, "sqlite:///:memory:")
    db = SQLAlchemy(app)
    with app.app_context():
        assert repr(db) == expected


def test_repr_needs_no_context(app: Flask) -> None:
    """Outside a context repr(db) is only the name."""
    assert repr(SQLAlchemy(app)) == "<SQLAlchemy>"


def test_repr_hides_the_password() -> None:
    """The password of a URL is not in repr(db)."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg://me:s3cret@127.0.0.1/x"
    db = SQLAlchemy(app)
    with app.app_context():
        assert "s3cret" not in repr(db)
        assert "s3cret" not in repr(db.engine)
        assert "me:***@" in repr(db)


def test_repr_hides_a_password_in_the_query() -> None:
    """A password given as a parameter of the URL is not in repr(db)."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg://h/x?password=s3cret"
    db = SQLAlchemy(app)
    with app.app_context():
        assert "s3cret" not in repr(db)


# --- registering --------------------------------------------------------------


def test_a_second_registration_is_refused(app: Flask) -> None:
    """One application has one SQLAlchemy object."""
    SQLAlchemy(app)
    with pytest.raises(RuntimeError, match="already been registered"):
        SQLAlchemy(app)


def test_an_unregistered_application_is_named(make_app: Any) -> None:
    """Using db in the context of an application that it was not initialised with says so."""
    other = Flask("other")
    db = SQLAlchemy(make_app())
    with other.app_context(), pytest.raises(RuntimeError, match=r"'other'.*init_app"):
        _ = db.engines


def test_a_failed_registration_leaves_nothing(make_app: Any) -> None:
    """When one URL is wrong the application is as before, and can be initialised again."""
    app = make_app(SQLALCHEMY_BINDS={"bad": "no-such-dialect://x"})
    db = SQLAlchemy()
    with pytest.raises(ConfigurationError):
        db.init_app(app)
    assert "sqlalchemy" not in app.extensions
    assert app.shell_context_processors == []
    app.config["SQLALCHEMY_BINDS"] = {}
    db.init_app(app)
    with app.app_context():
        assert db.session.scalar(sa.text("SELECT 1")) == 1


def test_registering_after_the_first_request_leaves_nothing(app: Flask) -> None:
    """Flask refuses it, and the application is as if it had not been tried."""
    app.test_client().get("/")
    with pytest.raises(AssertionError, match="setup method"):
        SQLAlchemy(app)
    assert "sqlalchemy" not in app.extensions


def test_the_configuration_holds_the_checked_values(make_app: Any) -> None:
    """What was given as text, as from the environment, is a number or yes and no afterwards."""
    app: Flask = make_app(RETORT_MAX_PER_PAGE="50", SQLALCHEMY_TRACK_MODIFICATIONS="false")
    SQLAlchemy(app)
    assert app.config["RETORT_MAX_PER_PAGE"] == 50
    assert app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] is False


def test_registering_again_disposes_the_old_engines(app: Flask) -> None:
    """After the extension was deleted from the application, init_app makes new engines."""
    db = SQLAlchemy(app)
    with app.app_context():
        old = db.engine
        db.session.execute(sa.text("SELECT 1"))
    del app.extensions["sqlalchemy"]
    db.init_app(app)
    with app.app_context():
        assert db.engine is not old
    assert old.pool.checkedin() == 0  # type: ignore[attr-defined]


def test_engines_end_with_their_application(tmp_path: Path) -> None:
    """When an application is collected the connections of its engines are closed."""
    app: Flask | None = Flask("short", instance_path=str(tmp_path))
    assert app is not None
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///short.db"
    db = SQLAlchemy(app)
    closed: list[Any] = []
    with app.app_context():
        event.listen(db.engine, "close", lambda connection, record: closed.append(connection))
        db.session.execute(sa.text("SELECT 1"))
    assert not closed
    app = None
    gc.collect()
    assert len(closed) == 1


@pytest.mark.parametrize("url", ["sqlite://", "postgresql+psycopg://h/d", "mysql+pymysql://h/d"])
def test_an_engine_listens_to_no_engine_event_unless_asked(make_app: Any, url: str) -> None:
    """One listener for any of them would cost every statement of the engine about 20 us."""
    app = make_app(SQLALCHEMY_DATABASE_URI=url)
    db = SQLAlchemy(app)
    with app.app_context():
        assert not db.engine._has_events


# --- engines and metadata -----------------------------------------------------


def test_get_engine_takes_all_its_older_forms(make_app: Any) -> None:
    """get_engine(), get_engine(key), get_engine(bind=key) and get_engine(app, bind=key)."""
    app = make_app(SQLALCHEMY_BINDS={"a": "sqlite://"})
    db = SQLAlchemy(app)
    with app.app_context():
        a = db.engines["a"]
        assert db.get_engine() is db.engine
        assert db.get_engine("a") is db.get_engine(bind="a") is db.get_engine(app, bind="a") is a
        assert db.get_engine(app) is db.get_engine(app=app) is db.engine
        with pytest.raises(TypeError):
            db.get_engine(bind_kye="a")  # type: ignore[call-arg]
        with pytest.raises(RuntimeError, match=r"'stranger'.*init_app"):
            db.get_engine(Flask("stranger"))


def test_create_all_without_a_default_database(make_app: Any) -> None:
    """With bound databases only, create_all works unless a model is in the default one."""
    app = make_app(SQLALCHEMY_DATABASE_URI=None, SQLALCHEMY_BINDS={"a": "sqlite://"})
    db = SQLAlchemy(app)
    db.Table("t", sa.Column("id", sa.Integer), bind_key="a")
    with app.app_context():
        db.create_all()
        db.drop_all(bind_key=["a"])
        db.Table("stray", sa.Column("id", sa.Integer))
        with pytest.raises(exc.UnboundExecutionError, match="SQLALCHEMY_DATABASE_URI"):
            db.create_all()
        with pytest.raises(exc.UnboundExecutionError, match="no default engine"):
            _ = db.engine


def test_create_all_refuses_an_unknown_key(app: Flask) -> None:
    """A bind key that is not configured is named."""
    db = SQLAlchemy(app)
    with app.app_context(), pytest.raises(exc.UnboundExecutionError, match="'nowhere'"):
        db.create_all("nowhere")


def test_drop_all_needs_no_order_and_waits_for_nobody(database_url: sa.URL, make_app: Any) -> None:
    """Rows that refer to each other in a circle go, with what the session has not committed."""
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url)
    db: Any = SQLAlchemy(app)

    class Chicken(db.Model):  # type: ignore[misc]
        id = sa.Column(sa.Integer, primary_key=True)
        egg_id = sa.Column(sa.Integer, sa.ForeignKey("egg.id", name="fk_chicken_egg"))

    class Egg(db.Model):  # type: ignore[misc]
        id = sa.Column(sa.Integer, primary_key=True)
        chicken_id = sa.Column(sa.Integer, sa.ForeignKey("chicken.id", name="fk_egg_chicken"))

    with app.app_context():
        db.create_all()
        db.session.add_all([Chicken(id=1), Egg(id=1)])
        db.session.flush()
        db.session.execute(sa.update(Chicken).values(egg_id=1))
        db.session.execute(sa.update(Egg).values(chicken_id=1))
        db.session.commit()
        db.session.execute(sa.update(Egg).values(chicken_id=None))
        with (
            pytest.warns(sa.exc.SAWarning) if database_url.drivername == "sqlite" else nullcontext()
        ):
            db.drop_all()
        assert sa.inspect(db.engine).get_table_names() == []


def test_drop_all_refuses_to_leave_rows_without_what_they_refer_to(make_app: Any) -> None:
    """On SQLite a table outside the models that refers to a dropped one stops it, whole."""
    app = make_app()
    db: Any = SQLAlchemy(app)
    db.Table("parent", sa.Column("id", sa.Integer, primary_key=True))
    db.Table("another", sa.Column("id", sa.Integer, primary_key=True))
    with app.app_context():
        db.create_all()
        for statement in (
            "CREATE TABLE outsider (parent_id INTEGER REFERENCES parent (id))",
            "INSERT INTO parent VALUES (1)",
            "INSERT INTO outsider VALUES (1)",
        ):
            db.session.execute(sa.text(statement))
        db.session.commit()
        with pytest.raises(exc.IntegrityError):
            db.drop_all()
        assert len(sa.inspect(db.engine).get_table_names()) == 3


def test_a_table_can_be_reflected_by_name_only(app: Flask) -> None:
    """db.Table(name, autoload_with=engine) needs neither metadata nor columns."""
    db = SQLAlchemy(app)
    with app.app_context():
        with db.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE old (id INTEGER PRIMARY KEY, name TEXT)")
        old = db.Table("old", autoload_with=db.engine)
    assert old.metadata is db.metadata
    assert old.c.keys() == ["id", "name"]


# --- views --------------------------------------------------------------------


def test_404_helpers_carry_their_description(app: Flask) -> None:
    """The description given to a helper is the text of the 404 answer."""
    db = SQLAlchemy(app)

    class Note(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    select = sa.select(Note)
    with app.app_context():
        db.create_all()
        calls: list[Any] = [
            lambda: db.get_or_404(Note, 1, description="no note 1"),
            lambda: db.first_or_404(select, description="no note 1"),
            lambda: db.one_or_404(select, description="no note 1"),
            lambda: Note.query.first_or_404("no note 1"),
            lambda: Note.query.one_or_404("no note 1"),
        ]
        for call in calls:
            with pytest.raises(NotFound) as info:
                call()
            assert info.value.description == "no note 1"


def test_backrefs_of_every_form_get_the_query_class(app: Flask) -> None:
    """A backref given as a name, or as a name and options, is of the extension's query class."""
    db = SQLAlchemy(app)

    class Parent(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    class Child(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)
        parent_id = sa.Column(sa.Integer, sa.ForeignKey(Parent.id))
        parent = db.relationship(Parent, backref=("children", {"lazy": "dynamic"}))

    orm.configure_mappers()
    with app.app_context():
        parent: Any = Parent()
        assert isinstance(parent.children, Query)


# --- names of SQLAlchemy ------------------------------------------------------


def test_db_gives_sqlalchemys_public_names(app: Flask) -> None:
    """db.X is sqlalchemy's X, else sqlalchemy.orm's; nothing private."""
    db = SQLAlchemy(app)
    assert db.Column is sa.Column
    assert db.joinedload is orm.joinedload
    assert db.event is event
    for name in ("_private", "no_such_name", "__wrapped__"):
        with pytest.raises(AttributeError, match=name):
            getattr(db, name)


def test_a_metadata_argument_beside_a_2x_base_is_warned_of() -> None:
    """The base's metadata is used and the warning says where to set it."""

    class Base(DeclarativeBase):
        pass

    with pytest.deprecated_call(match="class Base"):
        db = SQLAlchemy(model_class=Base, metadata=sa.MetaData())
    assert db.metadata is Base.metadata


def test_a_typed_model_round_trips(database_url: sa.URL, make_app: Any) -> None:
    """A model written with Mapped columns stores and loads on every engine."""

    class Base(DeclarativeBase):
        pass

    app = make_app(SQLALCHEMY_DATABASE_URI=database_url)
    db = SQLAlchemy(app, model_class=Base)

    class User(Base):
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(sa.String(30), unique=True)

    with app.app_context():
        db.create_all()
        db.session.add(User(name="Zoë 🐍"))
        db.session.commit()
    with app.app_context():
        assert db.first_or_404(db.select(User)).name == "Zoë 🐍"
        assert db.session.scalars(sa.select(User.name)).all() == ["Zoë 🐍"]
