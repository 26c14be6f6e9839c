"""The configuration keys, each with default, meaning and check, read into one object."""

from __future__ import annotations

import dataclasses
import difflib
import warnings
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.pool import QueuePool

from . import checks
from .config_sections import MigrationsConfig, MySQLConfig, SQLiteConfig, about
from .errors import ConfigurationError, MissingDatabase, RetortWarning

PREFIXES = ("SQLALCHEMY_", "RETORT_")

REMOVED = {
    "SQLALCHEMY_COMMIT_ON_TEARDOWN": "Nothing commits at the end of a request: call"
    " db.session.commit() where the work is done.",
    "SQLALCHEMY_NATIVE_UNICODE": "Every driver of today speaks Unicode: delete the key.",
    "SQLALCHEMY_POOL_PRE_PING": "Connections are pinged after RETORT_PING_AFTER_IDLE seconds of"
    " idleness; set that to 0 for a ping at every checkout.",
    "SQLALCHEMY_ENGINES": "Name the default database in SQLALCHEMY_DATABASE_URI and the others in"
    " SQLALCHEMY_BINDS.",
}
"""Keys that meant something once, or to a relative, and what to write instead."""

MISSPELT_DATABASE_KEYS = ("DATABASE_URL", "DATABASE_URI", "SQLALCHEMY_URL", "SQLALCHEMY_URI")
"""Keys often written for SQLALCHEMY_DATABASE_URI that are not near it by spelling."""


@dataclass(frozen=True, slots=True)
class Config:
    """The configuration of one application, checked, one attribute a key of the same name.

    Made by :meth:`from_mapping`. Passwords do not appear in its ``repr``.
    """

    SQLALCHEMY_DATABASE_URI: URL | None = field(
        default=None,
        metadata=about(checks.optional_url, "URL of the default database, text or URL object."),
        repr=False,
    )
    SQLALCHEMY_ENGINE_OPTIONS: Mapping[str, Any] = field(
        default_factory=dict[str, Any],
        metadata=about(
            checks.engine_options, "Arguments of create_engine for the default database."
        ),
        repr=False,
    )
    SQLALCHEMY_BINDS: Mapping[str | None, Mapping[str, Any]] = field(
        default_factory=dict[str | None, Mapping[str, Any]],
        metadata=about(
            checks.binds,
            "Further databases by bind key: a URL, or a dict of create_engine's arguments with"
            " 'url'.",
        ),
        repr=False,
    )
    SQLALCHEMY_ECHO: bool | str = field(
        default=False,
        metadata=about(checks.echo, "Log all statements and pool events; 'debug' also logs rows."),
    )
    SQLALCHEMY_RECORD_QUERIES: bool = field(
        default=False,
        metadata=about(
            checks.boolean, "Keep each statement of a request for get_recorded_queries()."
        ),
    )
    SQLALCHEMY_TRACK_MODIFICATIONS: bool = field(
        default=False,
        metadata=about(checks.boolean, "Send signals with the objects that a commit changed."),
    )
    SQLALCHEMY_POOL_SIZE: int | None = field(
        default=None,
        metadata=about(
            checks.optional_integer,
            "Connections a pool keeps open: pool_size of the engines that do not set their own.",
        ),
    )
    SQLALCHEMY_MAX_OVERFLOW: int | None = field(
        default=None,
        metadata=about(
            checks.optional_integer,
            "Connections a pool may open beyond its size: max_overflow of the engines that do not"
            " set their own.",
        ),
    )
    SQLALCHEMY_POOL_TIMEOUT: float | None = field(
        default=None,
        metadata=about(
            checks.optional_seconds,
            "Seconds to wait for a connection of an exhausted pool: pool_timeout of the engines"
            " that do not set their own.",
        ),
    )
    SQLALCHEMY_POOL_RECYCLE: int | None = field(
        default=None,
        metadata=about(
            checks.optional_integer,
            "Age in seconds at which a connection is replaced, -1 is never: pool_recycle of the"
            " engines that do not set their own.",
        ),
    )
    RETORT_PING_AFTER_IDLE: float | None = field(
        default=30.0,
        metadata=about(
            checks.optional_seconds,
            "Seconds of idleness after which a server's connection is tried before it is handed"
            " out; 0: always; None: never.",
        ),
    )
    RETORT_POOLER: str | None = field(
        default=None,
        metadata=about(
            checks.one_of("transaction", None),
            "transaction: a pooler between here and the server gives each transaction another"
            " connection (pgbouncer's transaction mode); prepared statements are switched off.",
        ),
    )
    RETORT_SQLITE: SQLiteConfig = field(
        default=SQLiteConfig(),
        metadata=about(checks.section(SQLiteConfig), "A dict of settings for SQLite, see there."),
    )
    RETORT_MYSQL: MySQLConfig = field(
        default=MySQLConfig(),
        metadata=about(checks.section(MySQLConfig), "A dict of settings for MySQL and MariaDB."),
    )
    RETORT_MIGRATIONS: MigrationsConfig = field(
        default=MigrationsConfig(),
        metadata=about(checks.section(MigrationsConfig), "A dict of settings for flask db."),
    )
    RETORT_MAX_PER_PAGE: int | None = field(
        default=100,
        metadata=about(
            checks.optional_positive,
            "Most rows a page may have, unless the call says otherwise; None is no limit.",
        ),
    )
    RETORT_REQUEST_TRANSACTION: bool = field(
        default=False,
        metadata=about(
            checks.boolean,
            "Commit once at the end of a request, before the response leaves and only if it is a"
            " success; GET, HEAD and OPTIONS only read.",
        ),
    )
    RETORT_GUARDS: str | Mapping[str, str] | None = field(
        default=None,
        metadata=about(
            checks.guards,
            "What guards do with a mistake they find: warn, raise, count or off, for all, or by"
            " code in a dict with 'default' for the rest. None: raise with testing, warn with"
            " debug, otherwise count.",
        ),
    )
    RETORT_ALLOW: tuple[tuple[str, str, str], ...] = field(
        default=(),
        metadata=about(
            checks.allowances,
            "What guards let pass: a list of (code, what it is about, reason), such as"
            " ('lost-update', 'Product.views', 'need not be exact').",
        ),
    )
    RETORT_IGNORE_KEYS: tuple[str, ...] = field(
        default=(),
        metadata=about(
            checks.names, "Keys under our prefixes that belong to the application: not reported."
        ),
    )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Config:
        """The checked configuration of this moment; later changes of the mapping are not seen.

        :param mapping: keys to values, such as ``app.config``. Keys of others are not read.
        :raises ConfigurationError: a value is of the wrong type or out of range, a URL can't be
            parsed, or no database is configured.
        """
        given = {
            f.name: f.metadata["check"](f.name, mapping[f.name])
            for f in dataclasses.fields(cls)
            if f.name in mapping
        }
        config = cls(**given)
        if not config._has_database():
            raise _missing_database(mapping, config.RETORT_IGNORE_KEYS)
        return config

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """A new dict of every key with its default, in plain values."""
        defaults: dict[str, Any] = {}
        for f in dataclasses.fields(cls):
            is_dict = f.default is MISSING or dataclasses.is_dataclass(f.default)
            defaults[f.name] = {} if is_dict else f.default
        return defaults

    def plain_values(self) -> dict[str, Any]:
        """The checked values of the keys that hold a number, a word or yes and no."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {
            name: value
            for name, value in values.items()
            if value is None or isinstance(value, (bool, int, float, str))
        }

    def engine_options(self, init_options: Mapping[str, Any]) -> dict[str | None, dict[str, Any]]:
        """Arguments of ``create_engine`` by bind key, new dicts, each with a URL object as "url".

        From weak to strong: ``SQLALCHEMY_ECHO``, the ``engine_options`` argument, the older pool
        keys, the bind's own options; for the default database then ``SQLALCHEMY_ENGINE_OPTIONS``
        and ``SQLALCHEMY_DATABASE_URI``.

        :param init_options: the ``engine_options`` argument of the extension.
        """
        init_options = checks.engine_options("engine_options", init_options)
        own = {key: dict(options) for key, options in self.SQLALCHEMY_BINDS.items()}
        default = {**own.pop(None, {}), **self.SQLALCHEMY_ENGINE_OPTIONS}
        if self.SQLALCHEMY_DATABASE_URI is not None:
            default["url"] = self.SQLALCHEMY_DATABASE_URI
        if "url" in default:
            own = {None: default, **own}
        return {key: self._merge(init_options, options) for key, options in own.items()}

    def _merge(self, init_options: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        poolclass = own.get("poolclass", init_options.get("poolclass", QueuePool))
        queued = isinstance(poolclass, type) and issubclass(poolclass, QueuePool)
        older = self._older_pool_options(queued)
        echo = self.SQLALCHEMY_ECHO
        options: dict[str, Any] = {"echo": echo, "echo_pool": echo, **init_options, **older, **own}
        if "pool" in options:  # is made already and takes no arguments
            options = {k: v for k, v in options.items() if k not in (*older, "echo_pool")}
        if "connect_args" in options:
            options["connect_args"] = dict(options["connect_args"])
        return options

    def _older_pool_options(self, queued: bool) -> dict[str, Any]:
        options: dict[str, Any] = {"pool_recycle": self.SQLALCHEMY_POOL_RECYCLE}
        if queued:
            options["pool_size"] = self.SQLALCHEMY_POOL_SIZE
            options["max_overflow"] = self.SQLALCHEMY_MAX_OVERFLOW
            options["pool_timeout"] = self.SQLALCHEMY_POOL_TIMEOUT
        return {name: value for name, value in options.items() if value is not None}

    def _has_database(self) -> bool:
        return (
            self.SQLALCHEMY_DATABASE_URI is not None
            or "url" in self.SQLALCHEMY_ENGINE_OPTIONS
            or any("url" in options for options in self.SQLALCHEMY_BINDS.values())
        )


def report_unknown_keys(mapping: Mapping[str, Any], *, stacklevel: int = 3) -> None:
    """Warn once for each key under our prefixes that nothing reads, naming the right one.

    :param mapping: keys to values, such as ``app.config``.
    :param stacklevel: the frame the warning is put on; the default is the caller's caller.
    """
    known = {f.name for f in dataclasses.fields(Config)}
    allowed = known | set(mapping.get("RETORT_IGNORE_KEYS") or ())
    for key in mapping:
        if key.startswith(PREFIXES) and key not in allowed:
            message = (
                f"The configuration key '{key}' is not known and has no effect."
                f" {_instead(key, known)} If the key is the application's own, allow it:"
                f" RETORT_IGNORE_KEYS = ('{key}',)."
            )
            warnings.warn(RetortWarning(message, code="unknown-key"), stacklevel=stacklevel)


def _instead(key: str, known: Collection[str]) -> str:
    if key in REMOVED:
        return REMOVED[key]
    if _means_database_uri(key):
        return "Write 'SQLALCHEMY_DATABASE_URI' instead."
    return f"The nearest key is '{checks.nearest(key, known)}'."


def _missing_database(mapping: Mapping[str, Any], ignored: Collection[str]) -> ConfigurationError:
    fact = "Either 'SQLALCHEMY_DATABASE_URI' or 'SQLALCHEMY_BINDS' must be set."
    for key, value in mapping.items():
        if value and key not in ignored and _means_database_uri(key):
            return MissingDatabase(
                f"{fact} The configuration has '{key}': write 'SQLALCHEMY_DATABASE_URI' instead."
                " [retort:missing-database]"
            )
    return MissingDatabase(fact)


def _means_database_uri(key: str) -> bool:
    right = "SQLALCHEMY_DATABASE_URI"
    if key == right:
        return False
    near = difflib.get_close_matches(key.upper(), [right], cutoff=0.8)
    return key in MISSPELT_DATABASE_KEYS or bool(near)
