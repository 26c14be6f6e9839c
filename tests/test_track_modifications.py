"""What the signals say of a transaction, and when they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import exc, orm

from flask_retort import SQLAlchemy, track_modifications
from flask_retort.config import Config
from flask_retort.engines import make_engine
from flask_retort.track_modifications import before_models_committed, models_committed


class Base(orm.DeclarativeBase):
    pass


class Word(Base):
    __tablename__ = "words"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    text: orm.Mapped[str] = orm.mapped_column(sa.String(20), unique=True)


class Signals:
    """What has been received since it was asked last, as texts such as ``insert retort``."""

    def __init__(self) -> None:
        self._before: list[str] = []
        self._after: list[str] = []
        self.senders: list[Flask] = []

    def on_before(self, sender: Flask, changes: list[tuple[Any, str]]) -> None:
        self._before += [self._shown(*change) for change in changes]

    def on_after(self, sender: Flask, changes: list[tuple[Any, str]]) -> None:
        self.senders.append(sender)
        self._after += [self._shown(*change) for change in changes]

    def before(self) -> list[str]:
        taken, self._before = self._before, []
        return taken

    def after(self) -> list[str]:
        taken, self._after = self._after, []
        return taken

    def forget(self) -> None:
        self._before, self._after = [], []

    @staticmethod
    def _shown(changed: Any, operation: str) -> str:
        return f"{operation} {changed.text if isinstance(changed, Word) else changed.__name__}"


@pytest.fixture
def app() -> Iterator[Flask]:
    """An application whose context is current and which asks for the signals."""
    app = Flask("test")
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = True
    with app.app_context():
        yield app


@pytest.fixture
def session(database_url: sa.URL, disposed: Any, app: Flask) -> Iterator[orm.Session]:
    """A session with true savepoints, listened to, on each back end."""
    config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": database_url})
    engine: sa.Engine = disposed(make_engine({"url": database_url}, bind_key=None, config=config))
    Base.metadata.create_all(engine)
    factory = orm.sessionmaker(engine)
    track_modifications.listen(factory)
    with factory() as session:
        yield session


@pytest.fixture
def signals(app: Flask) -> Iterator[Signals]:
    received = Signals()
    with (
        before_models_committed.connected_to(received.on_before, app),
        models_committed.connected_to(received.on_after, app),
    ):
        yield received


def add(session: orm.Session, text: str) -> Word:
    word = Word(text=text)
    session.add(word)
    session.flush()
    return word


def test_a_commit_reports_each_changed_object(
    app: Flask, session: orm.Session, signals: Signals
) -> None:
    """Both signals name inserted, updated and deleted objects; the sender is the application."""
    word = Word(text="retort")
    session.add(word)
    session.commit()
    assert signals.before() == signals.after() == ["insert retort"]
    word.text = "alembic"
    session.commit()
    assert signals.before() == signals.after() == ["update alembic"]
    session.refresh(word)
    session.delete(word)
    session.commit()
    assert signals.before() == signals.after() == ["delete alembic"]
    assert all(sender is app for sender in signals.senders)


def test_changes_come_in_order(session: orm.Session, signals: Signals) -> None:
    """Changes are listed in the order of each object's first one, over all flushes."""
    first = add(session, "1")
    add(session, "2")
    first.text = "one"
    session.add(Word(text="3"))
    session.commit()
    assert signals.before() == signals.after() == ["insert one", "insert 2", "insert 3"]


def test_nothing_changed_nothing_sent(session: orm.Session, signals: Signals) -> None:
    """Neither reading nor setting a value to what it is sends a signal."""
    word = add(session, "retort")
    session.commit()
    signals.forget()
    word.text = str(word.text)
    session.commit()
    assert signals.before() == signals.after() == []
    assert len(signals.senders) == 1


@pytest.mark.parametrize(
    ("steps", "reported"),
    [
        ("insert update", "insert"),
        ("insert delete", None),
        ("insert update delete", None),
        ("update update", "update"),
        ("update delete", "delete"),
        ("delete insert", "update"),
        ("delete insert delete", "delete"),
    ],
)
def test_changes_of_one_object_add_up(
    session: orm.Session, signals: Signals, steps: str, reported: str | None
) -> None:
    """Several changes of one object in one transaction are reported as their sum."""
    word = Word(text="0")
    if not steps.startswith("insert"):
        session.add(word)
        session.commit()
        signals.after()
    for number, step in enumerate(steps.split()):
        if step == "delete":
            session.delete(word)
        elif step == "update":
            word.text = f"{number}"
        else:
            if sa.inspect(word).was_deleted:
                orm.make_transient(word)
            session.add(word)
        session.flush()
    session.commit()
    assert signals.after() == ([] if reported is None else [f"{reported} {word.text}"])


def test_rollback_forgets_everything(session: orm.Session, signals: Signals) -> None:
    """What was rolled back is never reported, nor what a closed session left behind."""
    add(session, "1")
    session.rollback()
    add(session, "2")
    session.close()
    add(session, "3")
    session.commit()
    assert signals.before() == signals.after() == ["insert 3"]


def test_a_savepoint_sends_nothing(session: orm.Session, signals: Signals) -> None:
    """Signals wait for the real commit when a savepoint is released."""
    add(session, "outside")
    with session.begin_nested():
        add(session, "inside")
    assert signals.before() == signals.after() == []
    session.commit()
    assert signals.before() == signals.after() == ["insert outside", "insert inside"]


def test_a_savepoints_rollback_drops_only_its_changes(
    session: orm.Session, signals: Signals
) -> None:
    """Changes made before a savepoint that is rolled back are reported, those inside are not."""
    kept = add(session, "outside")
    outer = session.begin_nested()
    add(session, "outer")
    inner = session.begin_nested()
    add(session, "inner")
    inner.commit()
    kept.text = "changed"
    session.flush()
    outer.rollback()
    with session.begin_nested():
        add(session, "second")
    session.commit()
    assert signals.before() == signals.after() == ["insert outside", "insert second"]


def test_a_failed_flush_in_a_savepoint_drops_only_its_changes(
    session: orm.Session, signals: Signals
) -> None:
    """An error of the database inside a savepoint loses the savepoint's changes alone."""
    add(session, "taken")
    savepoint = session.begin_nested()
    add(session, "free")
    with pytest.raises(exc.IntegrityError):
        add(session, "taken")
    savepoint.rollback()
    session.commit()
    assert signals.before() == signals.after() == ["insert taken"]


def test_open_savepoints_are_part_of_a_commit_or_rollback(
    session: orm.Session, signals: Signals
) -> None:
    """``commit()`` and ``rollback()`` of the session end open savepoints, in one signal or none."""
    add(session, "1")
    session.begin_nested()
    add(session, "2")
    session.commit()
    assert signals.after() == ["insert 1", "insert 2"]
    session.begin_nested()
    add(session, "3")
    session.rollback()
    session.commit()
    assert signals.after() == []
    assert len(signals.senders) == 1


def test_orm_statements_report_the_model(session: orm.Session, signals: Signals) -> None:
    """ORM ``insert()``, ``update()`` and ``delete()`` report the model, once for each operation."""
    session.execute(sa.insert(Word), [{"text": "a"}, {"text": "b"}])
    session.execute(sa.update(Word).values(text=Word.text + "!"))
    session.execute(sa.update(Word).where(Word.text == "a!").values(text="c"))
    session.execute(sa.delete(Word))
    session.commit()
    assert signals.before() == signals.after() == ["insert Word", "update Word", "delete Word"]


def test_legacy_query_statements_report_the_model(session: orm.Session, signals: Signals) -> None:
    """``Query.update()`` and ``Query.delete()`` are seen like the statements they are."""
    session.query(Word).update({"text": "x"})
    session.query(Word).delete()
    session.commit()
    assert signals.after() == ["update Word", "delete Word"]


def test_a_failed_statement_is_not_reported(session: orm.Session, signals: Signals) -> None:
    """An ORM statement that the database refuses has changed nothing."""
    add(session, "1")
    with pytest.raises(exc.IntegrityError), session.begin_nested():
        session.execute(sa.insert(Word), {"text": "1"})
    session.commit()
    assert signals.after() == ["insert 1"]


def test_statements_keep_their_result(session: orm.Session, signals: Signals) -> None:
    """Listening does not take the result of a statement from its caller."""
    add(session, "a")
    result: Any = session.execute(sa.update(Word).values(text="b"))
    assert result.rowcount == 1
    assert session.scalars(sa.select(Word.text)).all() == ["b"]


def test_a_receiver_before_the_commit_takes_part_in_it(
    app: Flask, session: orm.Session, signals: Signals
) -> None:
    """A receiver of ``before_models_committed`` can complete objects before they are flushed."""

    def complete(sender: Flask, changes: list[tuple[Any, str]]) -> None:
        for word, _ in changes:
            word.text = word.text.upper()
        session.add(Word(text="added"))

    with before_models_committed.connected_to(complete, app):
        session.add(Word(text="retort"))
        session.commit()
    assert signals.after() == ["insert RETORT", "insert added"]
    assert session.scalars(sa.select(Word.text).order_by(Word.id)).all() == ["RETORT", "added"]


def test_a_receiver_before_the_commit_can_refuse_it(
    app: Flask, session: orm.Session, signals: Signals
) -> None:
    """An error of a receiver of ``before_models_committed`` stops the commit, to be rolled back."""

    def refuse(sender: Flask, changes: list[tuple[Any, str]]) -> None:
        raise ValueError("not this one")

    with before_models_committed.connected_to(refuse, app):
        session.add(Word(text="refused"))
        with pytest.raises(ValueError, match="not this one"):
            session.commit()
    session.rollback()
    add(session, "accepted")
    session.commit()
    assert signals.after() == ["insert accepted"]
    assert session.scalars(sa.select(Word.text)).all() == ["accepted"]


@pytest.mark.parametrize("block", [False, True])
def test_an_error_after_the_commit_leaves_the_session_usable(
    app: Flask, session: orm.Session, block: bool
) -> None:
    """An error of a receiver of ``models_committed`` propagates; the data is committed."""

    def fail(sender: Flask, changes: list[tuple[Any, str]]) -> None:
        raise OSError("mail server is down")

    def commit() -> None:
        if block:
            with session.begin():
                session.add(Word(text="kept"))
        else:
            session.add(Word(text="kept"))
            session.commit()

    with models_committed.connected_to(fail, app), pytest.raises(OSError, match="mail server"):
        commit()
    assert not session.in_transaction()
    assert session.scalars(sa.select(Word.text)).all() == ["kept"]
    add(session, "next")
    session.commit()
    session.close()
    assert session.get_bind().engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    assert len(session.scalars(sa.select(Word)).all()) == 2


def test_attributes_can_be_read_after_the_commit(app: Flask, session: orm.Session) -> None:
    """A receiver of ``models_committed`` reads values, such as new keys, without a statement."""
    read: list[tuple[int, str]] = []

    def receive(sender: Flask, changes: list[tuple[Any, str]]) -> None:
        read.extend((word.id, word.text) for word, _ in changes)

    with models_committed.connected_to(receive, app):
        session.add(Word(text="retort"))
        session.commit()
    assert read == [(1, "retort")]


def test_the_current_application_decides(
    app: Flask, session: orm.Session, signals: Signals
) -> None:
    """Nothing is recorded or sent where the current application does not ask, or there is none."""
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = False
    add(session, "1")
    session.commit()
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = True
    add(session, "2")
    session.commit()
    with Flask("other").app_context():
        add(session, "3")
        session.execute(sa.delete(Word))
        session.commit()
    assert signals.after() == ["insert 2"]


def test_listening_twice_reports_once(session: orm.Session, signals: Signals) -> None:
    """A second application of the same sessions does not double what is sent."""
    track_modifications.listen(type(session))
    word = Word(text="1")
    session.add(word)
    session.commit()
    assert signals.after() == ["insert 1"]
    assert len(signals.senders) == 1


@pytest.mark.parametrize("tracked", [True, False])
def test_the_configuration_decides_whether_the_extension_listens(
    make_app: Any, database_url: sa.URL, tracked: bool
) -> None:
    """Without ``SQLALCHEMY_TRACK_MODIFICATIONS``, ORM statements have no extra event."""
    config = {"SQLALCHEMY_TRACK_MODIFICATIONS": tracked, "RETORT_GUARDS": "off"}
    app = make_app(SQLALCHEMY_DATABASE_URI=database_url, **config)
    db = SQLAlchemy(app, model_class=Base)
    received = Signals()
    with app.app_context(), models_committed.connected_to(received.on_after, app):
        db.create_all()
        with db.session.begin_nested():
            db.session.add(Word(text="retort"))
        assert received.after() == []
        db.session.commit()
        listening = bool(list(db.session().dispatch.do_orm_execute))
        assert received.after() == (["insert retort"] if tracked else [])
        assert listening is tracked
