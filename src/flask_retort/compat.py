"""The old import name, for third-party extensions that ask for ``flask_sqlalchemy``."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from .errors import ConfigurationError

OLD_NAME = "flask_sqlalchemy"
EMULATED_VERSION = "3.1.1"
"""Version of the predecessor whose documented behaviour is followed."""

_SUBMODULES = (
    "cli",
    "extension",
    "model",
    "pagination",
    "query",
    "record_queries",
    "session",
    "table",
    "track_modifications",
)


def install_as_flask_sqlalchemy() -> None:
    """Make ``import flask_sqlalchemy`` and its nine submodules mean this package, in this process.

    Call it before anything imports the old name: at the top of the module that makes the
    application. Extensions that test ``isinstance(db, flask_sqlalchemy.SQLAlchemy)`` then accept
    our object. Calling it again does nothing.

    :raises flask_retort.errors.ConfigurationError: the real Flask-SQLAlchemy was imported before;
        two packages under one name would each see half of the objects.
    """
    present = sys.modules.get(OLD_NAME)
    if isinstance(present, _Alias):
        return
    if present is not None:
        raise ConfigurationError(
            f"The real Flask-SQLAlchemy is already imported (from {_origin(present)}), so"
            f" '{OLD_NAME}' cannot stand for Flask-Retort any more. Call"
            " install_as_flask_sqlalchemy() before the first import of an extension that uses it:"
            " in the first lines of your application's module."
        )
    alias = _Alias(OLD_NAME, "Flask-Retort under the import name of its predecessor.")
    for name in _SUBMODULES:
        module = importlib.import_module(f"{__package__}.{name}")
        setattr(alias, name, module)
        sys.modules[f"{OLD_NAME}.{name}"] = module
    sys.modules[OLD_NAME] = alias


class _Alias(ModuleType):
    """The module object under the old name."""

    def __init__(self, name: str, doc: str) -> None:
        super().__init__(name, doc)
        from .extension import SQLAlchemy

        self.__spec__ = ModuleSpec(name, loader=None, is_package=True)
        self.__path__ = []
        self.__version__ = EMULATED_VERSION
        self.__all__ = ["SQLAlchemy"]
        self.SQLAlchemy = SQLAlchemy


def _origin(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "an unknown place"
