"""What is compared, what is left out, and that a user's own callables keep their say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import RevisionContext
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.schema import CreateTableAs, CreateView
from tests.migrations.generating import context, differences, for_migrate, generate, no_history

from flask_retort.migrations.autogenerate import compose
from flask_retort.migrations.runner.journal import journal_name


@pytest.fixture
def engine(database_url: sa.URL) -> Iterator[sa.Engine]:
    """An engine on an empty database of each kind."""
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    yield engine
    engine.dispose()


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """A connection to an empty database."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def models(*columns: sa.Column[Any], name: str = "items") -> sa.MetaData:
    """Metadata with one table."""
    metadata = sa.MetaData()
    sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
    return metadata


# --- what is compared -----------------------------------------------------------


def test_the_journal_is_never_dropped(engine: sa.Engine) -> None:
    models(name=journal_name("alembic_version")).create_all(engine)
    with engine.connect() as connection:
        assert differences(connection, sa.MetaData()) == []


def test_the_journal_of_another_version_table_is_an_ordinary_table(engine: sa.Engine) -> None:
    models(name=journal_name("versions")).create_all(engine)
    with engine.connect() as connection:
        assert [kind for kind, *_ in differences(connection, sa.MetaData())] == ["remove_table"]


def test_a_view_of_the_models_is_not_created_as_a_table(engine: sa.Engine) -> None:
    metadata = models()
    CreateView(sa.select(metadata.tables["items"].c.id), "item_numbers", metadata=metadata)
    with engine.connect() as connection:
        added = [one.name for kind, one in differences(connection, metadata) if kind == "add_table"]
    assert added == ["items"]


def test_a_view_that_exists_is_neither_changed_nor_dropped(engine: sa.Engine) -> None:
    metadata = models()
    CreateView(sa.select(metadata.tables["items"].c.id), "item_numbers", metadata=metadata)
    metadata.create_all(engine)
    with engine.connect() as connection:
        assert differences(connection, metadata) == []
        assert differences(connection, models()) == []


def test_a_table_filled_from_a_select_is_left_to_the_user(engine: sa.Engine) -> None:
    metadata = models(sa.Column("name", sa.String(10), nullable=False))
    CreateTableAs(sa.select(metadata.tables["items"]), "copies", metadata=metadata)
    with engine.connect() as connection:
        assert [one.name for _, one in differences(connection, metadata)] == ["items"]
    metadata.create_all(engine)
    with engine.connect() as connection:
        assert differences(connection, metadata) == []


def test_server_defaults_are_compared_only_where_that_is_asked_for(
    connection: sa.Connection,
) -> None:
    models(sa.Column("n", sa.Integer, server_default="1")).create_all(connection)
    changed = models(sa.Column("n", sa.Integer, server_default="2"))
    assert differences(connection, changed) == []
    found = differences(connection, changed, compare_server_default=True)
    assert [kind for kind, *_ in found] == ["modify_default"]


# --- the user's own -------------------------------------------------------------


def test_the_users_arguments_are_not_changed() -> None:
    arguments: dict[str, Any] = {"compare_type": True, "include_schemas": True}
    composed = compose(arguments, version_table="alembic_version")
    assert arguments == {"compare_type": True, "include_schemas": True}
    assert composed["include_schemas"] is True


def test_what_the_users_filters_leave_out_stays_out(connection: sa.Connection) -> None:
    models(name="theirs").create_all(connection)
    asked: list[str] = []

    def include_name(name: str, type_: str, parents: object) -> bool:
        return name != "theirs"

    def include_object(item: Any, name: str, type_: str, reflected: bool, other: Any) -> bool:
        asked.append(name)
        return name != "items"

    found = differences(
        connection, models(), include_name=include_name, include_object=include_object
    )
    assert found == []
    assert asked == ["items"]


@pytest.mark.parametrize(
    ("verdict", "kinds"), [(True, ["modify_type"]), (False, []), (None, [])], ids=str
)
def test_the_users_comparison_of_types_is_asked_first(
    connection: sa.Connection, verdict: bool | None, kinds: list[str]
) -> None:
    metadata = models(sa.Column("n", sa.DOUBLE_PRECISION))
    metadata.create_all(connection)

    def compare_type(context: Any, column: sa.Column[Any], *rest: Any) -> bool | None:
        return verdict if column.name == "n" else None

    found = differences(connection, metadata, compare_type=compare_type)
    assert [kind for kind, *_ in found] == kinds


def test_types_are_not_compared_where_the_user_says_so(connection: sa.Connection) -> None:
    models(sa.Column("n", sa.String(10))).create_all(connection)
    assert differences(connection, models(sa.Column("n", sa.Integer)), compare_type=False) == []


def test_what_the_users_render_item_writes_stands(connection: sa.Connection) -> None:
    def render_item(kind: str, item: Any, context: Any) -> Any:
        return "sa.BigInteger()" if isinstance(item, sa.Integer) else False

    script = generate(connection, models(sa.Column("i", sa.Interval)), render_item=render_item)
    assert "sa.Column('id', sa.BigInteger(), nullable=False)" in script.upgrade
    assert "sa.Interval()" in script.upgrade


def test_ours_complete_what_the_users_directives_add(connection: sa.Connection) -> None:
    def directives(migration: MigrationContext, revision: Any, scripts: list[Any]) -> None:
        added = ops.CreateUniqueConstraintOp(None, "items", ["n"])
        scripts[0].upgrade_ops.ops.append(ops.ModifyTableOps("items", [added]))

    metadata = models(sa.Column("n", sa.Integer))
    script = generate(connection, metadata, process_revision_directives=directives)
    assert "create_unique_constraint(batch_op.f('uq_items_n'), ['n'])" in script.upgrade


# --- empty revisions ------------------------------------------------------------


def revise(migrations: list[MigrationContext]) -> list[ops.MigrationScript]:
    """What ``migrate`` is left with after it has looked at these databases."""
    asked: dict[str, Any] = dict.fromkeys(
        ["message", "head", "splice", "branch_label", "version_path", "depends_on", "sql"]
    )
    revision = RevisionContext(Config(), no_history(), {**asked, "rev_id": "1"})
    for one in migrations:
        revision.run_autogenerate((), one)
    return revision.generated_revisions


def test_no_empty_revision_is_written_and_the_log_says_how_many_tables_there_are(
    connection: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = models()
    metadata.create_all(connection)
    with caplog.at_level(logging.INFO, "alembic.env"):
        assert revise([for_migrate(connection, metadata)]) == []
    [message] = [r.getMessage() for r in caplog.records if r.name == "alembic.env"]
    assert message.startswith("No changes in schema detected.")
    assert "1 table" in message


def test_models_that_are_not_imported_are_named_as_the_reason(
    connection: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "alembic.env"):
        assert revise([for_migrate(connection, sa.MetaData())]) == []
    [message] = [r.getMessage() for r in caplog.records if r.name == "alembic.env"]
    assert message.startswith("No changes in schema detected. The models hold no table at all")
    assert "import" in message


def test_a_revision_with_changes_is_kept(connection: sa.Connection) -> None:
    assert len(revise([for_migrate(connection, models())])) == 1


def test_of_several_databases_all_are_looked_at_before_a_revision_is_dropped(
    connection: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    def migration(name: str, metadata: sa.MetaData) -> MigrationContext:
        tokens = {"upgrade_token": f"{name}_upgrades", "downgrade_token": f"{name}_downgrades"}
        return for_migrate(connection, metadata, ["", "far"], **tokens)

    here = models()
    here.create_all(connection)
    with caplog.at_level(logging.INFO, "alembic.env"):
        assert revise([migration("", here), migration("far", here)]) == []
        assert "2 tables" in caplog.text
        more = models(sa.Column("n", sa.Integer))
        [script] = revise([migration("", here), migration("far", more)])
    assert [one.is_empty() for one in script.upgrade_ops_list] == [True, False]


def test_an_environment_that_does_not_tell_its_databases_drops_empty_revisions_itself(
    connection: sa.Connection,
) -> None:
    tokens: dict[str, Any] = {
        "upgrade_token": "engine1_upgrades",
        "downgrade_token": "engine1_downgrades",
    }
    assert len(revise([for_migrate(connection, sa.MetaData(), **tokens)])) == 1


def test_a_users_hook_that_drops_the_empty_revision_gets_the_reason_added(
    connection: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    def directives(migration: MigrationContext, revision: Any, scripts: list[Any]) -> None:
        if scripts[0].upgrade_ops.is_empty():
            scripts[:] = []
            logging.getLogger("alembic.env").info("No changes in schema detected.")

    with caplog.at_level(logging.INFO, "alembic.env"):
        migration = for_migrate(connection, sa.MetaData(), process_revision_directives=directives)
        assert revise([migration]) == []
    messages = [record.getMessage() for record in caplog.records if record.name == "alembic.env"]
    assert messages[0] == "No changes in schema detected."
    assert messages[1].startswith("The models hold no table at all")


def test_an_empty_script_that_is_asked_for_is_kept(connection: sa.Connection) -> None:
    assert len(revise([context(connection, sa.MetaData())])) == 1
