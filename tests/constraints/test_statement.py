"""Verb, table and values of a statement that has failed."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc, orm
from sqlalchemy.engine import ExceptionContext

from flask_retort.constraints.statement import Sent, sent

TABLE: sa.Table[Any] = sa.Table(
    "t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer)
)
OTHER: sa.Table[Any] = sa.Table("other", TABLE.metadata, sa.Column("id", sa.Integer))


def failed(statement: Any, parameters: Any = None) -> Sent:
    """What is read from a statement that fails because there are no tables."""
    found: list[Sent] = []
    engine = sa.create_engine("sqlite://")

    @event.listens_for(engine, "handle_error")
    def note(context: ExceptionContext) -> None:
        found.append(sent(context))

    with engine.connect() as connection:
        is_text = isinstance(statement, str)
        run: Any = connection.exec_driver_sql if is_text else connection.execute
        with pytest.raises(exc.OperationalError):
            run(statement, parameters)
    engine.dispose()
    (only,) = found
    return only


def test_a_core_statement_tells_table_and_values() -> None:
    """The values are those before conversion, by the columns' keys."""
    assert failed(sa.insert(TABLE).values(id=1, n=2)) == Sent(
        "INSERT", TABLE, rows=[{"id": 1, "n": 2}]
    )
    rows = [{"id": 1, "n": 2}, {"id": 2, "n": 3}]
    assert failed(sa.insert(TABLE), rows) == Sent("INSERT", TABLE, rows=rows)


def test_a_condition_is_no_value() -> None:
    """Both have parameters; that of WHERE has a name of its own."""
    found = failed(sa.update(TABLE).where(TABLE.c.n == 1).values(n=2))
    assert (found.verb, found.table, found.rows[0]["n"]) == ("UPDATE", TABLE, 2)
    found = failed(sa.delete(TABLE).where(TABLE.c.n == 1))
    assert (found.verb, found.table) == ("DELETE", TABLE)
    assert "n" not in found.rows[0]


def test_a_statement_that_reads_writes_nothing() -> None:
    """There is no table that it is about."""
    assert failed(sa.select(TABLE)) == Sent()


MAPPED = orm.registry(metadata=TABLE.metadata)


class Row:
    """What the table's rows are as objects."""


MAPPED.map_imperatively(Row, TABLE)


@pytest.mark.parametrize("read", [TABLE, TABLE.c.id, Row, orm.aliased(Row)])
def test_a_locking_select_is_about_its_table(read: Any) -> None:
    """It writes nothing, and waits for those who write there."""
    select = sa.select(read).with_for_update()
    expected = None if "AliasedClass" in type(read).__name__ else TABLE
    assert failed(select) == Sent(table=expected)
    assert failed(select.join(OTHER, OTHER.c.id > 0)) == Sent()


@pytest.mark.parametrize("lock", ["OF t", "NOWAIT", "OF t NOWAIT", ""])
def test_a_lock_is_no_update(lock: str) -> None:
    """``FOR UPDATE OF t`` is not about a table named ``OF``."""
    assert failed(f"SELECT id FROM t FOR UPDATE {lock}") == Sent()
    assert failed(f"SELECT id FROM t FOR NO KEY UPDATE {lock}") == Sent()


def test_a_write_inside_a_read_is_found() -> None:
    """A CTE that writes; only the text tells."""
    new = sa.insert(TABLE).values(id=1).returning(TABLE.c.id).cte("new")
    for select in (sa.select(new), sa.select(OTHER).add_cte(new).with_for_update()):
        found = failed(select)
        assert (found.verb, found.table_name) == ("INSERT", "t")


@pytest.mark.parametrize(
    ("text", "verb", "schema", "table"),
    [
        ("insert into t values (1)", "INSERT", None, "t"),
        ("INSERT OR IGNORE INTO t VALUES (1)", "INSERT", None, "t"),
        ("REPLACE INTO t VALUES (1)", "INSERT", None, "t"),
        ('UPDATE main."my t" SET n = 1', "UPDATE", "main", "my t"),
        ("DELETE  FROM `a``b`", "DELETE", None, "a`b"),
        ('/* x */ INSERT INTO "ü""%" VALUES (1)', "INSERT", None, 'ü"%'),
        ("DELETE FROM [odd name]", "DELETE", None, "odd name"),
    ],
)
def test_the_text_of_a_statement_tells_verb_and_table(
    text: str, verb: str, schema: str | None, table: str
) -> None:
    """In the quotes of any engine."""
    assert failed(text) == Sent(verb, None, schema, table)  # type: ignore[arg-type] # a Verb
