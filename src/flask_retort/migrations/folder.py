"""A folder of revisions: what it has to hold, and what Alembic is told about it."""

from __future__ import annotations

import argparse
import configparser
import os
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from flask_retort.errors import BrokenRevision, MigrationError, MissingMigrations

from .refusals import broken, translated, version_folders, without_function

XArg = str | Sequence[str] | None
TEMPLATES = Path(__file__).parent / "templates"
"""Where the templates of folders lie, one folder each."""

_one_at_a_time = threading.RLock()
"""Python's filters of warnings belong to the whole process."""

_SIGNS = ("versions", "env.py", "alembic.ini", "script.py.mako")
Form = Literal["single", "multiple", "either"]
"""Whether a script has one function a direction, one for each database, or what is needed."""

_FOR_EACH = re.compile(r"_upgrades\b|\bdatabases\b")
_FOR_ONE = re.compile(r"^def upgrade\(\s*\)", re.MULTILINE)


class AlembicConfig(Config):
    """Alembic's configuration, which finds our templates."""

    def get_template_directory(self) -> str:
        """The folder of our templates."""
        return str(TEMPLATES)


class Folder:
    """A folder of revisions, which need not exist yet.

    :param directory: as the user names it.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.name = os.fspath(directory)
        self.path = Path(directory)

    @property
    def env_py(self) -> Path | None:
        """The environment that the project wrote itself, if there is one."""
        path = self.path / "env.py"
        return path if path.is_file() else None

    @cached_property
    def form(self) -> Form:
        """The form of new scripts, from the folder's ``script.py.mako`` or else our own.

        :raises MigrationError: ``script.py.mako`` can't be read.
        """
        template = self.path / "script.py.mako"
        if not template.is_file():
            return "either"
        text = _text_of(template, "utf-8")
        if not _FOR_EACH.search(text):
            return "single"
        return "either" if _FOR_ONE.search(text) else "multiple"

    def config(self, x_arg: XArg = None, **options: object) -> Config:
        """A new configuration: the folder's ``alembic.ini`` if there is one, and these options.

        :param x_arg: what ``env.py`` reads with ``context.get_x_argument()``.
        :param options: attributes of ``config.cmd_opts``.
        :raises MigrationError: ``alembic.ini`` can't be read.
        """
        ini = self.path / "alembic.ini"
        if ini.is_file():
            _text_of(ini, "locale")  # Alembic takes an unreadable file for an empty one.
        x = [x_arg] if isinstance(x_arg, str) else list(x_arg or ()) or None
        config = AlembicConfig(
            str(ini) if ini.is_file() else None, cmd_opts=argparse.Namespace(x=x, **options)
        )
        try:
            config.set_main_option("script_location", self.name.replace("%", "%%"))
        except configparser.Error as error:
            raise MigrationError(f"{ini} can't be read: {_in_one_line(error)}.") from error
        return config

    def check_exists(self) -> None:
        """See whether this can be a folder of revisions.

        :raises MissingMigrations: it can't.
        """
        if not self.path.is_dir():
            raise MissingMigrations(
                f"There is no folder '{self.name}' with revisions; looked for {self._shown}. Make"
                " it with 'flask db init', or name another with --directory, FLASK_DB_DIRECTORY or"
                " Migrate(app, db, directory=...)."
            )
        if not any((self.path / sign).exists() for sign in _SIGNS):
            raise MissingMigrations(
                f"The folder '{self.name}' holds no revisions: {self._shown} has no folder"
                " 'versions'. Make it with 'flask db init', or name another with --directory,"
                " FLASK_DB_DIRECTORY or Migrate(app, db, directory=...)."
            )

    @property
    def _shown(self) -> str:
        return str(self.path.absolute())

    def _check_readable(self, place: Path, *, may_be_new: bool) -> None:
        """See whether the files of revisions can be listed: Alembic takes a missing folder for an
        empty one, and a deployment that forgot it would migrate nothing.
        """
        try:
            next(place.iterdir(), None)
        except FileNotFoundError:
            if may_be_new:
                return
            why = "is missing"
        except OSError as error:
            why = f"can't be read ({error.strerror})"
        else:
            return
        raise MissingMigrations(
            f"The folder '{place.absolute()}' {why}, in which the revisions of '{self.name}' lie."
            " If they were left out of a deployment or of a commit, bring them back; the first"
            " 'flask db migrate' or 'flask db revision' of a new history makes the folder."
        )

    def script(self, config: Config, *, may_be_new: bool = False) -> ScriptDirectory:
        """The revisions, all of them loaded.

        :param may_be_new: whether the folders of the files may be missing, because the command
            makes them.
        :raises MissingMigrations: the folder is not there, or one in which its files lie.
        :raises BrokenRevision: a file can't be loaded, or the files contradict each other.
        """
        self.check_exists()
        script = _checked(lambda: ScriptDirectory.from_config(config))
        if not Path(script.dir, "script.py.mako").is_file():
            script.version_locations = script.version_locations or [
                str(Path(script.dir, "versions").absolute())
            ]
            script.dir = str(TEMPLATES / "flask")
        for place in version_folders(script):
            self._check_readable(Path(place), may_be_new=may_be_new)
        _load(script)
        return script


def _checked(make: Callable[[], ScriptDirectory]) -> ScriptDirectory:
    try:
        return make()
    except (CommandError, configparser.Error, ValueError) as error:
        raise MigrationError(f"alembic.ini: {_in_one_line(error)}.") from error


def _load(script: ScriptDirectory) -> None:
    """Load the files now, so that nothing is done before all are known to be right."""
    with _one_at_a_time, warnings.catch_warnings():
        # Alembic only warns of these, and then fails or picks one at random.
        for beginning in ("Revision .* is present more", "Revision .* referenced from"):
            warnings.filterwarnings("error", message=beginning, category=UserWarning)
        try:
            script.get_heads()
        except UserWarning as warning:
            raise BrokenRevision(_contradiction(str(warning), script)) from None
        except CommandError as error:
            raise translated(error, script) from error
        except (Exception, SystemExit) as error:
            raise broken(error, [Path(folder) for folder in version_folders(script)]) from error
    for revision in script.walk_revisions():
        if not callable(getattr(revision.module, "upgrade", None)):
            raise without_function(revision.module, "upgrade")


def _contradiction(warning: str, script: ScriptDirectory) -> str:
    words = warning.split()
    if "more than once" in warning:
        files = _files_with(script, words[1])
        return (
            f"Two files have the revision id {words[1]}: {files}. Only one of them can be applied."
            " Give the other its own id, in its file's name too, and set its down_revision to the"
            " one it follows."
        )
    return (
        f"Revision {words[1]} is the down_revision of {_child(warning)}, and no file has it."
        " Usually its file was not committed, or was deleted. Put it back, or correct the"
        " down_revision."
    )


def _child(warning: str) -> str:
    """The revision at the end of "Revision a referenced from a -> b (head), title is not ..."."""
    arrow = warning.partition(" -> ")[2]
    return arrow.split()[0].rstrip(",") if arrow else "another one"


def _files_with(script: ScriptDirectory, revision: str) -> str:
    pattern = re.compile(rf"^revision\b[^=\n]*=\s*['\"]{re.escape(revision)}['\"]", re.MULTILINE)
    found = [
        path
        for folder in version_folders(script)
        for path in sorted(Path(folder).rglob("*.py"))
        if pattern.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    return " and ".join(path.name for path in found) or "see the folder 'versions'"


def _text_of(path: Path, encoding: str) -> str:
    try:
        return path.read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise MigrationError(
            f"{path} can't be read: byte {error.start + 1} is no {error.encoding}. Save the file"
            " as UTF-8."
        ) from error
    except OSError as error:
        raise MigrationError(
            f"{path} can't be read: {error.strerror}. Let the user who runs 'flask db' read it."
        ) from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
