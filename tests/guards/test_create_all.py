"""What the guard against tables without migrations says, and when."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.conftest import MakeApp

from flask_retort import SQLAlchemy
from flask_retort.errors import GuardError

from .collection import Shop, new_shop


def test_message() -> None:
    """It names the database and the place, says what create_all() does not do, and what does."""
    with (
        new_shop(RETORT_GUARDS="raise", TESTING=False) as shop,
        shop.push(),
        pytest.raises(GuardError) as raised,
    ):
        shop.db.create_all()
    message = str(raised.value)
    assert message.startswith("create_all() ran on the default database at ")
    assert "test_create_all.py:" in message
    assert "never changes a table that exists" in message
    assert "`flask db migrate`" in message
    assert "db.allow('create-all', 'default', reason=...)" in message
    assert message.endswith("[retort:create-all]")


def test_raises_before_a_table_is_made_and_names_the_bind_key(make_app: MakeApp) -> None:
    """A refused create_all() has changed nothing."""
    app = make_app(
        TESTING=False,
        RETORT_GUARDS="raise",
        SQLALCHEMY_BINDS={"logs": "sqlite:///logs.db"},
    )
    db = SQLAlchemy(app)
    db.Table("visit", sa.Column("id", sa.Integer, primary_key=True), bind_key="logs")
    with app.app_context():
        with pytest.raises(GuardError, match="ran on database 'logs'"):
            db.create_all()
        assert sa.inspect(db.engines["logs"]).get_table_names() == []


def test_a_file_run_by_itself_may(make_app: MakeApp) -> None:
    """``python app.py`` makes its tables before ``app.run(debug=True)`` turns debug mode on."""
    app = make_app(
        "__main__",
        TESTING=False,
        RETORT_GUARDS="raise",
        SQLALCHEMY_DATABASE_URI="sqlite:///site.db",
    )
    db = SQLAlchemy(app)
    with app.app_context():
        db.create_all()


def test_applications_that_share_a_metadata_are_told_apart(shop: Shop) -> None:
    """A production application beside a tested one hears of its own tables only."""
    with (
        new_shop(RETORT_GUARDS="count", TESTING=False) as production,
        shop.push(),
    ):
        shop.db.create_all()
        assert not production.found
