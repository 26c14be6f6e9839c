"""write-in-get: a request that should only read commits a change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from flask import Flask, current_app, has_request_context, request
from sqlalchemy.orm import Session

from . import places, written
from .hooks import Guard, Listener
from .per_transaction import PerTransaction
from .reporting import Reports, Text

SAFE = ("GET", "HEAD", "OPTIONS")
"""The methods of RFC 9110, section 9.2.1, that ask for nothing but an answer."""


class WriteInGet(Guard):
    """Finds commits of real changes while a GET, HEAD or OPTIONS request is dispatched.

    A model, or a table, may be allowed for all routes: its name is a subject as well. A store that
    keeps ``flask.session`` in the database is not found: it does what a cookie would. Nor is what
    was changed before the request, as by a test whose context it shares.
    """

    code = "write-in-get"
    text = Text(
        what="{subject} committed a change of {written} at {where}.",
        why="Browsers prefetch a GET, crawlers and monitors follow it, proxies repeat it and caches"
        " answer in its place, so the change happens when nobody wants it, and does not when"
        " somebody does; no token protects it from a link on another site.",
        write="""Write the change in a view of another method, @app.post(...), and call it by a"""
        """ form with method="post".""",
    )

    def __init__(self, reports: Reports) -> None:
        super().__init__(reports)
        self._before = PerTransaction(Counter[str])

    def listeners(self) -> Mapping[str, Listener]:
        """The commit, and what it takes to name what was flushed before it."""
        return {
            **written.LISTENERS,
            "request_begins": self._request_begins,
            "before_commit": self._commits,
        }

    def _request_begins(self, session: Session) -> None:
        if written.is_likely(session):
            before = self._before.of(session)
            before.clear()
            before.update(written.names(session))

    def _commits(self, session: Session) -> None:
        if not has_request_context() or request.method not in SAFE:
            return
        if not written.is_likely(session):
            return
        if session.in_nested_transaction():  # a savepoint's release; nothing is final yet
            return
        own = written.names(session) - (self._before.get(session) or Counter())
        changes = {
            name: times
            for name, times in own.items()
            if not self.reports.is_allowed(self.code, name)
        }
        if not changes or _is_of_session_store():
            return
        if places.is_running(Flask.full_dispatch_request):
            route = places.route(places.current_request())
            self.find(route, written=written.in_words(changes))


def _is_of_session_store() -> bool:
    store = type(current_app.session_interface)
    return places.is_running(store.save_session) or places.is_running(store.open_session)
