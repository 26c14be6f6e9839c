"""Every kind of refusal on every driver, and the table of the documentation."""

from __future__ import annotations

import pickle

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from flask_retort import errors

from .documented import documented
from .models import Account, Booking, db
from .refusals import REFUSALS, Refusal, Way, run

WAYS: list[Way] = ["flush", "Core", "bulk", "text"]


def refused(refusal: Refusal, way: Way) -> errors.StatementFailure:
    try:
        if refusal.model is Booking:
            db.session.execute(sa.text("INSERT INTO booking (id, nights) VALUES (1, '[1,4)')"))
        with pytest.raises(refusal.kind) as info:
            run(refusal, way, db.session)
    finally:
        db.session.rollback()
    return info.value


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_row(engine: sa.Engine, name: str, way: Way) -> None:
    """Class, model, fields, constraint and value are right however the row was sent.

    Where a refusal is not possible, the row is taken.
    """
    refusal = REFUSALS[name]
    back_end = engine.dialect.name
    if back_end in refusal.impossible:
        run(refusal, way, db.session)
        db.session.rollback()
        return
    error = refused(refusal, way)
    is_untold = way == "text" and back_end in refusal.untold
    assert isinstance(error, refusal.kind)
    assert error.model is refusal.model
    assert error.fields == (() if is_untold else refusal.fields)
    assert error.constraint == refusal.constraint.get(back_end)
    assert getattr(error, "direction", None) == refusal.direction
    is_one_row = way in ("flush", "Core")
    assert error.value == (refusal.value if is_one_row else None)
    assert error.reason
    assert isinstance(error.orig, Exception)
    assert str(error).endswith(f"[retort:{error.code}]")
    if not is_untold:
        assert f"{refusal.model.__name__}.{refusal.fields[0]}" in str(error)
    assert _sqlalchemy_s_own_class(error, engine) <= set(type(error).__mro__)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.about) == (type(error), str(error), error.about)


def _sqlalchemy_s_own_class(error: errors.StatementFailure, engine: sa.Engine) -> set[type]:
    """The class that SQLAlchemy would have raised; Python's own it would not wrap."""
    if isinstance(error.orig, OverflowError | ValueError):
        return {exc.DataError}
    assert isinstance(error.orig, Exception)
    plain = exc.DBAPIError.instance("", {}, error.orig, engine.dialect.loaded_dbapi.Error)
    return {type(plain)}


@pytest.mark.parametrize("name", REFUSALS)
def test_the_documented_row(driver: str, engine: sa.Engine, name: str) -> None:
    """The page says of each driver what the error says."""
    refusal = REFUSALS[name]
    reason = refusal.impossible.get(engine.dialect.name)
    if reason:
        cell = f"not possible: {reason}"
    else:
        error = refused(refusal, "flush")
        fields = ", ".join(f"{refusal.model.__name__}.{field}" for field in error.fields)
        cell = f"{fields} (`{error.constraint}`)" if error.constraint else fields
    row = documented().get(name, {})
    assert row.get(driver) == cell
    assert row["class"] == f"`{refusal.kind.__name__}`"
    base = next(base for base in refusal.kind.__bases__ if base.__module__ == exc.__name__)
    assert row["also"] == f"`{base.__name__}`"


def test_the_session_goes_on(engine: sa.Engine) -> None:
    """After a refusal the session works without a rollback by hand."""
    db.session.add(Account(id=1, mail="eve@x.org"))
    with pytest.raises(exc.IntegrityError):
        db.session.flush()
    assert db.session.get(Account, 1) is not None
    db.session.rollback()
