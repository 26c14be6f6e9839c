"""Programs that make tables: in production without a migration, or where that is right."""

from __future__ import annotations

import sqlalchemy as sa
from tests.guards.collection import Shop, must_fire, must_not_fire
from tests.guards.models import Base, Product, User


@must_fire("create-all", "default", TESTING=False)
def the_module_creates_its_tables_when_it_is_imported(shop: Shop) -> None:
    with shop.app.app_context():
        shop.db.create_all()


@must_fire("create-all", "default", TESTING=False)
def the_first_request_creates_the_tables(shop: Shop) -> None:
    is_ready = False

    @shop.app.before_request
    def create_tables() -> None:
        nonlocal is_ready
        if not is_ready:
            shop.db.create_all()
            is_ready = True

    @shop.app.get("/")
    def home() -> str:
        return "welcome"

    shop.client.get("/")
    shop.client.get("/")


@must_fire("create-all", "default", TESTING=False)
def a_command_creates_the_tables(shop: Shop) -> None:
    @shop.app.cli.command("init-db")
    def init_db() -> None:
        shop.db.create_all()
        shop.db.session.add(User(name="admin", email="admin@example.com"))
        shop.db.session.commit()

    shop.flask("init-db")


@must_fire("create-all", "default", TESTING=False)
def the_tables_are_created_through_the_base_class(shop: Shop) -> None:
    with shop.push():
        Base.metadata.create_all(bind=shop.db.engine)


@must_fire("create-all", "default", TESTING=False)
def the_tables_are_created_in_a_transaction_of_ones_own(shop: Shop) -> None:
    with shop.push(), shop.db.engine.begin() as connection:
        shop.db.metadata.create_all(connection)


@must_fire("create-all", "default", TESTING=False)
def only_the_tables_of_the_default_database_are_created(shop: Shop) -> None:
    with shop.push():
        shop.db.create_all(bind_key=None)


@must_fire("create-all", "default", TESTING=False)
def an_admin_resets_the_data_by_a_request(shop: Shop) -> None:
    @shop.app.post("/admin/reset")
    def reset() -> tuple[str, int]:
        shop.db.drop_all()
        shop.db.create_all()
        return "", 204

    assert shop.client.post("/admin/reset").status_code == 204


@must_not_fire("create-all", TESTING=True)
def a_test_creates_its_tables(shop: Shop) -> None:
    with shop.push():
        shop.db.create_all()
        assert shop.db.session.get(Product, 1) is not None


@must_not_fire("create-all", TESTING=False)
def a_fixture_turns_testing_on_after_the_factory_ran(shop: Shop) -> None:
    shop.app.config["TESTING"] = True
    with shop.push():
        shop.db.create_all()


@must_not_fire("create-all", TESTING=False, DEBUG=True)
def the_development_server_creates_the_tables(shop: Shop) -> None:
    with shop.push():
        shop.db.create_all()


@must_not_fire("create-all", TESTING=False, SQLALCHEMY_DATABASE_URI="sqlite://")
def a_demonstration_keeps_its_data_in_memory(shop: Shop) -> None:
    with shop.push():
        shop.db.create_all()
        shop.db.session.add(User(name="eve", email="eve@example.com"))
        shop.db.session.commit()


@must_not_fire(
    "create-all",
    TESTING=False,
    RETORT_ALLOW=[("create-all", "default", "the installer, which runs on an empty database")],
)
def an_installer_is_allowed_to(shop: Shop) -> None:
    with shop.push():
        shop.db.create_all()


@must_not_fire("create-all", TESTING=False)
def a_report_makes_a_table_of_another_metadata(shop: Shop) -> None:
    scratch = sa.MetaData()
    sa.Table("report_lines", scratch, sa.Column("line", sa.Text))
    with shop.push():
        scratch.create_all(shop.db.engine)


@must_not_fire("create-all", TESTING=False)
def one_table_is_created_by_name(shop: Shop) -> None:
    with shop.push():
        shop.db.metadata.tables["post"].create(shop.db.engine, checkfirst=True)


@must_not_fire("create-all", TESTING=False)
def tables_of_another_program_are_reflected(shop: Shop) -> None:
    with shop.push():
        theirs = sa.MetaData()
        theirs.reflect(shop.db.engine)
        assert "product" in theirs.tables
