"""One database that this process has the right to migrate."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import exc

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import RetortError, RevisionFailed
from flask_retort.migrations import _alembic
from flask_retort.migrations.backends import backend_for
from flask_retort.migrations.progress import Report, Retrying, RevisionFinished, RevisionStarted

from . import failures
from .acquiring import held
from .journal import Journal, Mark
from .steps import Steps
from .watch import Watch


@dataclass(frozen=True)
class Work:
    """One database to be migrated.

    :param database: its bind key; empty for the default database.
    :param context: configured, its connection outside a transaction.
    :param arguments: keyword arguments for the scripts' functions.
    """

    database: str
    context: MigrationContext
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Database:
    """Entered, it holds the lock and the connection's settings; left, it gives both back."""

    def __init__(
        self, work: Work, settings: MigrationsConfig, report: Report, *, downgrade: bool
    ) -> None:
        assert work.context.connection is not None
        self.name = work.database
        self.heads: tuple[str, ...] = ()
        """The revisions that the database is at."""
        self.pending: list[_alembic.Step] = []
        """What :meth:`plan` has found to do."""
        self._work = work
        self._context = work.context
        self._connection: sa.Connection = work.context.connection
        self._settings = settings
        self._report = report
        self._downgrade = downgrade
        self._backend = backend_for(self._connection.dialect, settings)
        self._table = _alembic.version_table(work.context)
        self._lock = self._backend.lock(self._connection.engine, self._table.fullname)
        self._journal = Journal(self._connection, self._table.name, self._table.schema)
        self._left: Mark | None = None
        self._blockers: tuple[str, ...] = ()
        self._gave_up = False
        self._is_left_known = True
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        raw: Any = self._connection.connection.dbapi_connection
        dialect: Any = self._connection.dialect
        if dialect.name != "sqlite" and dialect.detect_autocommit_setting(raw):
            # Each statement would be committed by itself. The pool puts it back.
            self._connection.execution_options(isolation_level=dialect.default_isolation_level)
        with self._stack as stack:
            stack.enter_context(held(self._lock, self.name, self._settings.wait, self._report))
            stack.enter_context(self._backend.session(self._connection, self._table.fullname))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    @property
    def address(self) -> str:
        """Where the database is, the same for every process."""
        return self._connection.engine.url.render_as_string()

    # --- what there is to do ------------------------------------------------------

    def plan(self) -> None:
        """Read the heads, now that nobody else can change them, and find what is pending.

        :raises DatabaseAhead: the code does not have a revision that the database is at.
        :raises HalfDone: another revision has to be finished first.
        """
        self._read()
        self._check_known()
        self.pending = _alembic.pending_steps(self._context, self.heads)
        left = self._left
        if left is not None and not (self.pending and self._is_of(left, self.pending[0])):
            raise failures.half_done(left, self.name, self._target_of(left))

    def _read(self) -> None:
        try:
            self.heads = self._context.get_current_heads()
            self._left = self._journal.read()
        except exc.DBAPIError as error:
            if self._backend.is_denied(error):
                raise failures.denied(error, self._table.fullname, self.name) from error
            raise
        self._connection.rollback()

    def _check_known(self) -> None:
        script = self._context.script
        assert script is not None
        for head in self.heads:
            try:
                script.get_revisions(head)
            except CommandError as error:
                raise failures.ahead(head, self.name) from error

    def _target_of(self, left: Mark) -> str:
        """What to write behind ``flask db upgrade`` or ``downgrade`` to finish a revision."""
        script = self._context.script
        assert script is not None
        if not left.downgrade:
            return left.revision
        parent = getattr(script.get_revision(left.revision), "down_revision", None)
        name = parent if isinstance(parent, str) else "base"
        return name if len(self.heads) < 2 else f"{left.revision}@{name}"

    def _is_of(self, left: Mark, step: _alembic.Step) -> bool:
        is_downgrade = step.is_downgrade
        return left.revision == step.revision.revision and left.downgrade == is_downgrade

    # --- doing it -----------------------------------------------------------------

    def advance(self) -> None:
        """Apply the first pending revision, as often as locks make it necessary.

        :raises flask_retort.errors.RevisionFailed: it failed; what could be rolled back was.
        """
        step = self.pending[0]
        attempts = self._settings.retries + 1
        for attempt in range(1, attempts + 1):
            try:
                self._attempt(step)
            except exc.DBAPIError as error:
                reason = error
                if attempt == attempts or not self._is_worth_another(error):
                    raise self._failed(step, error, attempt) from error
            except RevisionFailed as error:
                raise failures.refused(step, error, self.name) from error
            except RetortError:
                raise
            except Exception as error:
                raise self._failed(step, error, attempt) from error
            else:
                self.pending.pop(0)
                return
            self._pause(step, attempt, attempts, reason)

    def _attempt(self, step: _alembic.Step) -> None:
        start = time.monotonic()
        revision = step.revision.revision
        title = step.doc or ""
        left = self._left
        downgrade = step.is_downgrade
        self._blockers = ()
        self._report(
            RevisionStarted(self.name, revision, title, downgrade, left.done if left else 0)
        )
        if self._backend.ddl_commits:
            self._journal.prepare()
            self._connection.commit()

        def again(error: exc.DBAPIError, tried: int) -> bool:
            self._blockers = watch.blockers
            self._gave_up = tried > self._settings.retries
            if self._gave_up or not self._backend.is_transient(error):
                return False
            self._pause(step, tried, self._settings.retries + 1, error)
            return True

        first = Mark(revision, downgrade, 0, "")
        steps = Steps(self._context, self._backend, self._journal, first, left, again)
        worker = self._backend.worker_id(self._connection)
        self._backend.limit(self._connection)
        self._connection.commit()
        watch = Watch(self._lock, worker, steps, self._report, self.name, revision)
        try:
            with self._interruptible(), watch, _alembic.revision_transaction(self._context):
                heads = self._apply(step, steps)
            if self._connection.in_transaction():  # begun after a commit of the script's own
                self._connection.commit()
        except BaseException as error:
            self._blockers = watch.blockers
            if not isinstance(error, Exception):  # the process is told to end
                self._cancel(worker, error)
            self._look_what_is_left(error)
            raise
        self.heads = tuple(sorted(heads))
        self._left = None
        self._report(
            RevisionFinished(self.name, revision, title, downgrade, time.monotonic() - start)
        )

    @contextmanager
    def _interruptible(self) -> Generator[None]:
        """Let an interruption stay one: undoing what is interrupted can fail, and says less."""
        try:
            yield
        except Exception as error:
            before = error.__context__
            while before is not None:
                if isinstance(before, KeyboardInterrupt):
                    raise before from error
                before = before.__context__
            raise

    def _apply(self, step: _alembic.Step, steps: Steps) -> set[str]:
        """Everything that happens in the revision's transaction; returns the new heads."""
        self._backend.begin(self._connection)
        if not self.heads and not _alembic.has_version_table(self._context):
            self._table.create(self._connection)
        arguments = dict(self._work.arguments)
        with _alembic.current_context(self._context), steps.watched():
            step.migration_fn(**arguments)
        steps.finish()
        heads = _alembic.move_heads(self._context, self.heads, step)
        _alembic.tell_version_callbacks(self._context, step, heads, arguments)
        self._backend.before_commit(self._connection)
        return heads

    def _look_what_is_left(self, error: BaseException) -> None:
        """After a rollback: what the journal says now is what the next attempt goes on from."""
        self._is_left_known = False
        if self._connection.invalidated:
            return
        try:
            self._connection.rollback()
            # A commit that failed is over for SQLAlchemy, and not always for the driver.
            self._connection.connection.rollback()
            self._left = self._journal.read()
            self._journal.drop()
            self._connection.commit()
            self._is_left_known = True
        except (exc.SQLAlchemyError, self._connection.dialect.loaded_dbapi.Error) as another:
            error.add_note(f"What is left of the revision could not be read: {another}")

    def _cancel(self, worker: int | None, error: BaseException) -> None:
        try:
            self._lock.cancel(worker)
        except exc.SQLAlchemyError as another:
            error.add_note(f"The statement in the server could not be ended: {another}")

    def _is_worth_another(self, error: exc.DBAPIError) -> bool:
        # What is in no transaction has been tried again by itself.
        return self._backend.is_transient(error) and not self._gave_up

    def _pause(
        self, step: _alembic.Step, attempt: int, attempts: int, error: exc.DBAPIError
    ) -> None:
        blockers = self._blockers
        delay = min(2.0 ** (attempt - 1), 30.0) * random.uniform(0.5, 1.5)  # noqa: S311
        reason = " ".join(str(error.orig).split())
        revision = step.revision.revision
        self._report(Retrying(self.name, revision, attempt, attempts, reason, blockers, delay))
        time.sleep(delay)

    def _failed(self, step: _alembic.Step, error: Exception, attempts: int) -> RetortError:
        return failures.explained(
            step,
            error,
            database=self.name,
            left=self._left,
            backend=self._backend,
            attempts=attempts,
            blockers=self._blockers,
            is_lost=self._connection.invalidated,
            is_left_known=self._is_left_known,
        )

    # --- the end ------------------------------------------------------------------

    def tidy(self) -> None:
        """Drop the journal, if this run or an earlier one has needed it and nothing is left."""
        try:
            self._journal.drop()
            self._connection.commit()
        except exc.DBAPIError as error:
            # Somebody reads it. An empty journal does no harm, and the next run drops it.
            if not self._backend.is_transient(error):
                raise
            self._connection.rollback()

    def stamp(self) -> None:
        """Write the command's revision to the version table without running a script."""
        with _alembic.revision_transaction(self._context):
            self._backend.begin(self._connection)
            if not _alembic.has_version_table(self._context):
                self._table.create(self._connection)
            self.heads = ()
            if self._context.purge:
                self._connection.execute(sa.delete(self._table))
            else:
                self.heads = self._context.get_current_heads()
                self._check_known()
            for step in _alembic.pending_steps(self._context, self.heads):
                heads = _alembic.move_heads(self._context, self.heads, step)
                self.heads = tuple(sorted(heads))
            if self._journal.read() is not None:
                self._journal.clear()
        self.tidy()
