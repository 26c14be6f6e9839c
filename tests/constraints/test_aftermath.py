"""After a refusal, in a request, a command and a nested transaction: all goes on."""

from __future__ import annotations

from contextlib import nullcontext
from contextvars import Context

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from .models import Account, db
from .refusals import REFUSALS, run


def refused_then_counted(name: str) -> int:
    """The number of accounts, asked for after a refusal was caught."""
    expected = pytest.raises(REFUSALS[name].kind)
    with expected if _is_possible(name) else nullcontext():
        run(REFUSALS[name], "flush", db.session)
    if not _is_possible(name):
        db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(Account)) or 0


def _is_possible(name: str) -> bool:
    refusal = REFUSALS[name]
    # The exclusion needs a row to overlap with; test_matrix.py has one.
    return db.engine.dialect.name not in refusal.impossible and name != "exclusion"


@pytest.fixture(scope="module")
def app(engine: sa.Engine) -> flask.Flask:
    application: flask.Flask = flask.current_app._get_current_object()  # type: ignore[attr-defined] # a proxy

    @application.get("/<name>")
    def view(name: str) -> str:
        return str(refused_then_counted(name))

    @application.cli.command("refuse")
    @flask.cli.with_appcontext
    def refuse() -> None:
        counts = {refused_then_counted(name) for name in REFUSALS}
        flask.current_app.config["COUNTS"] = counts

    return application


def in_use(engine: sa.Engine) -> int:
    assert isinstance(engine.pool, QueuePool)
    return engine.pool.checkedout()


@pytest.mark.parametrize("name", REFUSALS)
def test_a_request_goes_on(app: flask.Flask, engine: sa.Engine, name: str) -> None:
    """The next statement of the same request works, and its connection is given back."""
    # In no context, as a server: inside one, a request would use that one's session.
    answer = Context().run(app.test_client().get, f"/{name}")
    assert answer.text == "2"
    assert in_use(engine) == 0


def test_a_command_goes_on(app: flask.Flask, engine: sa.Engine) -> None:
    """One refusal of each kind after the other, in one context."""
    result = Context().run(app.test_cli_runner().invoke, args=["refuse"])
    assert result.exit_code == 0, result.output
    assert app.config["COUNTS"] == {2}
    assert in_use(engine) == 0


@pytest.mark.parametrize("name", REFUSALS)
def test_the_transaction_around_a_nested_one_goes_on(
    app: flask.Flask, engine: sa.Engine, name: str
) -> None:
    """The savepoint is rolled back, what was written before it is kept, the outer one commits."""
    if not _is_possible(name):
        return
    with app.app_context():
        with db.transaction() as session:
            session.get_one(Account, 2).age += 1
            with pytest.raises(REFUSALS[name].kind) as info, db.transaction():
                run(REFUSALS[name], "flush", session)
            age = session.scalar(sa.select(Account.age).where(Account.id == 2))
        assert info.value.rolled_back in ("savepoint", None)
        assert db.session.scalar(sa.select(Account.age).where(Account.id == 2)) == age
    assert in_use(engine) == 0
