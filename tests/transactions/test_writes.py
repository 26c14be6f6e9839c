"""A session knows whether its transaction has written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from tests.conftest import MakeApp
from tests.transactions.ledger import Account, Ledger, make_ledger

from flask_retort.errors import RetryInTransaction, TransactionOpen
from flask_retort.transactions import writes


class OnPurposeError(Exception):
    """Raised by the tests."""


def test_only_writes_count(ledger: Ledger) -> None:
    """Reading, adding and setting the same value write nothing; a flush and a statement do."""
    session = ledger.db.session()
    first = session.scalars(sa.select(Account)).one()
    first.balance = first.balance + 0
    session.flush()
    assert not session.written
    ledger.add("second")
    assert not session.written
    assert writes.has_changes(session)
    session.flush()
    assert session.written
    session.commit()
    assert not session.written
    assert not writes.has_changes(session)


@pytest.mark.parametrize(
    "statement",
    [
        sa.update(Account).values(balance=1),
        sa.insert(Account).values(name="second"),
        sa.delete(Account),
        Account.__table__.update().values(balance=1),  # type: ignore[attr-defined]
        sa.text("update account set balance = 1"),
        sa.text(" /* a */ -- b\n DELETE FROM account"),
    ],
)
def test_each_kind_of_statement(ledger: Ledger, statement: sa.Executable) -> None:
    """Of models, of tables, and as text; a rollback forgets them."""
    session = ledger.db.session()
    session.execute(statement)
    assert session.written
    session.rollback()
    assert not session.written
    for reading in ("SELECT 'update' FROM account", "WITH a AS (SELECT 1) SELECT * FROM a"):
        session.execute(sa.text(reading))
        assert not session.written


@pytest.mark.parametrize(
    ("text", "is_write"),
    [
        ("WITH a AS (SELECT 1) UPDATE account SET balance = 1", True),
        ("WITH a AS (DELETE FROM account RETURNING id) SELECT * FROM a", True),
        ("with a as (select 1) insert into account select * from a", True),
        ("WITH a AS (SELECT 1) SELECT * FROM account FOR UPDATE", False),
        ("WITH a AS (SELECT 1) SELECT * FROM account FOR NO KEY UPDATE", False),
        ("WITH updates AS (SELECT 1) SELECT * FROM updates", False),
        ("WITH a AS (SELECT id FROM account WHERE name = 'update') SELECT * FROM a", False),
        ("WITH a AS (SELECT 'a''b (delete from c)') SELECT * FROM a", False),
        ('WITH a AS (SELECT 1 AS "(insert into b") SELECT * FROM a', False),
        ("WITH a AS (SELECT 1 -- (update a set b\n) SELECT * FROM a /* ) delete from a */", False),
        ("WITH a AS (SELECT $b$ (delete from a) $b$) SELECT * FROM a", False),
        ("WITH a AS (SELECT replace(name, 'a', 'b') FROM account) SELECT * FROM a", False),
        ("WITH a AS (SELECT 1), b AS (SELECT 2) UPDATE `my table` SET balance = 1", True),
        ("WITH a AS (/* all */ UPDATE ONLY account b SET balance = 1 RETURNING id) TABLE a", True),
        ("WITH a AS (SELECT 1) INSERT OR IGNORE INTO account SELECT * FROM a", True),
        ("WITH a AS (SELECT 1)\nMERGE INTO account USING a ON true WHEN MATCHED THEN DELETE", True),
        ("/* nightly */ TRUNCATE TABLE account", True),
        ("REPLACE account VALUES (1)", True),
    ],
)
def test_a_text_that_begins_with_a_query(ledger: Ledger, text: str, is_write: bool) -> None:
    """What follows decides. Not executed: no database knows all of them."""
    session = ledger.db.session()
    session.begin()
    writes.note_statement(session, sa.text(text), None)
    assert session.written is is_write


def test_a_statement_that_meets_no_row_writes_nothing(ledger: Ledger) -> None:
    """The answer to a conditional update, "sold out", leaves nothing to commit."""
    session = ledger.db.session()
    session.execute(sa.update(Account).where(Account.balance >= 1000).values(balance=0))
    session.execute(sa.text("DELETE FROM account WHERE id = 77"))
    assert not session.written


def test_a_savepoint_that_was_rolled_back_wrote_nothing(ledger: Ledger) -> None:
    """One that was released did, until the transaction itself, or one around it, goes."""
    session = ledger.db.session()
    with pytest.raises(OnPurposeError), session.begin_nested():
        ledger.add("second")
        session.flush()
        assert session.written
        raise OnPurposeError
    assert not session.written
    with pytest.raises(OnPurposeError), session.begin_nested():
        with session.begin_nested():
            ledger.add("second")
        assert session.written
        raise OnPurposeError
    assert not session.written
    with session.begin_nested():
        ledger.add("second")
    assert session.written
    session.rollback()
    assert not session.written


# --- writes that are no statement of the session's ------------------------------

NEW = sa.insert(Account).values(name="core", balance=0)
RAW = "INSERT INTO account (name, balance) VALUES ('raw', 0)"


@pytest.fixture
def on_postgresql(make_app: MakeApp, postgresql_url: sa.URL) -> Iterator[Ledger]:
    app = make_app(SQLALCHEMY_DATABASE_URI=postgresql_url, RETORT_GUARDS="off")
    with make_ledger(app) as ledger:
        yield ledger


def core(session: orm.Session) -> None:
    """As pandas does it, with ``to_sql(con=db.session.connection())``."""
    session.connection().execute(NEW)


def driver_sql(session: orm.Session) -> None:
    session.connection().exec_driver_sql(RAW)


def cursor(session: orm.Session) -> None:
    """As COPY and LOAD DATA are done."""
    session.connection().connection.cursor().execute(RAW)


def connection_of_a_savepoint(session: orm.Session) -> None:
    """The connection outlives the savepoint, whose rollback undoes no later write."""
    session.scalars(sa.select(Account)).all()
    savepoint = session.begin_nested()
    connection = session.connection()
    savepoint.rollback()
    connection.exec_driver_sql(RAW)


def refuse_to_begin_anew(ledger: Ledger) -> None:
    """Check that whatever would end the transaction says no, and that the rows are still there."""

    @ledger.db.transaction(retry=1)
    def work() -> None: ...

    before = ledger.db.session().get_transaction()
    with pytest.raises(RetryInTransaction):
        work()
    for settings in ({"read_only": True}, {"isolation": "serializable"}):
        with pytest.raises(TransactionOpen), ledger.db.transaction(**settings):
            pass
    assert ledger.db.session().get_transaction() is before
    ledger.db.session.commit()


def begin_anew(ledger: Ledger) -> None:
    @ledger.db.transaction(retry=1)
    def work() -> None:
        ledger.add("work")

    work()
    assert "work" in ledger.names()


@pytest.mark.parametrize("write", [core, driver_sql, cursor, connection_of_a_savepoint])
def test_a_write_over_the_connection_is_not_thrown_away(
    ledger: Ledger, write: Callable[[orm.Session], None]
) -> None:
    """What needs a new transaction refuses to end this one; after its commit it does not."""
    write(ledger.db.session())
    refuse_to_begin_anew(ledger)
    assert len(ledger.names()) == 2
    begin_anew(ledger)


def test_the_refusal_says_where_the_write_may_have_come_from(ledger: Ledger) -> None:
    """For who has not written with the session at all."""
    cursor(ledger.db.session())
    with pytest.raises(TransactionOpen) as raised, ledger.db.transaction(read_only=True):
        pass
    assert "session.connection()" in raised.value.__notes__[0]
    assert "db.session.rollback()" in raised.value.__notes__[0]


def test_a_statement_over_the_connection_is_known(ledger: Ledger) -> None:
    """Its savepoint takes it back; a connection of an earlier transaction tells nothing."""
    session = ledger.db.session()
    savepoint = session.begin_nested()
    session.connection().execute(sa.select(Account.id)).all()
    assert not session.written
    core(session)
    assert session.written
    savepoint.rollback()
    assert not session.written
    session.rollback()
    session.scalars(sa.select(Account)).all()
    assert not session.written
    begin_anew(ledger)


def test_a_connection_that_was_closed_has_nothing_to_lose(ledger: Ledger) -> None:
    """It was not the session's to close, and there is nothing left to ask."""
    session = ledger.db.session()
    with session.connection() as connection:
        connection.execute(sa.select(Account.id)).all()
    assert not writes.has_written_unseen(session)
    with pytest.warns(sa.exc.SAWarning, match="already deassociated"):
        session.rollback()


def test_each_database_s_connection_is_watched(make_app: MakeApp) -> None:
    """Not only the first that is handed out; and each statement once, however often it is."""
    app = make_app(SQLALCHEMY_BINDS={"stats": "sqlite://"})
    with make_ledger(app) as ledger:
        session = ledger.db.session()
        first = session.connection()
        again, stats = (session.connection({"bind": ledger.db.engines["stats"]}) for _ in "12")
        stats.execute(sa.text("CREATE TABLE hit (n int)"))
        assert first is not stats is again
        assert not session.written
        stats.execute(sa.text("INSERT INTO hit VALUES (1)"))
        assert session.written
        assert len(stats.dispatch.after_execute) == 1


def test_reading_over_the_connection(ledger: Ledger) -> None:
    """Only MariaDB can't tell that it was reading; a rollback says so."""
    session = ledger.db.session()
    session.connection().execute(sa.select(Account.id)).all()
    if ledger.db.engine.dialect.name in ("mysql", "mariadb"):
        with pytest.raises(RetryInTransaction, match="not committed"):
            begin_anew(ledger)
        session.rollback()
    begin_anew(ledger)


def read(session: orm.Session) -> None:
    session.scalars(sa.select(Account)).all()


def read_and_lock(session: orm.Session) -> None:
    session.scalars(sa.select(Account).with_for_update()).all()


def write_in_a_savepoint_that_is_rolled_back(session: orm.Session) -> None:
    read_and_lock(session)
    savepoint = session.begin_nested()
    session.add(Account(name="second"))
    session.flush()
    savepoint.rollback()


def update_no_row(session: orm.Session) -> None:
    session.execute(sa.update(Account).where(Account.balance > 1000).values(balance=0))


@pytest.mark.parametrize(
    "work", [read, read_and_lock, write_in_a_savepoint_that_is_rolled_back, update_no_row]
)
def test_what_has_nothing_to_lose_is_ended(
    ledger: Ledger, work: Callable[[orm.Session], None]
) -> None:
    """A session that has only read, locked, or taken back what it wrote."""
    work(ledger.db.session())
    begin_anew(ledger)


def test_a_connection_that_is_cut_has_nothing_to_lose(on_postgresql: Ledger) -> None:
    """It can't be asked any more."""
    session = on_postgresql.db.session()
    number = session.scalar(sa.text("SELECT pg_backend_pid()"))
    with on_postgresql.db.engine.connect() as other:
        other.execute(sa.text("SELECT pg_terminate_backend(:number)"), {"number": number})
    begin_anew(on_postgresql)


def test_a_session_that_is_bound_to_a_connection(on_postgresql: Ledger) -> None:
    """What a test has written over its own connection is none of the session's."""
    db = on_postgresql.db
    with db.engine.connect() as connection, connection.begin() as outer:
        connection.execute(NEW)
        mode: Any = "create_savepoint"
        session = db.session.session_factory(bind=connection, join_transaction_mode=mode)
        session.execute(sa.select(Account)).all()
        assert not writes.has_written_unseen(session)
        driver_sql(session)
        assert writes.has_written_unseen(session)
        session.close()
        outer.rollback()


def test_a_function_of_the_database_that_writes(on_postgresql: Ledger) -> None:
    """A SELECT that calls it looks like a read, and PostgreSQL knows better."""
    with on_postgresql.db.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION open_account(text) RETURNS int LANGUAGE sql AS"
            " 'INSERT INTO account (name, balance) VALUES ($1, 0) RETURNING id'"
        )
    on_postgresql.db.session.scalar(sa.select(sa.func.open_account("second")))
    refuse_to_begin_anew(on_postgresql)
    assert on_postgresql.names() == ["first", "second"]


def test_a_number_of_a_sequence_is_no_write(on_postgresql: Ledger) -> None:
    """No rollback takes it back."""
    on_postgresql.db.session.scalar(sa.text("SELECT nextval('account_id_seq')"))
    begin_anew(on_postgresql)


@pytest.mark.parametrize("form", ["columns", "from", "join", "beside"])
def test_a_select_that_writes_in_a_cte(on_postgresql: Ledger, form: str) -> None:
    """Wherever the select names it."""
    new = NEW.returning(Account.id).cte()
    session = on_postgresql.db.session()
    session.execute(
        {
            "columns": sa.select(new.c.id),
            "from": sa.select(sa.func.count()).select_from(new),
            "join": sa.select(Account).join(new, new.c.id > Account.id),
            "beside": sa.select(Account).add_cte(new),
        }[form]
    ).all()
    assert session.written
    refuse_to_begin_anew(on_postgresql)
    assert on_postgresql.names() == ["core", "first"]


# --- what no rollback takes -----------------------------------------------------


def test_rows_of_a_temporary_table_are_not_surely_lost(ledger: Ledger) -> None:
    """They go with the connection anyway; of a text as of a table, and not those of others."""
    session = ledger.db.session()
    picked = sa.Table("picked", sa.MetaData(), sa.Column("id", sa.Integer), prefixes=["TEMPORARY"])
    session.execute(sa.schema.CreateTable(picked))
    session.execute(sa.text("CREATE TEMPORARY TABLE IF NOT EXISTS chosen (id int)"))
    for write in (
        sa.insert(picked).values(id=1),
        sa.text("INSERT INTO picked SELECT id FROM account"),
        sa.text("/* all */ DELETE FROM chosen"),
        sa.text("UPDATE chosen SET id = 3"),
    ):
        session.execute(write)
    assert session.written
    assert not writes.surely_has_written(session)
    session.execute(sa.text("UPDATE account SET balance = 1"))
    assert writes.surely_has_written(session)
    session.execute(sa.text("DROP TABLE picked"))
    session.execute(sa.text("DROP TABLE chosen"))


def test_a_procedure_has_perhaps_written(ledger: Ledger) -> None:
    """So the transaction is not ended for another, and nothing is said to be lost."""
    session = ledger.db.session()
    read(session)
    writes.note_statement(session, sa.text("CALL report()"), None)
    assert session.written
    assert not writes.surely_has_written(session)
    refuse_to_begin_anew(ledger)


def test_what_is_committed_by_itself_waits_for_no_commit(
    make_app: MakeApp, database_url: sa.URL
) -> None:
    """With AUTOCOMMIT the database keeps each statement: nothing is to be lost."""
    options = {"isolation_level": "AUTOCOMMIT"}
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url, SQLALCHEMY_ENGINE_OPTIONS=options)
    with make_ledger(app) as ledger:
        session = ledger.db.session()
        for balance in (1, 2):
            session.execute(sa.update(Account).values(balance=balance))
            session.execute(sa.text(f"UPDATE account SET balance = balance + {balance}"))
        ledger.add("second")
        session.flush()
        core(session)
        assert not session.written
        begin_anew(ledger)
        assert ledger.balance() == 4
        assert ledger.names() == ["core", "first", "second", "work"]
