"""The pool class of an engine: when exhausted, it says which one it is and what to change."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from sqlalchemy import exc
from sqlalchemy.engine import URL
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import Pool, PoolProxiedConnection, QueuePool

from flask_retort.errors import PoolExhausted


def set_class(options: dict[str, Any], bind_key: str | None) -> None:
    """Replace the options' pool class, if it queues, by a subclass made for this engine.

    It raises PoolExhausted. A ready ``pool`` among the options is left alone.
    """
    if "pool" in options:
        return
    url: URL = options["url"]
    dialect = cast("type[DefaultDialect]", url.get_dialect())
    poolclass: object = options.get("poolclass") or dialect.get_pool_class(url)
    if isinstance(poolclass, type) and issubclass(poolclass, QueuePool):
        namespace = {"bind_key": bind_key, "__module__": poolclass.__module__}
        options["poolclass"] = type(poolclass.__name__, (_Announcing, poolclass), namespace)


class _Announcing(Pool):
    bind_key: ClassVar[str | None]

    def connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except exc.TimeoutError as error:
            if isinstance(error, PoolExhausted) or not isinstance(self, QueuePool):
                raise
            raise PoolExhausted(_message(self, self.bind_key)) from error


def _message(pool: QueuePool, bind_key: str | None) -> str:
    if bind_key is None:
        database, place = "default database", "SQLALCHEMY_ENGINE_OPTIONS"
    else:
        database, place = f"database {bind_key!r}", f"SQLALCHEMY_BINDS[{bind_key!r}]"
    return (
        f"No connection to the {database} came free within {pool.timeout():g} s: all"
        f" {pool.checkedout()} that its {type(pool).__name__} may open (pool_size {pool.size()},"
        f" max_overflow {pool.overflow()}) are in use. Usually sessions are kept open too long:"
        " while waiting for another service, in threads that never call db.session.remove(), or"
        " by opening one while holding another. Close them sooner; or, if the server allows that"
        f" many, raise 'pool_size' and 'max_overflow' in {place}; 'pool_timeout' there is the time"
        " to wait."
    )
