"""SQLAlchemy dialects and driver modules: what to write or install where one is missing."""

from __future__ import annotations

import difflib
from importlib.util import find_spec
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import NoSuchModuleError

from flask_retort.checks import masked
from flask_retort.errors import ConfigurationError

DRIVERS = {
    "postgresql": {
        "psycopg": ("psycopg", "psycopg[binary]"),
        "psycopg2": ("psycopg2", "psycopg2-binary"),
    },
    "mysql": {
        "mysqldb": ("MySQLdb", "mysqlclient"),
        "pymysql": ("pymysql", "PyMySQL"),
    },
}
"""By back end and driver: the module that is imported, and the package that brings it."""

DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")


def check_dialect(url: URL) -> None:
    """Nothing, when SQLAlchemy has a dialect for this URL; no driver module is imported.

    :raises ConfigurationError: it has none.
    """
    try:
        url.get_dialect()
    except NoSuchModuleError as error:
        backend, driver = url.get_backend_name(), url.drivername.partition("+")[2]
        if backend == "postgres":
            advice = "SQLAlchemy calls it 'postgresql': write postgresql:// instead of postgres://."
        elif driver and backend in DIALECTS:
            known = ", ".join(f"{backend}+{name}" for name in DRIVERS.get(_family(backend), ()))
            advice = f"'{backend}' is known, its driver '{driver}' is not" + (
                f": write one of {known}." if known else "."
            )
        else:
            near = difflib.get_close_matches(backend, DIALECTS, n=1, cutoff=0.4)
            advice = f"Did you mean {near[0]}://?" if near else f"Known are {', '.join(DIALECTS)}."
        raise ConfigurationError(
            f"SQLAlchemy has no dialect '{url.drivername}' for the database URL"
            f" '{masked(url)}'. {advice}",
            code="unknown-dialect",
        ) from error


def create_engine(options: dict[str, Any], bind_key: str | None) -> sa.Engine:
    """``sqlalchemy.create_engine``, with an error that names the package to install.

    Text is converted to the type of its option, as ``sqlalchemy.engine_from_config`` does; that one
    also makes whole numbers of fractions of a second.
    """
    url: URL = options["url"]
    types = url.get_dialect().engine_config_types
    converted = {
        name: types[name](value) if isinstance(value, str) and name in types else value
        for name, value in options.items()
    }
    try:
        return sa.create_engine(**converted)
    except ImportError as error:
        raise ConfigurationError(
            _missing_driver(url, bind_key, error), code="missing-driver"
        ) from error


def _missing_driver(url: URL, bind_key: str | None, error: ImportError) -> str:
    backend, driver = url.get_backend_name(), url.get_driver_name()
    drivers = DRIVERS.get(_family(backend), {})
    package = drivers[driver][1] if driver in drivers else driver
    advice = (
        f"Install it: pip install {package!r}."
        if "[" in package
        else (f"Install it: pip install {package}.")
    )
    for name, (module, _) in drivers.items():
        if name != driver and find_spec(module) is not None:
            advice += f" Or use {module}, which is installed: write {backend}+{name}://."
    database = "default database" if bind_key is None else f"database {bind_key!r}"
    return f"The driver of the {database}, '{masked(url)}', can't be imported: {error}. {advice}"


def _family(backend: str) -> str:
    return "mysql" if backend == "mariadb" else backend
