"""lost-write: what was added, changed or deleted, and then thrown away for want of a commit."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import Flask, Request, Response
from flask.ctx import AppContext
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from . import places, written
from .hooks import Guard, Listener
from .reporting import Text

_ANSWER = "_retort_answer"
_HAS_FAILED = "_retort_has_failed"
_BEFORE = "retort_unsaved_before_request"


class _Answer(NamedTuple):
    """What a request has come to; it is over when the context of its session ends."""

    request: Request
    status: int

    @property
    def is_refusal(self) -> bool:
        return self.status >= 400 or getattr(self.request, _HAS_FAILED, False)

    @property
    def is_of_get(self) -> bool:
        return self.request.method in ("GET", "HEAD")


class LostWrite(Guard):
    """Finds uncommitted writes at the end of a context.

    None are where an exception ends it, or the view, the response is an error (4xx, 5xx), a command
    exits with a code, or the context is a test's own: there, to throw away is meant. Nor is an
    object that a GET request has changed and not flushed: it was changed to be shown.
    """

    code = "lost-write"
    text = Text(
        what="{subject} ended without a commit at {where}, and what it had added, changed or"
        " deleted was thrown away: {written}.",
        why="Nothing commits by itself: the work is lost, and nobody is told.",
        write="Write db.session.commit() where the work is done, or do it inside"
        " `with db.transaction():`; if it is not to be kept, say so with db.session.rollback().",
    )

    def listeners(self) -> Mapping[str, Listener]:
        """What it takes to name what was flushed, and requests that leave anything behind."""
        return {
            **written.LISTENERS,
            "request_begins": self._request_begins,
            "request_ends": self._request_ends,
        }

    def attach(self, app: Flask, engines: Mapping[str | None, Engine]) -> None:
        """Note which requests have failed, around Flask's own method: a signal would cost more."""
        handle = app.handle_user_exception

        @functools.wraps(handle)
        def handle_user_exception(*args: Any) -> Any:
            if not places.is_answer(args[-1]):
                setattr(places.current_request(), _HAS_FAILED, True)
            return handle(*args)

        app.handle_user_exception = handle_user_exception  # type: ignore[assignment,method-assign]

    def _request_begins(self, session: Session) -> None:
        session.info[_BEFORE] = _unsaved(session)

    def _request_ends(self, session: Session | None, response: Response) -> None:
        # Its context can be a test's, which goes on, and has rows of its own.
        before = None if session is None else session.info.get(_BEFORE)
        unsaved = None if session is None else _unsaved(session)
        if not response.is_sequence or unsaved != before:
            answer = _Answer(places.current_request(), response.status_code)
            setattr(places.context(), _ANSWER, answer)

    def context_ends(self, session: Session, error: BaseException | None) -> None:
        """Look at what is left in the session."""
        if error is not None or not written.is_likely(session):
            return
        context = places.context()
        answer: _Answer | None = getattr(context, _ANSWER, None)
        if answer and (answer.is_refusal or (answer.is_of_get and written.only_modified(session))):
            return
        lost = written.names(session)
        if lost:
            self._report(context, answer, written.in_words(lost))

    def _report(self, context: AppContext | None, answer: _Answer | None, lost: str) -> None:
        if context is not None and answer is not None:
            where = self.reports.places.definition(places.view(context.app, answer.request))
            self.find(places.route(answer.request), where=where, written=lost)
            return
        command = places.command()
        if command is not None:
            name, function = command
            if places.exit_code() == 0:
                self.find(name, where=self.reports.places.definition(function), written=lost)
            return
        where = self.reports.places.call_site()
        if where is None or not self.reports.places.is_test(where):
            self.find(where.qualified_name if where else "context", where=where, written=lost)


def _unsaved(session: Session) -> Counter[str] | None:
    return (written.names(session) or None) if written.is_likely(session) else None
