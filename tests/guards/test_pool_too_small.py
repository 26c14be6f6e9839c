"""What the guard against pools with fewer connections than threads says, and how often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy
from flask_retort.errors import GuardError

from .collection import Shop, new_shop
from .programs.pool_too_small import TWO, at_once

ONE = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 7}


def read(shop: Shop) -> None:
    with shop.push():
        shop.db.session.execute(sa.select(sa.literal(1)))


def test_message() -> None:
    """It counts the threads, tells what the pool may open, and writes the setting."""
    with (
        new_shop(RETORT_GUARDS="raise", SQLALCHEMY_ENGINE_OPTIONS=ONE) as shop,
        pytest.raises(GuardError) as raised,
    ):
        at_once(1, lambda: read_beside_another_thread(shop))
    message = str(raised.value)
    assert message.startswith(
        "threads=2 of this process use the default database, whose pool opens at most 1"
        " connections: pool_size=1, max_overflow=0."
    )
    assert "fail with pool-exhausted after 7 s" in message
    assert 'SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": 2}' in message
    assert message.endswith("[retort:pool-too-small]")


def read_beside_another_thread(shop: Shop) -> None:
    read(shop)
    with ThreadPoolExecutor(1) as other:
        other.submit(read, shop).result()


def test_names_the_bind_key(make_app: MakeApp) -> None:
    """The setting of a bind is written where the bind is."""
    app = make_app(
        RETORT_GUARDS="raise", SQLALCHEMY_BINDS={"logs": {"url": "sqlite:///logs.db", **ONE}}
    )
    db = SQLAlchemy(app)

    def read_logs() -> None:
        with app.app_context():
            db.session.execute(sa.select(1), bind_arguments={"bind": db.engines["logs"]})

    read_logs()
    with ThreadPoolExecutor(1) as other, pytest.raises(GuardError, match="database 'logs'") as seen:
        other.submit(read_logs).result()
    assert 'SQLALCHEMY_BINDS = {\'logs\': {"url": ..., "pool_size": 2}}' in str(seen.value)


def test_tells_once_an_engine() -> None:
    """A pool that is too small for twenty threads is one finding."""
    with new_shop(RETORT_GUARDS="count", SQLALCHEMY_ENGINE_OPTIONS=TWO) as shop:
        at_once(5, lambda: read(shop))
        assert shop.found == {("pool-too-small", "default"): 1}


def test_a_refused_thread_gives_its_connection_back() -> None:
    """Raised as a transaction begins, the error leaves nothing checked out."""
    with new_shop(RETORT_GUARDS="raise", SQLALCHEMY_ENGINE_OPTIONS=ONE) as shop:
        with pytest.raises(GuardError):
            read_beside_another_thread(shop)
        with shop.push():
            pool = shop.db.engine.pool
        assert isinstance(pool, sa.QueuePool)
        assert pool.checkedout() == 0
