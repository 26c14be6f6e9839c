"""What a rebuild by Alembic's batch mode loses without a word is told."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.migrations.backends.sqlite_databases import execute, ours, plain
from tests.migrations.scripts import History, migrate

from flask_retort.errors import RetortWarning, RevisionFailed

SCHEMA = "CREATE TABLE people (id INTEGER PRIMARY KEY)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    execute(path, SCHEMA)
    return path


@pytest.fixture(params=[ours, plain])
def engine(request: pytest.FixtureRequest, path: Path) -> Iterator[sa.Engine]:
    engine = request.param(path)
    yield engine
    engine.dispose()


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history")


def test_each_loss_is_told_once(engine: sa.Engine, path: Path, history: History) -> None:
    """By the revision that rebuilds, however often it does, and not by the one after it."""
    execute(path, "CREATE TABLE t (n TEXT COLLATE NOCASE, x TEXT)")
    history.add(rebuilt("t") + rebuilt("t"))
    history.add(rebuilt("people").replace('"x"', '"id"').replace("sa.String(9)", "sa.BigInteger"))
    with pytest.warns(RetortWarning) as told:
        migrate(engine, history)
    assert len(told) == 1


def rebuilt(table: str, more: str = "") -> str:
    return textwrap.dedent(
        f"""
        with op.batch_alter_table({table!r}, {more}) as batch:
            batch.alter_column("x", type_=sa.String(9))
        """
    )


LOSSES = {
    "AUTOINCREMENT of id": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT)",
        "table_kwargs={'sqlite_autoincrement': True}",
    ),
    "COLLATE NOCASE of n": (
        "CREATE TABLE t (n TEXT COLLATE nocase NOT NULL, x TEXT)",
        "reflect_args=[sa.Column('n', sa.String(collation='NOCASE'), nullable=False)]",
    ),
    "ON DELETE CASCADE of p": (
        "CREATE TABLE t (p INTEGER REFERENCES people (id) ON DELETE CASCADE, x TEXT)",
        None,
    ),
    "ON CONFLICT REPLACE of k": (
        "CREATE TABLE t (k INTEGER NOT NULL ON CONFLICT REPLACE DEFAULT 3, x TEXT)",
        "reflect_args=[sa.Column('k', sa.Integer, nullable=False,"
        " sqlite_on_conflict_not_null='REPLACE', server_default='3')]",
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_no_reflection_reads_is_told(
    engine: sa.Engine, path: Path, history: History, loss: str
) -> None:
    """A warning names the table, the column and what is lost; saying it to Alembic keeps it."""
    table, remedy = LOSSES[loss]
    execute(path, table)
    history.add(rebuilt("t"))
    with pytest.raises(RevisionFailed, match=rf"rebuilt the table t, it lost {loss}:"):
        migrate(engine, history)  # warnings are errors here
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        migrate(engine, history)
    (warning,) = told
    assert isinstance(warning.message, RetortWarning)
    assert str(warning.message).endswith("[retort:lost-in-rebuild]")
    if remedy is not None:
        execute(path, f"DROP TABLE t; {table}; UPDATE alembic_version SET version_num = 'r1'")
        history.add(rebuilt("t", remedy))
        migrate(engine, history)


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE t (a TEXT COLLATE NOCASE, b TEXT CHECK (b <> 'COLLATE NOCASE'), x TEXT)",
        "CREATE TABLE t (a TEXT DEFAULT 'a, b COLLATE', x TEXT, CONSTRAINT c CHECK (x <> ')'))",
        "CREATE TABLE t (p INT, x TEXT, FOREIGN KEY(p) REFERENCES people (id) ON DELETE CASCADE)",
    ],
)
def test_what_is_meant_to_go_is_not_missed(
    engine: sa.Engine, path: Path, history: History, table: str
) -> None:
    """Nothing is said of a column that is dropped, of texts, or of what Alembic keeps."""
    execute(path, table)
    drop = '    batch.drop_column("a")\n' if "(a TEXT COLLATE" in table else ""
    history.add(rebuilt("t") + drop)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unnamed CHECK")
        migrate(engine, history)
