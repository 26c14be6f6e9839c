"""``Migrate``, which gives an application the commands of ``flask db``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from alembic.config import Config
from flask import Flask

from flask_retort.errors import MigrationError

from .cli import db as command_group
from .folder import Folder

Directory = str | os.PathLike[str]
Directories = Mapping[str | None, Directory]
ConfigureCallback = Callable[[Config], Config]

DEFAULT_DIRECTORY = "migrations"


@dataclass(eq=False)
class Registered:
    """What ``app.extensions["migrate"]`` is: where the revisions of this application lie.

    ``configure_args`` are the keyword arguments for Alembic's ``configure()``. What an ``env.py``
    writes into them is gone after the command.
    """

    migrate: Migrate
    db: Any
    directory: str
    directories: dict[str | None, str]
    is_mapping: bool
    configure_args: dict[str, Any]

    @property
    def metadata(self) -> sa.MetaData:
        """The metadata of the default database."""
        metadata: sa.MetaData = self.db.metadata
        return metadata


class Migrate:
    """Schema migrations of one or many Flask applications: the commands of ``flask db``.

    :param app: initialise this application at once, see :meth:`init_app`.
    :param db: the ``SQLAlchemy`` object; without one, the application's is used.
    :param directory: the folder of the revisions, relative to the current one. A mapping of bind
        keys to folders gives each database a history of its own; the default database's key is
        None.
    :param command: the name of the commands' group.
    :param compare_type: whether ``migrate`` and ``check`` compare the types of columns.
    :param render_as_batch: whether ``migrate`` writes changes of a table in the form that SQLite
        needs.
    :param kwargs: more arguments for Alembic's ``EnvironmentContext.configure``.
    """

    def __init__(
        self,
        app: Flask | None = None,
        db: Any = None,
        directory: Directory | Directories = DEFAULT_DIRECTORY,
        command: str = "db",
        compare_type: bool = True,
        render_as_batch: bool = True,
        **kwargs: Any,
    ) -> None:
        self.configure_callbacks: list[ConfigureCallback] = []
        self.db = db
        self.command = command
        self.directory = _default_of(_folders(directory))
        self._given = directory
        self.alembic_ctx_kwargs: dict[str, Any] = {
            **kwargs,
            "compare_type": compare_type,
            "render_as_batch": render_as_batch,
        }
        if app is not None:
            self.init_app(app, db, directory)

    def init_app(
        self,
        app: Flask,
        db: Any = None,
        directory: Directory | Directories | None = None,
        command: str | None = None,
        compare_type: bool | None = None,
        render_as_batch: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Register on the application, and give it the commands. No connection is made.

        The arguments replace those of the constructor, for this application.
        """
        self.db = db or self.db
        self.command = command or self.command
        given = self._given if directory is None else directory
        folders = _folders(given)
        self.directory = _default_of(folders)
        given_here = {"compare_type": compare_type, "render_as_batch": render_as_batch}
        given_here = {name: value for name, value in given_here.items() if value is not None}
        app.extensions["migrate"] = Registered(
            migrate=self,
            db=self.db,
            directory=self.directory,
            directories=folders,
            is_mapping=isinstance(given, Mapping),
            configure_args={**self.alembic_ctx_kwargs, **given_here, **kwargs},
        )
        app.cli.add_command(command_group, name=self.command)

    def configure(self, f: ConfigureCallback) -> ConfigureCallback:
        """Call the function with Alembic's configuration, before each command.

        It returns the configuration to use: the same one, changed, or another.
        """
        self.configure_callbacks.append(f)
        return f

    def call_configure_callbacks(self, config: Config) -> Config:
        """The configuration after all callbacks, in the order they were registered."""
        for callback in self.configure_callbacks:
            # It is the application's, and easily forgets the return.
            changed = cast("Config | None", callback(config))
            if changed is None:
                name = getattr(callback, "__name__", repr(callback))
                raise MigrationError(
                    f"The configure callback '{name}' returned None. It has to return Alembic's"
                    " configuration: write 'return config' at its end."
                )
            config = changed
        return config

    def get_config(
        self,
        directory: Directory | None = None,
        x_arg: str | list[str] | tuple[str, ...] | None = None,
        opts: list[str] | None = None,
    ) -> Config:
        """Alembic's configuration of a folder, for use with Alembic's own functions."""
        folder = Folder(str(directory or self.directory))
        return self.call_configure_callbacks(
            folder.config(x_arg, **dict.fromkeys(opts or (), True))
        )


def _folders(directory: Directory | Directories) -> dict[str | None, str]:
    """Folders by bind key; a single folder for all databases has no key at all."""
    if isinstance(directory, Mapping):
        return {key: os.fspath(folder) for key, folder in directory.items()}
    return {None: os.fspath(directory)}


def _default_of(folders: Mapping[str | None, str]) -> str:
    return folders[None] if None in folders else next(iter(folders.values()), DEFAULT_DIRECTORY)
