"""A scope in which the database refuses writes, and which leaves the session from before alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from tests.conftest import MakeApp
from tests.transactions.ledger import Account, Base, Ledger, make_ledger

from flask_retort import SQLAlchemy
from flask_retort.errors import ReadOnlyViolation, TransactionOpen


@pytest.fixture
def local(make_app: MakeApp) -> Iterator[Ledger]:
    """A ledger on SQLite, for what does not depend on the database."""
    with make_ledger(make_app(RETORT_GUARDS="off")) as ledger:
        yield ledger


# --- writes ---------------------------------------------------------------------


@pytest.mark.parametrize("autocommit", [None, True, False])
def test_writes_are_refused_by_the_database(ledger: Ledger, autocommit: bool | None) -> None:
    """Flushed, as a statement, or left for the end; reads go on after it, and writes outside."""
    db = ledger.db
    with db.read_only(autocommit=autocommit) as session:
        ledger.add("second")
        with pytest.raises(ReadOnlyViolation):
            session.flush()
        session.rollback()
        with pytest.raises(ReadOnlyViolation):
            session.execute(sa.update(Account).values(balance=0))
        assert session.get_one(Account, 1).balance == 200
    with pytest.raises(ReadOnlyViolation), db.read_only(autocommit=autocommit):
        ledger.add("second")
    assert ledger.names() == ["first"]
    ledger.add("second")
    db.session.commit()
    assert ledger.names() == ["first", "second"]


def test_a_commit_inside_changes_nothing(ledger: Ledger) -> None:
    """The next transaction of the block reads only, too."""
    with ledger.db.read_only() as session:
        session.get_one(Account, 1)
        session.commit()
        session.get_one(Account, 1)
        session.rollback()
        with pytest.raises(ReadOnlyViolation):
            session.execute(sa.delete(Account))


def test_transaction_settings_inside_are_refused(ledger: Ledger) -> None:
    """In AUTOCOMMIT they could not be kept, so they are refused everywhere."""
    with (
        pytest.raises(TransactionOpen, match=r"inside db\.read_only"),
        ledger.db.read_only(),
        ledger.db.transaction(isolation="serializable"),
    ):
        pass


def test_transaction_blocks_inside_change_nothing(ledger: Ledger) -> None:
    """A function that has its own works if it reads, and is refused if it writes."""
    with ledger.db.read_only() as session:
        with ledger.db.transaction() as same:
            assert same is session
            with ledger.db.transaction():
                assert session.get_one(Account, 1).balance == 200
        with pytest.raises(ReadOnlyViolation), ledger.db.transaction():
            ledger.add("second")
    assert ledger.names() == ["first"]


def test_every_connection_writes_again_afterwards(ledger: Ledger) -> None:
    """Also when the block ends by an error, or a statement in it failed."""
    db = ledger.db
    for fail in ("", "raise", "statement"):
        try:
            with db.read_only() as session:
                session.get_one(Account, 1)
                if fail == "statement":
                    session.execute(sa.text("SELECT nothing"))
                elif fail:
                    raise KeyError
        except (KeyError, sa.exc.DBAPIError):
            assert fail
        ledger.add(f"after {fail}")
        db.session.commit()
    assert len(ledger.names()) == 4


def test_an_engine_named_by_hand_reads_only_too(ledger: Ledger) -> None:
    """A bind that is named is used, in a read-only transaction of it."""
    with ledger.db.read_only() as session, pytest.raises(ReadOnlyViolation):
        session.execute(
            sa.update(Account).values(balance=0), bind_arguments={"bind": ledger.db.engine}
        )


@pytest.mark.parametrize("memory", ["isolated", "shared"])
def test_a_database_in_memory(make_app: MakeApp, memory: str) -> None:
    """Its one connection, where there is one, writes again after the block."""
    app = make_app(RETORT_SQLITE={"memory": memory})
    with make_ledger(app) as ledger:
        with ledger.db.read_only() as session:
            assert session.get_one(Account, 1).balance == 200
            with pytest.raises(ReadOnlyViolation):
                session.execute(sa.update(Account).values(balance=0))
        with pytest.raises(KeyError), ledger.db.read_only() as session:
            session.get_one(Account, 1)
            raise KeyError
        ledger.add("second")
        ledger.db.session.commit()


def test_each_database_of_the_application(make_app: MakeApp, database_url: sa.URL) -> None:
    """Every bind is read only, each by its own kind's way."""
    app = make_app(SQLALCHEMY_BINDS={"other": {"url": database_url}}, RETORT_GUARDS="off")
    db = SQLAlchemy(app)

    class Here(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    class There(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "other"
        id = sa.Column(sa.Integer, primary_key=True)

    with app.app_context():
        db.create_all()
        for model in (Here, There):
            with db.read_only():
                assert model.query.all() == []
                with pytest.raises(ReadOnlyViolation):
                    db.session.execute(sa.insert(model).values(id=1))
            db.session.execute(sa.insert(model).values(id=1))
            db.session.commit()
        db.session.remove()
        db.drop_all()


# --- the session ----------------------------------------------------------------


def test_the_session_from_before_comes_back_untouched(ledger: Ledger) -> None:
    """Its objects, and its transaction, are as they were; the other one is closed."""
    db = ledger.db
    before = db.session()
    account = db.session.get_one(Account, 1)
    transaction = before.get_transaction()
    with db.read_only() as session:
        assert db.session() is session is not before
        inner = db.session.get_one(Account, 1)
        assert inner is not account
        assert orm.object_session(account) is before
    assert db.session() is before
    assert before.get_transaction() is transaction
    assert orm.object_session(inner) is None
    assert inner.name == "first"
    assert not session.in_transaction()


def test_without_a_session_before_there_is_none_after(local: Ledger) -> None:
    """The block leaves nothing in the registry."""
    local.db.session.remove()
    with local.db.read_only():
        local.db.session.get_one(Account, 1)
    assert not local.db.session.registry.has()


def test_a_block_inside_joins(local: Ledger) -> None:
    """One session for both, that of the outer one, until that ends."""
    with local.db.read_only() as outer:
        account = outer.get_one(Account, 1)
        with pytest.raises(KeyError), local.db.read_only() as inner:
            assert inner is outer
            raise KeyError
        assert local.db.session() is outer
        assert orm.object_session(account) is outer


def test_another_context_has_its_own_session(local: Ledger) -> None:
    """A thread, and a context pushed inside, write while this one reads."""
    db, app = local.db, local.app

    def write(name: str) -> None:
        with app.app_context():
            db.session.add(Account(name=name))
            db.session.commit()

    with db.read_only() as session:
        session.get_one(Account, 1)
        thread = threading.Thread(target=write, args=("by a thread",))
        thread.start()
        thread.join()
        write("by a context")
        assert db.session() is session
    assert local.names() == ["by a context", "by a thread", "first"]


def test_what_was_removed_inside_does_not_come_back(local: Ledger) -> None:
    """``remove()`` is for the whole context: both sessions are closed, and the next one is new."""
    db = local.db
    before = db.session()
    before.get_one(Account, 1)
    with db.read_only():
        db.session.remove()
    assert not before.in_transaction()
    assert db.session() is not before


def test_a_generator_that_outlives_its_context_leaves_nothing_open(local: Ledger) -> None:
    """Its block ends without a context, and closes both sessions."""
    db = local.db

    def names() -> Iterator[str]:
        with db.read_only() as session:
            yield from session.scalars(sa.select(Account.name))
            yield "end"

    with local.app.app_context():
        db.session.get_one(Account, 1)
        reading = names()
        assert next(reading) == "first"
    reading.close()  # type: ignore[attr-defined]
    db.session.remove()
    assert db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_generator_puts_back_what_its_own_context_had(local: Ledger) -> None:
    """It may be closed while another context is current."""
    db = local.db
    before = db.session()

    def reading() -> Iterator[None]:
        with db.read_only():
            yield

    generator = reading()
    next(generator)
    with local.app.app_context():
        other = db.session()
        generator.close()  # type: ignore[attr-defined]
        assert db.session() is other
    assert db.session() is before


def test_a_scope_function_of_the_application_works_too(make_app: MakeApp) -> None:
    """The session is swapped for the scope that it says."""
    scope = ["one"]
    app = make_app()
    db = SQLAlchemy(app, model_class=Base, session_options={"scopefunc": lambda: scope[0]})
    with app.app_context():
        before = db.session()
        with db.read_only() as session:
            assert db.session() is session
            scope[0] = "two"
            other = db.session()
            assert other is not session
            scope[0] = "one"
        assert db.session() is before
        db.session.remove()


# --- what it refuses ------------------------------------------------------------


def test_a_session_with_changes_is_refused(local: Ledger) -> None:
    """Its own session would not see them, whether they wait or are flushed."""
    db = local.db
    account = db.session.get_one(Account, 1)
    with db.read_only():
        pass
    changes = (
        lambda: local.add("second"),
        lambda: setattr(account, "balance", 1),
        lambda: db.session.delete(account),
        lambda: (local.add("second"), db.session.execute(sa.select(Account))),
        lambda: db.session.execute(sa.update(Account).values(balance=1)),
    )
    for change in changes:
        change()
        with pytest.raises(TransactionOpen, match="not committed"), db.read_only():
            pass
        db.session.rollback()


def test_a_transaction_block_is_refused(local: Ledger) -> None:
    """Also one that has not written yet: what is read would not be part of it."""
    db = local.db
    refused = pytest.raises(TransactionOpen, match="open transaction")
    with db.transaction(), refused, db.read_only():
        pass
    with db.session.begin(), pytest.raises(TransactionOpen), db.read_only():
        pass
    with db.session.begin_nested(), pytest.raises(TransactionOpen), db.read_only():
        pass
    db.session.rollback()


def test_guards_have_nothing_to_say(make_app: MakeApp) -> None:
    """Reading in a GET is what the block is for; a write in it is the database's to refuse."""
    with make_ledger(make_app(RETORT_GUARDS="raise")) as ledger:

        @ledger.app.get("/<int:writes>")
        def view(writes: int) -> str:
            with ledger.db.read_only() as session:
                if writes:
                    ledger.add("second")
                return session.get_one(Account, 1).name

        client = ledger.app.test_client()
        assert client.get("/0").text == "first"
        with pytest.raises(ReadOnlyViolation):
            client.get("/1")


def test_a_session_bound_to_a_connection_is_left_as_it_is(ledger: Ledger) -> None:
    """As tests do that roll everything back; nothing stays set on that connection."""
    db = ledger.db
    with db.engine.connect() as connection:
        db.session.remove()
        db.session.configure(bind=connection, binds={}, join_transaction_mode="create_savepoint")
        with connection.begin() as everything:
            ledger.add("second")
            db.session.commit()
            with db.read_only() as session:
                assert len(session.scalars(sa.select(Account)).all()) == 2
            ledger.add("third")
            db.session.commit()
            db.session.remove()
            everything.rollback()
    assert ledger.names() == ["first"]
