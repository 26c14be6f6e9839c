"""One history, opened for a command: its revisions, its databases, and how to work on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import exc

from flask_retort.config_sections import MigrationsConfig
from flask_retort.errors import MigrationError, RetortError, UnknownRevision

from . import builtin, refusals
from .bindings import DEFAULT, Binding
from .environment import Action, Environment, Plan
from .folder import Folder
from .histories import History, Served, served
from .progress import Report, silent

_RELATIVE = re.compile(r"[+-]\d+$")


@dataclass(frozen=True)
class Surroundings:
    """What the application gives to its histories.

    :param known: its databases by name.
    :param configure_args: arguments for Alembic's ``configure()``; what an ``env.py`` writes into
        them is taken out after each command.
    :param bind: the name of the only database to work on, or None.
    """

    known: Mapping[str, Binding]
    configure_args: dict[str, Any]
    settings: MigrationsConfig
    bind: str | None = None


@dataclass(frozen=True)
class Project:
    """A history whose files are all loaded."""

    history: History
    folder: Folder
    config: Config
    script: ScriptDirectory
    served: Served
    surroundings: Surroundings

    @property
    def databases(self) -> Sequence[Binding]:
        """The databases that a command is about, unless an ``env.py`` decides."""
        bind = self.surroundings.bind
        return [one for one in self.served.databases if bind is None or one.name == bind]

    @property
    def has_place_for_all(self) -> bool:
        """Whether a new script has a place for what each database needs."""
        is_single = self.folder.form == "single"
        return not (is_single and self.served.is_per_database and self.folder.env_py is None)

    @property
    def is_several(self) -> bool:
        """Whether output has to say which database it is about."""
        return self.served.is_per_database or self.history.is_alone

    def run(
        self,
        plan: Plan,
        *,
        action: Action = "read",
        report: Report = silent,
        settings: MigrationsConfig | None = None,
        check_known: bool = True,
        **options: Any,
    ) -> int:
        """Do a command's work on each database, and return how many revisions were applied.

        :param plan: see :class:`Environment`.
        :param options: more arguments for Alembic's ``EnvironmentContext``.
        :raises MigrationError: see its subclasses.
        """
        surroundings = self.surroundings
        environment = Environment(
            self.config,
            self.script,
            plan,
            action=action,
            known=surroundings.known,
            bind=surroundings.bind,
            settings=settings or surroundings.settings,
            report=report,
            check_known=check_known,
            **options,
        )
        # Restored while no other thread is in: it would take for its own what is there now.
        with self._refusals(), environment, _restored(surroundings.configure_args):
            if self.folder.env_py is not None:
                environment.run_file(self.folder.env_py)
            else:
                builtin.run(
                    environment,
                    self._chosen(),
                    surroundings.configure_args,
                    is_per_database=self.served.is_per_database,
                )
        return environment.applied

    def only(self, names: Sequence[str]) -> Project:
        """The same history for these databases only."""
        databases = [one for one in self.served.databases if one.name in names]
        return replace(self, served=replace(self.served, databases=databases))

    def _chosen(self) -> Sequence[Binding]:
        if not self.databases:
            titles = ", ".join(one.title for one in self.served.databases)
            raise MigrationError(
                f"The revisions in '{self.folder.name}' are about {titles}, and not about"
                f" '{self.surroundings.bind or 'default'}'. For several databases the folder is"
                " made with 'flask db init --multidb', or each has its own:"
                " Migrate(app, db, directory={...})."
            )
        return self.databases

    # --- revisions ----------------------------------------------------------------

    def check_target(self, revision: str) -> None:
        """See whether a revision is there, before anything is done.

        :raises UnknownRevision: it is not, or an abbreviation means several.
        :raises ManyHeads: it is "head", and there are several.
        """
        if not revision:
            raise UnknownRevision("The name of the revision is empty. Write 'head' for the newest.")
        if revision == "current" or _RELATIVE.search(revision):
            return
        with self._refusals():
            self.script.get_revisions(revision)

    def check_same_place(self, revision: str) -> None:
        """See whether a relative revision means one and the same for all databases.

        It does not where an earlier run has failed on one of them: the others would go further.

        :raises UnknownRevision: it does not.
        """
        if self.folder.form == "single" or not _RELATIVE.fullmatch(revision):
            return
        places = self.heads()
        if len(set(places.values())) > 1:
            listed = ", ".join(
                f"{name or DEFAULT} at {' and '.join(heads) or 'none'}"
                for name, heads in places.items()
            )
            raise UnknownRevision(
                f"The databases are at different revisions: {listed}. So '{revision}' does not mean"
                " the same for all. Name the revision they should all be at, or one database by"
                " --bind."
            )

    def revisions(self, names: str | Sequence[str]) -> Sequence[Script]:
        """The scripts of these names."""
        with self._refusals():
            return self.script.get_revisions(names if isinstance(names, str) else tuple(names))

    def heads(self) -> dict[str, tuple[str, ...]]:
        """The revisions that each database is at."""
        found: dict[str, tuple[str, ...]] = {}

        def note(heads: tuple[str, ...], _: Any, database: str) -> list[Any]:
            found[database] = heads
            return []

        self.run(note)
        return found

    def current_heads(self) -> tuple[str, ...]:
        """The revisions that any of the databases is at."""
        return tuple(sorted({head for heads in self.heads().values() for head in heads}))

    def walk(
        self, base: str | tuple[str, ...] = "base", head: str | tuple[str, ...] = "heads"
    ) -> list[Script]:
        """The scripts from one revision to another, the newest first."""
        with self._refusals():
            # Alembic takes several revisions here, and says so only in its code.
            return list(self.script.walk_revisions(cast(str, base), cast(str, head)))

    def all_current(self, heads: tuple[str, ...]) -> list[Script]:
        """The scripts of a database's revisions, and of those that they depend on."""
        with self._refusals():
            return sorted(self.script.get_all_current(heads), key=lambda script: script.revision)

    @contextmanager
    def writing(self) -> Generator[None]:
        """What is written to the folder of revisions in the ``with`` block stays if all goes well.

        :raises MigrationError: it can't be written.
        """
        before = self._files()
        try:
            with self._refusals():
                yield
        except BaseException as error:
            for path in self._files() - before:
                path.unlink()
            if isinstance(error, OSError):
                raise MigrationError(
                    f"A file in '{self.folder.name}' can't be written: {error}."
                ) from error
            if isinstance(error, Exception) and not isinstance(error, RetortError):
                raise refusals.broken(error, self._folders()) from error
            raise

    def _files(self) -> set[Path]:
        return {path for folder in self._folders() for path in folder.rglob("*.py")}

    def _folders(self) -> list[Path]:
        return [Path(folder) for folder in refusals.version_folders(self.script)]

    @contextmanager
    def _refusals(self) -> Generator[None]:
        """Let errors of Alembic and the database leave as ours."""
        try:
            yield
        except CommandError as error:
            raise refusals.translated(error, self.script) from error
        except exc.DBAPIError as error:
            if isinstance(error, RetortError):
                raise
            raise MigrationError(f"The database refused: {refusals.said(error)}.") from error


@contextmanager
def _restored(arguments: dict[str, Any]) -> Generator[None]:
    before = dict(arguments)
    try:
        yield
    finally:
        arguments.clear()
        arguments.update(before)


def open_project(
    history: History,
    surroundings: Surroundings,
    configured: Callable[[Config], Config],
    x_arg: str | Sequence[str] | None = None,
    *,
    may_be_new: bool = False,
    **options: object,
) -> Project:
    """Load a history.

    :param configured: the application's own changes of Alembic's configuration.
    :param x_arg: what ``env.py`` reads with ``context.get_x_argument()``.
    :param may_be_new: see :meth:`Folder.script`.
    :param options: attributes of ``config.cmd_opts``.
    """
    folder = Folder(history.directory)
    folder.check_exists()
    config = configured(folder.config(x_arg, **options))
    script = folder.script(config, may_be_new=may_be_new)
    found = served(history, script, folder.form)
    if folder.env_py is None and found.is_per_database:
        config.attributes["databases"] = [one.name for one in found.databases]
    return Project(history, folder, config, script, found, surroundings)
