"""The old import names, for code and extensions that ask for our predecessors."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType

from .errors import ConfigurationError


@dataclass(frozen=True)
class Predecessor:
    """A package whose import name may stand for a part of this one."""

    name: str
    title: str
    version: str
    """The release whose documented behaviour is followed."""
    here: str
    """The module of ours whose public names it gets."""
    submodules: tuple[str, ...]
    """Modules of the same names there and here."""


FLASK_SQLALCHEMY = Predecessor(
    name="flask_sqlalchemy",
    title="Flask-SQLAlchemy",
    version="3.1.1",
    here="flask_retort",
    submodules=(
        "cli",
        "extension",
        "model",
        "pagination",
        "query",
        "record_queries",
        "session",
        "table",
        "track_modifications",
    ),
)
FLASK_MIGRATE = Predecessor(
    name="flask_migrate",
    title="Flask-Migrate",
    version="4.1.0",
    here="flask_retort.migrations",
    submodules=("cli",),
)


def install_as_flask_sqlalchemy() -> None:
    """Make ``import flask_sqlalchemy`` and its nine submodules mean this package, in this process.

    Call it before anything imports the old name: at the top of the module that makes the
    application. Extensions that test ``isinstance(db, flask_sqlalchemy.SQLAlchemy)`` then accept
    our object. Calling it again does nothing.

    :raises flask_retort.errors.ConfigurationError: the real Flask-SQLAlchemy was imported before;
        two packages under one name would each see half of the objects.
    """
    _install(FLASK_SQLALCHEMY, ["SQLAlchemy"])


def install_as_flask_migrate() -> None:
    """Make ``import flask_migrate`` and ``flask_migrate.cli`` mean our migrations, in this process.

    Call it before anything imports the old name: at the top of the module that makes the
    application. ``from flask_migrate import Migrate, upgrade`` then needs no change. Calling it
    again does nothing.

    :raises flask_retort.errors.ConfigurationError: the real Flask-Migrate was imported before.
    """
    _install(FLASK_MIGRATE, None, {"Config": "folder.AlembicConfig"})


def _install(
    old: Predecessor, names: list[str] | None, renamed: Mapping[str, str] | None = None
) -> None:
    """Put the alias into ``sys.modules``, with these names of ours, or with all public ones.

    :param renamed: "module.name" of ours by a name that only the predecessor has.
    """
    present = sys.modules.get(old.name)
    if isinstance(present, _Alias):
        return
    if present is not None:
        raise ConfigurationError(
            f"The real {old.title} is already imported (from {_origin(present)}), so"
            f" '{old.name}' cannot stand for Flask-Retort any more. Call"
            f" install_as_{old.name}() before the first import of an extension that uses it:"
            " in the first lines of your application's module."
        )
    here = importlib.import_module(old.here)
    alias = _Alias(old, {name: getattr(here, name) for name in names or here.__all__})
    for name, ours in (renamed or {}).items():
        module_name, _, our_name = ours.rpartition(".")
        module = importlib.import_module(f"{old.here}.{module_name}")
        setattr(alias, name, getattr(module, our_name))
    for name in old.submodules:
        module = importlib.import_module(f"{old.here}.{name}")
        setattr(alias, name, module)
        sys.modules[f"{old.name}.{name}"] = module
    sys.modules[old.name] = alias


class _Alias(ModuleType):
    """The module object under an old name."""

    def __init__(self, old: Predecessor, public: dict[str, object]) -> None:
        super().__init__(old.name, f"Flask-Retort under the import name of {old.title}.")
        self.__spec__ = ModuleSpec(old.name, loader=None, is_package=True)
        self.__path__ = []
        self.__version__ = old.version
        self.__all__ = list(public)
        vars(self).update(public)


def _origin(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "an unknown place"
