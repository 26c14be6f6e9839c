"""Deadlocks, timeouts and their like on every driver, and the table of the documentation."""

from __future__ import annotations

import pickle

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm.exc import StaleDataError

from flask_retort import errors

from .conflicts import CONFLICTS, NO_GIVING_UP, ONE_WRITER
from .documented import documented
from .models import Account, db

ALSO = (exc.PendingRollbackError, exc.OperationalError, StaleDataError)
NO_ROW_LOCKS = "there are no locks on rows"
IMPOSSIBLE = {
    ("deadlock", "sqlite"): ONE_WRITER,
    ("lock not free", "sqlite"): NO_ROW_LOCKS,
    ("broken session, after a statement", "sqlite"): NO_GIVING_UP,
    ("broken session, after a statement", "mysql"): NO_GIVING_UP,
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_conflict(driver: str, engine: sa.Engine, name: str) -> None:
    """Class and model are right, the page says so, and the next statement works."""
    row = documented()[name]
    reason = IMPOSSIBLE.get((name, engine.dialect.name))
    if reason is not None:
        assert row[driver] == f"not possible: {reason}"
        return
    kind: type[errors.DatabaseFailure] = getattr(errors, row["class"].strip("`"))
    also = next(base for base in ALSO if base.__name__ == row["also"].strip("`"))
    with pytest.raises(kind) as info:
        CONFLICTS[name](engine)
    db.session.rollback()
    error = info.value
    assert isinstance(error, also)
    shown = [error.model.__name__ if error.model else "", *error.fields]
    assert row[driver] == (".".join(shown) or "yes")
    assert f"[retort:{kind.code}]" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    with engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Account)) == 2
