"""What a project's ``env.py`` meets as ``alembic.context``; its work is handed to the runner."""

from __future__ import annotations

import functools
import importlib.util
import logging.config
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Self, cast

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import exc
from sqlalchemy.engine.default import DefaultDialect

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import BrokenRevision, MigrationError, RetortError

from . import _alembic, autogenerate, refusals, runner, scripts
from .bindings import DEFAULT, Binding
from .connections import outside_transaction, own_connection
from .progress import Report, silent
from .runner import failures

Action = Literal["upgrade", "downgrade", "stamp", "read"]
Plan = Callable[[tuple[str, ...], MigrationContext, str], Iterable[Any]]

_one_at_a_time = threading.RLock()


class Environment:
    """Stands for Alembic's environment while one command runs on one history.

    Alembic has one ``alembic.context`` for the whole process, so a second thread waits at the
    entrance until the first one's command has ended.

    :param plan: called for each database with the revisions it is at, its context, and its name:
        gives the steps to do, or reads what it wants and gives none.
    :param action: "read" changes nothing, not even the version table.
    :param known: the databases of the application by name.
    :param bind: only this database.
    :param check_known: whether reading a database whose revision the code does not have is refused.
    :param options: more arguments for Alembic's ``EnvironmentContext``.
    """

    def __init__(
        self,
        config: Config,
        script: ScriptDirectory,
        plan: Plan,
        *,
        action: Action,
        known: Mapping[str, Binding],
        bind: str | None,
        settings: MigrationsConfig,
        report: Report = silent,
        check_known: bool = True,
        **options: Any,
    ) -> None:
        self.script = script
        self.applied = 0
        """How many revisions were applied, over all databases."""
        self._plan = plan
        self._action: Action = action
        self._known = known
        self._bind = bind
        self._settings = settings
        self._report = report
        self._checks_known = check_known
        self._options = {**options, "fn": self._steps}
        self._asked: list[str] = []
        self._resources = ExitStack()
        self._alembic = EnvironmentContext(config, script, **self._options)
        self._configure = self._alembic.configure
        # env.py calls these through alembic.context, which knows Alembic's own class only.
        for name in ("configure", "begin_transaction", "run_migrations"):
            setattr(self._alembic, name, getattr(self, name))

    @property
    def is_offline(self) -> bool:
        """Whether SQL is written and not executed."""
        return self._alembic.is_offline_mode()

    @property
    def _is_writing(self) -> bool:
        return self._action != "read" and not self.is_offline

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(_one_at_a_time)
            stack.enter_context(self._alembic)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._resources.close()

    def run_file(self, path: Path) -> None:
        """Run the project's ``env.py``.

        :raises BrokenRevision: it can't be loaded, or lets nothing be done.
        """
        with _logging_left_alone():
            try:
                _execute(path)
            except (RetortError, CommandError, exc.DBAPIError):
                raise
            except (Exception, SystemExit) as error:
                raise refusals.broken(error, [path]) from error
        if not self._asked:
            raise BrokenRevision(
                f"{path.absolute()} has ended without a call of context.run_migrations(), so"
                " nothing was done. Call it for each database, after context.configure(...); or"
                " delete the file, which is needed only where it does something of its own."
            )
        if self._bind is not None and self._bind not in self._asked:
            raise MigrationError(
                f"{path.absolute()} does not work on the database '{self._bind or DEFAULT}', only"
                f" on {', '.join(name or DEFAULT for name in self._asked)}."
            )

    # --- what env.py calls --------------------------------------------------------

    def configure(
        self,
        connection: sa.Connection | None = None,
        url: str | sa.URL | None = None,
        dialect_name: str | None = None,
        dialect_opts: dict[str, Any] | None = None,
        **kw: Any,
    ) -> None:
        """Alembic's ``configure()``, completed: a transaction for each revision, our comparison.

        The transaction in which a connection may be already is left idle, because each revision has
        to be committed by itself.
        """
        if connection is not None and self._is_writing and connection.in_transaction():
            connection = self._resources.enter_context(outside_transaction(connection))
        # A new dict: each database keeps its own, also when the next one is configured.
        self._alembic.context_opts = dict(self._options)
        kw = autogenerate.compose(kw, version_table=kw.get("version_table") or "alembic_version")
        kw["transaction_per_migration"] = True
        if _dialect_name(connection, url, dialect_name) == "sqlite":
            kw["transactional_ddl"] = True
        self._configure(connection, url, dialect_name, dialect_opts, **kw)

    def begin_transaction(self) -> AbstractContextManager[Any]:
        """Nothing where revisions are run: the runner begins one for each."""
        if self._is_writing:
            return nullcontext()
        begin: Callable[[], AbstractContextManager[Any]]
        begin = self._alembic.get_context().begin_transaction
        return begin()

    def run_migrations(self, **arguments: Any) -> None:
        """Do the command's work on the database that was configured last."""
        context = self._alembic.get_context()
        if context.connection is None:
            raise BrokenRevision(
                "env.py has told context.configure() no connection, only a URL. A URL is enough"
                " for --sql; else write context.configure(connection=connection, ...)."
            )
        if self._is_writing and context.connection.in_transaction():
            context.connection.commit()  # what env.py has executed after configure()
        name = self._name_of(context, arguments)
        self._asked.append(name)
        if self._bind is None or name == self._bind:
            self.run([runner.Work(name, context, arguments)])

    # --- what the built-in environment calls --------------------------------------

    def context_for(self, binding: Binding, **kw: Any) -> MigrationContext:
        """A configured context for one database, with a connection of its own.

        Where SQL is only written, it has the dialect of the engine and no connection is made.
        """
        engine = binding.engine
        if self.is_offline:
            # Alembic asks a connection for its dialect only. The driver's would double each "%".
            dialect = cast("type[DefaultDialect]", type(engine.dialect))(paramstyle="named")
            self.configure(cast(sa.Connection, SimpleNamespace(dialect=dialect)), **kw)
        else:
            self.configure(self._resources.enter_context(own_connection(engine)), **kw)
        return self._alembic.get_context()

    def run(self, works: Sequence[runner.Work]) -> None:
        """Do the command's work on databases; together, where revisions are applied."""
        if not self._is_writing:
            for work in works:
                self._read(work)
        elif self._action == "stamp":
            runner.stamp(works, settings=self._settings, report=self._report)
        else:
            self.applied += runner.run(
                works,
                settings=self._settings,
                report=self._report,
                downgrade=self._action == "downgrade",
            )

    # --- one database -------------------------------------------------------------

    def _read(self, work: runner.Work) -> None:
        with _alembic.current_context(work.context), self._read_errors(work):
            if self.is_offline:
                work.context.run_migrations(**work.arguments)
                return
            heads = work.context.get_current_heads()
            if self._checks_known:
                self._check_known(heads, work.database)
            for _ in self._plan(heads, work.context, work.database):
                raise AssertionError("a command that reads has no steps")

    @contextmanager
    def _read_errors(self, work: runner.Work) -> Generator[None]:
        """Let what goes wrong leave as an error of ours, or as the application's own."""
        try:
            yield
        except (RetortError, CommandError, exc.DBAPIError):
            raise
        except Exception as error:
            if self.is_offline:
                raise refusals.not_offline(error, self.script) from error
            if isinstance(error, exc.SQLAlchemyError):
                raise MigrationError(
                    "The models can't be compared with the database"
                    f" '{work.database or DEFAULT}': {refusals.said(error)}."
                ) from error
            raise

    def _check_known(self, heads: Iterable[str], database: str) -> None:
        for head in heads:
            try:
                self.script.get_revisions(head)
            except CommandError as error:
                raise failures.ahead(head, database) from error

    def _steps(self, heads: tuple[str, ...], context: MigrationContext) -> list[Any]:
        """The plan's steps, which call the function that each script has for the database."""
        steps = list(self._plan(heads, context, ""))
        for step in steps:
            step.migration_fn = scripts.for_database(step.migration_fn)
        return steps

    def _name_of(self, context: MigrationContext, arguments: Mapping[str, Any]) -> str:
        name = arguments.get("engine_name")
        if isinstance(name, str):
            return name
        engine = getattr(context.connection, "engine", None)
        if isinstance(engine, sa.Engine):
            for binding in self._known.values():
                if binding.engine.pool is engine.pool:
                    return binding.name
        return ""


def _dialect_name(
    connection: sa.Connection | None, url: str | sa.URL | None, dialect_name: str | None
) -> str | None:
    if connection is not None:
        return connection.dialect.name
    return sa.make_url(url).get_backend_name() if url is not None else dialect_name


def _execute(path: Path) -> None:
    spec = importlib.util.spec_from_file_location("env_py", path)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@contextmanager
def _logging_left_alone() -> Generator[None]:
    """Let ``fileConfig`` and ``dictConfig`` do nothing in this thread.

    A process that migrates keeps its logging: the files of older projects would replace the
    handlers and disable the loggers that exist.
    """
    thread = threading.get_ident()
    originals: dict[str, Callable[..., None]] = {
        name: getattr(logging.config, name) for name in ("fileConfig", "dictConfig")
    }
    is_over = threading.Event()

    def guarded(original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def configure(*args: Any, **kwargs: Any) -> None:
            if is_over.is_set() or threading.get_ident() != thread:
                original(*args, **kwargs)

        return configure

    for name, original in originals.items():
        setattr(logging.config, name, guarded(original))
    try:
        yield
    finally:
        is_over.set()
        for name, original in originals.items():
            setattr(logging.config, name, original)
