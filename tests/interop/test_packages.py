"""Each package does a small real job."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, session

import flask_retort

needs_alias = pytest.mark.needs_alias
ALIASED = os.environ.get("RETORT_ALIAS") == "1"


@pytest.fixture(autouse=True)
def the_old_name_is_left_as_it_was() -> Iterator[None]:
    """After each package's work, it is still ours where it was aliased, and only there."""
    yield
    module = sys.modules.get("flask_sqlalchemy")
    assert module is None or (module.SQLAlchemy is flask_retort.SQLAlchemy) is ALIASED


def test_the_old_name_is_ours_only_with_the_alias() -> None:
    """Aliased, flask_sqlalchemy is our class under the old name; else it is the real package."""
    import flask_sqlalchemy

    assert (flask_sqlalchemy.SQLAlchemy is flask_retort.SQLAlchemy) is ALIASED


def test_flask_migrate_makes_and_runs_a_revision(make_app: Any, tmp_path: Path) -> None:
    """init, migrate, upgrade, downgrade: the tables come and go."""
    import flask_migrate

    app: Flask = make_app()
    db: Any = flask_retort.SQLAlchemy(app)
    db.Table("note", sa.Column("id", sa.Integer, primary_key=True))
    folder = str(tmp_path / "migrations")
    flask_migrate.Migrate(app, db)
    with app.app_context():
        flask_migrate.init(folder)
        flask_migrate.migrate(folder, message="notes")
        flask_migrate.upgrade(folder)
        assert "note" in sa.inspect(db.engine).get_table_names()
        flask_migrate.downgrade(folder)
        assert "note" not in sa.inspect(db.engine).get_table_names()


def test_flask_migrate_with_two_databases(make_app: Any, tmp_path: Path) -> None:
    """The multi-database template creates each table in its own database."""
    import flask_migrate

    app: Flask = make_app(SQLALCHEMY_BINDS={"far": "sqlite:///far.db"})
    db: Any = flask_retort.SQLAlchemy(app)
    db.Table("near_note", sa.Column("id", sa.Integer, primary_key=True))
    db.Table("far_note", sa.Column("id", sa.Integer, primary_key=True), bind_key="far")
    folder = str(tmp_path / "migrations")
    flask_migrate.Migrate(app, db)
    with app.app_context():
        flask_migrate.init(folder, multidb=True)
        flask_migrate.migrate(folder)
        flask_migrate.upgrade(folder)
        assert "near_note" in sa.inspect(db.engine).get_table_names()
        assert "far_note" in sa.inspect(db.engines["far"]).get_table_names()
        assert "far_note" not in sa.inspect(db.engine).get_table_names()


def test_flask_alembic_compares_models_with_the_database(make_app: Any) -> None:
    """A table that is only in the models is found, created by a revision, and found no more."""
    from flask_alembic import Alembic

    app: Flask = make_app()
    db: Any = flask_retort.SQLAlchemy(app)
    db.Table("note", sa.Column("id", sa.Integer, primary_key=True))
    alembic = Alembic(app)
    with app.app_context():
        assert len(alembic.compare_metadata()) == 1
        alembic.revision("notes")
        alembic.upgrade()
        assert not alembic.compare_metadata()


@needs_alias
def test_flask_admin_lists_creates_and_searches(make_app: Any, make_db: Any) -> None:
    """ModelView(User, db) shows the rows, adds one, and finds it."""
    from flask_admin import Admin
    from flask_admin.contrib.sqla import ModelView
    from flask_babel import Babel

    app: Flask = make_app(WTF_CSRF_ENABLED=False)
    db, User = make_db(app)

    class UserView(ModelView):
        column_searchable_list = ("name",)

    Babel(app)  # installed here for Flask-AppBuilder; Flask-Admin then expects it
    Admin(app).add_view(UserView(User, db))
    client = app.test_client()
    assert "Grace" in client.get("/admin/user/").text
    assert client.post("/admin/user/new/", data={"name": "Hedy"}).status_code == 302
    found = client.get("/admin/user/?search=Hed").text
    assert "Hedy" in found
    assert "Grace" not in found


def test_flask_admin_takes_the_session(make_app: Any, make_db: Any) -> None:
    """ModelView(User, db.session), the older spelling, lists the rows."""
    from flask_admin import Admin
    from flask_admin.contrib.sqla import ModelView
    from flask_babel import Babel

    app: Flask = make_app()
    db, User = make_db(app)
    Babel(app)
    with pytest.warns(DeprecationWarning, match="Passing a session object"):
        Admin(app).add_view(ModelView(User, db.session))
    assert "Ada" in app.test_client().get("/admin/user/").text


@needs_alias
@pytest.mark.parametrize("bind_key", [None, "sessions"])
def test_flask_session_keeps_sessions_in_the_database(make_app: Any, bind_key: str | None) -> None:
    """A value set in one request is there in the next, in a row of the chosen database."""
    from flask_session import Session

    app: Flask = make_app(
        SESSION_TYPE="sqlalchemy",
        SESSION_SQLALCHEMY_BIND_KEY=bind_key,
        SQLALCHEMY_BINDS={"sessions": "sqlite:///sessions.db"},
    )
    db: Any = flask_retort.SQLAlchemy(app)
    app.config["SESSION_SQLALCHEMY"] = db
    Session(app)

    @app.get("/count")
    def count() -> str:
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    with app.app_context():
        db.create_all()
    client = app.test_client()
    assert [client.get("/count").text for _ in range(3)] == ["1", "2", "3"]
    with app.app_context(), db.engines[bind_key].connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM sessions")) == 1


def test_flask_marshmallow_dumps_and_loads_models(make_app: Any, make_db: Any) -> None:
    """An automatic schema writes a model as a dictionary and reads it back as an instance."""
    from flask_marshmallow import Marshmallow

    app: Flask = make_app()
    db, User = make_db(app)
    ma: Any = Marshmallow(app)

    class UserSchema(ma.SQLAlchemyAutoSchema):
        class Meta:
            model = User
            load_instance = True

    with app.app_context():
        ada = db.session.scalar(sa.select(User).filter_by(name="Ada"))
        assert UserSchema().dump(ada) == {"id": 1, "name": "Ada"}
        assert UserSchema().load({"id": 1, "name": "Lovelace"}) is ada
        db.session.commit()
        assert db.session.get(User, 1).name == "Lovelace"


@needs_alias
def test_flask_debugtoolbar_shows_the_queries(make_app: Any, make_db: Any) -> None:
    """The query panel of a page lists its statement."""
    from flask_debugtoolbar import DebugToolbarExtension

    app: Flask = make_app(SQLALCHEMY_RECORD_QUERIES=True, DEBUG_TB_ENABLED=True)
    app.debug = True
    db, User = make_db(app)
    DebugToolbarExtension(app)

    @app.get("/")
    def index() -> str:
        db.session.scalars(sa.select(User)).all()
        return "<html><body>hello</body></html>"

    page = app.test_client().get("/").text
    assert "flDebugSQLAlchemyPanel" in page or "SQLAlchemy" in page
    assert "1 query" in page


def test_flask_security_logs_a_user_in(make_app: Any) -> None:
    """A user of SQLAlchemyUserDatastore logs in and reaches a protected page."""
    from flask_security import Security, SQLAlchemyUserDatastore, auth_required, hash_password
    from flask_security.models import fsqla_v3 as fsqla

    app: Flask = make_app(
        SECURITY_PASSWORD_SALT="only for tests",
        SECURITY_PASSWORD_HASH="pbkdf2_sha512",
        SECURITY_EMAIL_VALIDATOR_ARGS={"check_deliverability": False},
        WTF_CSRF_ENABLED=False,
    )
    db: Any = flask_retort.SQLAlchemy(app)
    fsqla.FsModels.set_db_info(db)

    class Role(db.Model, fsqla.FsRoleMixin):
        pass

    class User(db.Model, fsqla.FsUserMixin):
        pass

    store = SQLAlchemyUserDatastore(db, User, Role)
    app.security = Security(app, store)  # type: ignore[attr-defined]

    @app.get("/secret")
    @auth_required()
    def secret() -> str:
        return "the secret"

    with app.app_context():
        db.create_all()
        store.create_user(email="ada@example.com", password=hash_password("correct horse"))
        db.session.commit()
    client = app.test_client()
    assert "the secret" not in client.get("/secret", follow_redirects=True).text
    form = {"email": "ada@example.com", "password": "correct horse"}
    client.post("/login", data=form)
    assert client.get("/secret").text == "the secret"


@needs_alias
def test_flask_appbuilder_builds_on_a_subclass(make_app: Any) -> None:
    """Its SQLA, a subclass of our class, makes its tables, an administrator, and a list page."""
    from flask_appbuilder import AppBuilder, Model, ModelView
    from flask_appbuilder.models.sqla.base import SQLA
    from flask_appbuilder.models.sqla.interface import SQLAInterface

    assert issubclass(SQLA, flask_retort.SQLAlchemy)
    app: Flask = make_app(WTF_CSRF_ENABLED=False)
    db: Any = SQLA(app)

    class Contact(Model):  # type: ignore[misc]
        __tablename__ = "contact"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(50), unique=True, nullable=False)

    class ContactView(ModelView):
        datamodel = SQLAInterface(Contact)
        list_columns = ("name",)

    with app.app_context():
        builder: Any = AppBuilder(app, db.session)
        builder.add_view(ContactView, "Contacts")
        db.session.add(Contact(name="Ada"))
        db.session.commit()
        role = builder.sm.find_role(builder.sm.auth_role_admin)
        assert builder.sm.add_user("admin", "A", "B", "a@example.com", role, "pw")
    client = app.test_client()
    client.post("/login/", data={"username": "admin", "password": "pw"})
    assert "Ada" in client.get("/contactview/list/").text
