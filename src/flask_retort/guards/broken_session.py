"""broken-session: an error was swallowed, and with it went writes that had succeeded before it."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_tb

from flask import Flask, has_request_context
from sqlalchemy.orm import Session as SQLAlchemySession

from flask_retort.errors.database import first_sentence
from flask_retort.transactions.failures import LostWork

from . import places
from .hooks import Guard, Listener
from .reporting import Text

_TOLD = "retort_told_lost"


class BrokenSessionGuard(Guard):
    """Finds the first use of a session after an error that nobody has rolled back for.

    The session itself has; where that has taken nothing but the statement that failed, or a commit
    was what failed, nothing is said. In an explicit block the session raises
    :class:`.BrokenSession` instead.
    """

    code = "broken-session"
    text = Text(
        what="An error was caught, and the session used on at {where}: {error}. The error had"
        " rolled back the whole transaction, with the writes before it that had succeeded.",
        why="They are lost, while the code goes on as if they were there, and what it commits now"
        " is one half of the work.",
        write="Put what may fail into a savepoint, so that only this is rolled back: `with"
        " db.transaction(): ...` inside of the try; or write db.session.rollback() in the except"
        " block, and begin again.",
    )

    def listeners(self) -> Mapping[str, Listener]:
        """Whatever sends something to the database."""
        return {
            "uses": self._used,
            "before_flush": self._used,
            "before_commit": self._used,
        }

    def _used(self, session: SQLAlchemySession, *_: object) -> None:
        lost: LostWork | None = getattr(session, "lost", None)
        if lost is None or not lost.wrote or session.info.get(_TOLD) is lost:
            return
        if _is_request_given_up() or _was_raised_by_commit(lost.error):
            return
        session.info[_TOLD] = lost  # once an error
        place = self.reports.places.call_site()
        command = places.command()
        subject = place.qualified_name if place else "session"
        if has_request_context():
            subject = places.route(places.current_request())
        elif command is not None:
            subject = command[0]
        error = f"{type(lost.error).__name__}: {first_sentence(lost.error)}"
        self.find(subject, where=place, error=error)


def _is_request_given_up() -> bool:
    """Whether the view is over, and this is an error handler, or runs after the request.

    An error that left the view was not swallowed: what it has taken with it was to go.
    """
    return places.is_running(Flask.full_dispatch_request) and not places.is_running(
        Flask.dispatch_request
    )


def _was_raised_by_commit(error: BaseException) -> bool:
    """Whether a commit failed: then everybody knows that nothing of it is there."""
    commit = SQLAlchemySession.commit.__code__
    return any(frame.f_code is commit for frame, _ in walk_tb(error.__traceback__))
