"""The statements of one revision: counted, journaled, and skipped when an earlier run made them."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, exc

from flask_retort.errors import ChangedRevision
from flask_retort.migrations.backends import INTERNAL, Backend, Kind, own

from . import skipped
from .journal import Journal, Mark

Again = Callable[[exc.DBAPIError, int], bool]

_NO_ROWS = "SELECT 1 FROM (SELECT 1 AS one) AS none_left WHERE 1 = 0"
_COMMITS = re.compile(r"\s*(COMMIT|END)(\s+(WORK|TRANSACTION))?\s*;?\s*", re.IGNORECASE)
_BEGINS = re.compile(
    r"\s*(BEGIN|START\s+TRANSACTION)(\s+(WORK|TRANSACTION|DEFERRED|IMMEDIATE|EXCLUSIVE))*\s*;?\s*",
    re.IGNORECASE,
)
_SHOWN = 200


class Steps:
    """Stands between a revision's script and the driver, for as long as the script runs.

    :param left: what an earlier run left of this revision, or None.
    :param again: asked with the error of a statement that is in no transaction, and the number of
        its attempts so far: whether to try it again. It waits before it says so.
    """

    def __init__(
        self,
        context: MigrationContext,
        backend: Backend,
        journal: Journal,
        start: Mark,
        left: Mark | None,
        again: Again,
    ) -> None:
        assert context.connection is not None
        self._context = context
        self._connection = context.connection
        self._backend = backend
        self._journal = journal
        self._left = left
        self._again = again
        self._saved = left.done if left else 0
        self._mark = start
        self._in_autocommit = False
        self._is_repeated = False
        self._times = 1
        self._caught: str | None = None
        self._skipped: str | None = None
        self.current: tuple[float, str] | None = None
        """The statement that is running, and since when (``time.monotonic()``)."""

    @property
    def done(self) -> int:
        """How many statements have run, in this run and in earlier ones."""
        return self._mark.done

    @contextmanager
    def watched(self) -> Generator[None]:
        """Let all statements of the context's connection pass through here."""
        block = self._context.autocommit_block
        self._context.autocommit_block = self._autocommit_block  # type: ignore[method-assign]
        dialect = self._connection.dialect
        handlers: dict[str, Callable[..., Any]] = {
            "do_execute": self._do_execute,
            "do_executemany": self._do_executemany,
            "do_execute_no_params": self._do_execute_no_params,
        }
        self._block = block
        listeners: list[tuple[Any, str, Callable[..., Any]]] = [
            *((dialect, name, handler) for name, handler in handlers.items()),
            (self._connection, "after_execute", self._after_execute),
            (self._connection, "commit", self._before_commit),
        ]
        for listener in listeners:
            event.listen(*listener)
        try:
            yield
        finally:
            for listener in listeners:
                event.remove(*listener)
            self._context.autocommit_block = block  # type: ignore[method-assign]
            skipped.forget_all()

    def finish(self) -> None:
        """Look whether the script still has all the statements that ran, and clear the journal.

        :raises ChangedRevision: it has fewer.
        """
        left = self._left
        if left is not None and (self.done < left.done or (left.running and self._is_at(left))):
            raise self._changed(self.done + 1, None)
        self._journal.clear()

    # --- SQLAlchemy's events: true means that the statement was executed here ------

    def _do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> Any:
        dialect = self._connection.dialect

        def run() -> None:
            dialect.do_execute(cursor, statement, parameters, context)

        return self._handle(cursor, statement, context, run)

    def _do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any) -> Any:
        dialect = self._connection.dialect

        def run() -> None:
            dialect.do_executemany(cursor, statement, parameters, context)

        # How many sets of parameters there were belongs to what was made.
        return self._handle(cursor, statement, context, run, len(parameters))

    def _do_execute_no_params(self, cursor: Any, statement: str, context: Any) -> Any:
        dialect = self._connection.dialect

        def run() -> None:
            dialect.do_execute_no_params(cursor, statement, context)

        return self._handle(cursor, statement, context, run)

    def _after_execute(self, *about: Any) -> None:
        """Behind a statement that was skipped: its result is not known."""
        result: Any = about[-1]
        if self._skipped is not None:
            skipped.refuse(result, self._mark.revision, self._skipped)
        self._skipped = None

    def _before_commit(self, connection: sa.Connection) -> None:
        """The script commits by itself: what it commits is noted in the same transaction."""
        if self.done > self._saved and not self._in_autocommit:
            self._note()

    def _handle(
        self, cursor: Any, statement: str, context: Any, run: Callable[[], None], times: int = 1
    ) -> bool | None:
        is_ours = context.root_connection is self._connection
        if not is_ours or context.execution_options.get(INTERNAL):
            return None
        kind = self._backend.kind(statement)
        self._times = times
        self._skipped = None
        if kind is not Kind.READ and self._caught is not None:
            # The script has caught the error and goes on: it failed, and that is a step too.
            self._count(self._caught)
            self._caught = None
        if _BEGINS.fullmatch(statement) and not self._in_autocommit:
            cursor.execute(_NO_ROWS)  # a revision is in a transaction anyway
        elif kind is Kind.READ:
            self._timed(statement, run)
        elif self._was_made(statement):
            cursor.execute(_NO_ROWS)
            self._skipped = _shown(statement)
        elif _COMMITS.fullmatch(statement) and not self._in_autocommit:
            # Committed with the journal, or nobody would know how far the revision is.
            self._count(statement)
            self._backend.before_commit(self._connection)
            self._save()
            cursor.execute(_NO_ROWS)
        else:
            self._execute(cursor, statement, kind, run)
            self._is_repeated = False
        return True

    # --- one statement ------------------------------------------------------------

    def _execute(self, cursor: Any, statement: str, kind: Kind, run: Callable[[], None]) -> None:
        self._backend.before_statement(self._connection, statement)
        try:
            if kind is Kind.ALONE and (self._in_autocommit or self._backend.ddl_commits):
                self._alone(cursor, statement, run)
            elif self._in_autocommit:
                self._in_own_transaction(cursor, statement, run)
            else:
                self._timed(statement, run)
                self._count(statement)
        except self._connection.dialect.loaded_dbapi.Error:
            self._caught = statement
            raise
        self._backend.after_statement(self._connection, statement)

    def _alone(self, cursor: Any, statement: str, run: Callable[[], None]) -> None:
        """Frame a statement that can't be rolled back by two entries in the journal."""
        fingerprint = self._backend.before_alone(self._connection, statement)
        attempts = 0
        try:
            self._save(running=statement, fingerprint=fingerprint)
            while True:
                attempts += 1
                try:
                    self._timed(statement, run)
                    break
                except self._connection.dialect.loaded_dbapi.Error as error:
                    if self._alone_has_ended(cursor, statement, error, attempts):
                        break
            self._backend.after_alone(self._connection, statement)
            self._count(statement)
            self._save()
        except Exception as error:
            if not self._is_disconnected(error, cursor):
                self._backend.alone_ended(self._connection, statement)
            raise
        self._backend.alone_ended(self._connection, statement)

    def _alone_has_ended(
        self, cursor: Any, statement: str, error: Exception, attempts: int
    ) -> bool:
        """Whether a statement that failed was made before it was repeated; False to try again.

        :raises Exception: neither; the error itself.
        """
        if self._is_disconnected(error, cursor):
            raise error  # it may go on in the server, so it stays the running one
        wrapped = exc.DBAPIError(statement, None, error)
        if self._is_repeated and self._backend.is_done_already(wrapped):
            cursor.execute(_NO_ROWS)
            return True
        if not self._in_autocommit:
            self._connection.connection.rollback()
        if not self._backend.fails_whole(statement):
            raise error  # a part of it may be committed, so it stays the running one
        if self._again(wrapped, attempts):
            return False
        self._save()  # it failed, so it is not running
        raise error

    def _in_own_transaction(self, cursor: Any, statement: str, run: Callable[[], None]) -> None:
        """In an autocommit block: commit the statement together with its entry."""
        before = self._mark
        attempts = 0
        while True:
            attempts += 1
            own(self._connection, self._backend.begin_word)
            try:
                self._timed(statement, run)
                self._count(statement)
                self._save()
                own(self._connection, "COMMIT")
                return
            except BaseException as error:
                self._mark = before
                if self._is_disconnected(error, cursor):
                    raise
                own(self._connection, "ROLLBACK")
                is_of_driver = isinstance(error, self._connection.dialect.loaded_dbapi.Error)
                if not is_of_driver or not self._again(
                    exc.DBAPIError(statement, None, error), attempts
                ):
                    raise

    def _timed(self, statement: str, run: Callable[[], None]) -> None:
        self.current = (time.monotonic(), statement)
        try:
            run()
        finally:
            self.current = None

    def _count(self, statement: str) -> None:
        self._mark = replace(
            self._mark,
            done=self._mark.done + 1,
            digest=_chained(self._mark.digest, statement, self._times),
            last=_shown(statement),
        )

    def _save(self, running: str | None = None, fingerprint: str = "") -> None:
        """Write to the journal how far it is; in a transaction, commit that with all before it."""
        self._note(running, fingerprint)
        if not self._in_autocommit:
            self._connection.connection.commit()
            self._backend.begin(self._connection)

    def _note(self, running: str | None = None, fingerprint: str = "") -> None:
        if self._mark.done == 0 and running is None:
            self._journal.clear()
        else:
            self._journal.prepare()
            self._journal.write(replace(self._mark, running=running, fingerprint=fingerprint))
        self._saved = self._mark.done

    def _is_disconnected(self, error: BaseException, cursor: Any) -> bool:
        dialect = self._connection.dialect
        known = dialect.loaded_dbapi.Error
        raw: Any = self._connection.connection.dbapi_connection
        return isinstance(error, known) and dialect.is_disconnect(error, raw, cursor)

    # --- what an earlier run has made ---------------------------------------------

    def _was_made(self, statement: str) -> bool:
        """Whether the statement is one of those that have run; then it is counted.

        :raises ChangedRevision: another one has run in its place.
        """
        left = self._left
        if left is None or self.done > left.done or (self._is_at(left) and left.running is None):
            return False
        if self._is_at(left):
            return self._was_made_while_killed(statement, left)
        self._count(statement)
        if self._is_at(left) and self._mark.digest != left.digest:
            raise self._changed(left.done, statement)
        return True

    def _was_made_while_killed(self, statement: str, left: Mark) -> bool:
        assert left.running is not None
        if statement != left.running:
            raise self._changed(left.done + 1, statement)
        self._left = replace(left, running=None)
        if not self._backend.was_done(self._connection, statement, left.fingerprint):
            self._is_repeated = True
            return False
        self._count(statement)
        self._save()
        return True

    def _is_at(self, left: Mark) -> bool:
        return self.done == left.done

    def _changed(self, number: int, statement: str | None) -> ChangedRevision:
        left = self._left
        assert left is not None
        ran = f" and '{_shown(left.running)}' was begun" if left.running else ""
        if statement is None:
            now = "it has fewer"
        else:
            now = f"statement {number} is '{_shown(statement)}', or one before it is another one"
        return ChangedRevision(
            f"Revision {left.revision} has run in part: {left.done} of its statements are made, the"
            f" last one begins '{left.last}'{ran}. This time the script ran otherwise: {now}. Which"
            " part is missing can't be known. Either it was changed since: put it back as it was,"
            " and change only what comes after these statements. Or what it does depends on what it"
            " finds, as with 'if not has_table(...)' or a loop until nothing is left: make the"
            f" schema right by hand and write 'flask db stamp {left.revision}'."
        )

    # --- autocommit blocks --------------------------------------------------------

    @contextmanager
    def _autocommit_block(self) -> Generator[None]:
        self._backend.before_commit(self._connection)
        if self.done > self._saved:
            self._note()  # committed together with the statements before the block
        failure: BaseException | None = None
        try:
            with self._block():
                self._in_autocommit = True
                try:
                    yield
                except BaseException as error:
                    failure = error
                    raise
                finally:
                    self._in_autocommit = False
        except exc.SQLAlchemyError as error:
            # Leaving the block fails too where the connection is lost, and says less.
            if failure is not None and error is not failure:
                raise failure from error
            raise
        self._backend.begin(self._connection)


def _chained(digest: str, statement: str, times: int) -> str:
    return hashlib.sha256(f"{digest}\n{times}\n{statement}".encode()).hexdigest()


def _shown(statement: str) -> str:
    """The beginning of a statement in one line."""
    return " ".join(statement.split())[:_SHOWN]
