"""SQLite under threads, through ``db.session``."""

from __future__ import annotations

import threading
from typing import Any

import sqlalchemy as sa

from flask_retort import SQLAlchemy

THREADS = 4
TRANSACTIONS = 200


def test_read_then_write_loses_nothing_and_is_never_locked(make_app: Any) -> None:
    """Each transaction reads a number in a savepoint and writes it plus one: the sum is exact.

    The savepoint begins the transaction. Where it is begun as a reader, as the driver does it, the
    write fails with "database is locked".
    """
    app = make_app(SQLALCHEMY_DATABASE_URI="sqlite:///counter.db")
    db: Any = SQLAlchemy(app)

    class Counter(db.Model):  # type: ignore[misc]
        id = sa.Column(sa.Integer, primary_key=True)
        number = sa.Column(sa.Integer, nullable=False)

    errors: list[str] = []
    barrier = threading.Barrier(THREADS)

    def count_up() -> None:
        barrier.wait(timeout=30)
        for _ in range(TRANSACTIONS):
            try:
                with app.app_context():
                    with db.session.begin_nested():
                        counter = db.session.get(Counter, 1)
                        counter.number = counter.number + 1
                    db.session.commit()
            except sa.exc.OperationalError as error:
                errors.append(str(error.orig))

    with app.app_context():
        db.create_all()
        db.session.add(Counter(id=1, number=0))
        db.session.commit()
    threads = [threading.Thread(target=count_up) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with app.app_context():
        assert db.session.get(Counter, 1).number == THREADS * TRANSACTIONS
