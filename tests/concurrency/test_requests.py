"""Many requests at once, some of which fail: sessions and connections stay apart and come back."""

from __future__ import annotations

import gc
import itertools
import threading
from typing import Any

import flask
import sqlalchemy as sa

from flask_retort import SQLAlchemy

THREADS = 8
REQUESTS_PER_THREAD = 200


class Ledger:
    """An application whose requests write a row as a draft, look for drafts, and make it final.

    Every tenth view raises half-way, every twentieth teardown raises.
    """

    def __init__(self, app: flask.Flask) -> None:
        self.app = app
        self.db = SQLAlchemy(app)
        self.seen_drafts: list[int] = []
        self.shared_sessions: list[str] = []
        self.teardowns = itertools.count(1)
        app.config.update(TESTING=False, PROPAGATE_EXCEPTIONS=False)

        class Entry(self.db.Model):  # type: ignore[name-defined, misc]
            id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
            is_draft = sa.Column(sa.Boolean, nullable=False)

        self.Entry: Any = Entry
        app.add_url_rule("/<int:number>", view_func=self.write)
        app.teardown_appcontext(self.fail_sometimes)

    def write(self, number: int) -> str:
        session = self.db.session()
        if session.info:
            self.shared_sessions.append(f"{number} got the session of {session.info['number']}")
        session.info["number"] = number
        drafts = sa.select(sa.func.count()).select_from(self.Entry).where(self.Entry.is_draft)
        self.seen_drafts.append(session.scalar(drafts) or 0)
        session.rollback()
        entry = self.Entry(id=number, is_draft=True)
        session.add(entry)
        session.flush()
        if number % 10 == 0:
            raise RuntimeError("this view fails half-way")
        entry.is_draft = False
        session.commit()
        if session.info["number"] != number:
            self.shared_sessions.append(f"{number} lost its session to {session.info['number']}")
        return "written"

    def fail_sometimes(self, error: BaseException | None) -> None:
        if next(self.teardowns) % 20 == 0:
            raise LookupError("this teardown fails")


def test_eight_threads_share_nothing(database_url: sa.URL, make_app: Any) -> None:
    """No session is shared, no uncommitted row is seen, and every connection comes back."""
    ledger = Ledger(make_app(SQLALCHEMY_DATABASE_URI=database_url))
    with ledger.app.app_context():
        ledger.db.create_all()
        pool: Any = ledger.db.engine.pool
    answers = _send_all(ledger.app)
    total = THREADS * REQUESTS_PER_THREAD
    failed_teardowns = answers.pop("teardown")
    assert sum(answers.values()) + failed_teardowns == total
    assert failed_teardowns == (total + 1) // 20  # the set-up above ended a context, too
    assert answers.keys() == {200, 500}
    assert ledger.shared_sessions == []
    assert set(ledger.seen_drafts) == {0}
    gc.collect()
    assert pool.checkedout() == 0
    assert not ledger.db.session.registry.registry
    with ledger.app.app_context():
        session = ledger.db.session
        assert session.scalar(sa.select(sa.func.count(ledger.Entry.id))) == total - total // 10


def _send_all(app: flask.Flask) -> dict[Any, int]:
    """Send every request once, from all threads; counts by status, or ``teardown`` if it raised."""
    answers: dict[Any, int] = {"teardown": 0}
    lock = threading.Lock()
    barrier = threading.Barrier(THREADS)

    def work(thread: int) -> None:
        client = app.test_client()
        barrier.wait(timeout=30)
        for n in range(REQUESTS_PER_THREAD):
            try:
                answer: Any = client.get(f"/{thread * REQUESTS_PER_THREAD + n + 1}").status_code
            except* LookupError:  # Flask 3.2 raises it in a group
                answer = "teardown"
            with lock:
                answers[answer] = answers.get(answer, 0) + 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
