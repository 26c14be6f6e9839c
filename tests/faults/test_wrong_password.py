"""A PostgreSQL server that asks for a password."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from flask_retort import SQLAlchemy
from flask_retort.errors import CannotConnect

from .servers import OwnPostgreSQL, OwnServer, running


class WithPassword(OwnPostgreSQL):
    """A server whose administrator has a password."""

    password = "right-horse"

    @property
    def url(self) -> sa.URL:
        return super().url.set(password=self.password)

    def prepare(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        self.run(
            *(f"{self.programs()}/initdb", "-D", "data", "-U", "postgres", "--no-sync"),
            *("-A", "scram-sha-256", f"--pwfile={secret}"),
        )


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """A running server with a password."""
    with running(WithPassword) as server:
        yield server


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_wrong_password_is_said_and_not_shown(
    server: OwnServer, make_app: Any, driver: str
) -> None:
    """The sentence names the cause and the database; neither password is in it or its causes."""
    url = server.url.set(drivername=f"postgresql+{driver}", password="wrong-battery")
    app = make_app(SQLALCHEMY_DATABASE_URI=url)
    db = SQLAlchemy(app)
    with app.app_context(), pytest.raises(CannotConnect) as info:
        db.session.execute(sa.text("SELECT 1"))
    error: BaseException | None = info.value
    assert "User or password are wrong" in str(error)
    assert f"127.0.0.1:{server.port}/postgres" in str(error)
    while error is not None:
        assert "wrong-battery" not in str(error)
        assert WithPassword.password not in str(error)
        error = error.__cause__
