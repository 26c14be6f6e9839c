"""Errors of an engine's drivers, raised as those of :mod:`flask_retort.errors`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import ExceptionContext

from flask_retort.errors import (
    About,
    BrokenSession,
    DatabaseFailure,
    Deadlock,
    ForeignKeyViolation,
    SerializationFailure,
)

from . import mysql, postgresql, sqlite
from .diagnosis import Diagnosis, of_encoding
from .explanation import Explanation, explain, text_of
from .schema import Schema
from .statement import sent

logger = logging.getLogger("flask_retort.constraints")

_UNFORESEEN = "What a database error is about could not be found out."

_BACK_ENDS: dict[str, Callable[[BaseException], Diagnosis | None]] = {
    "sqlite": sqlite.diagnose,
    "postgresql": postgresql.diagnose,
    "mysql": mysql.diagnose,
    "mariadb": mysql.diagnose,
}


def translate(engine: sa.Engine, schema: Schema) -> None:
    """Raise this package's errors for what the engine's database refuses or gives up.

    They are of SQLAlchemy's class for the driver's error too. Costs nothing while there is no
    error. An error that another listener has translated, such as a lost connection, is left alone,
    and so is what is not of a kind in the family, such as a table that does not exist.

    Where MySQL or MariaDB has ended the whole transaction inside a savepoint, which went with it,
    the connection is given up: else what follows would be committed without what came before.

    :param schema: the tables and models that the errors are told by.
    """
    diagnose = _BACK_ENDS.get(engine.dialect.name)
    if diagnose is None:
        return

    def handle(context: ExceptionContext) -> BaseException | None:
        is_told = getattr(context, "chained_exception", None) is not None or context.is_disconnect
        if is_told or context.connection is None:
            return None
        try:
            error = context.original_exception
            found = of_encoding(error) or diagnose(error)
        except Exception:
            logger.exception(_UNFORESEEN)
            return None
        if found is None:
            return None
        translated = _error(found, context, schema)
        if _has_ended_savepoints(found, context):
            context.is_disconnect = True
            context.invalidate_pool_on_disconnect = False  # the others are sound
        return translated

    event.listen(engine, "handle_error", handle)


def _has_ended_savepoints(found: Diagnosis, context: ExceptionContext) -> bool:
    return (
        context.dialect.name in ("mysql", "mariadb")
        and issubclass(found.kind, (Deadlock, SerializationFailure))
        and context.connection is not None
        and context.connection.in_nested_transaction()
    )


def _error(found: Diagnosis, context: ExceptionContext, schema: Schema) -> DatabaseFailure | None:
    error = context.sqlalchemy_exception or _wrapped(context)
    if not isinstance(error, exc.DBAPIError):
        return None
    explained = _explained(found, context, schema)
    if issubclass(found.kind, BrokenSession):
        return found.kind(explained.message())
    failure = found.kind.of(explained.message(), error, explained.about)
    if isinstance(failure, ForeignKeyViolation):
        failure.direction = explained.found.direction
    return failure


def _explained(found: Diagnosis, context: ExceptionContext, schema: Schema) -> Explanation:
    """What the error is about; nothing, if that can't be found out for an unforeseen reason."""
    hides = context.engine is not None and context.engine.hide_parameters
    try:
        return explain(found, sent(context), schema, context.dialect, hide_values=hides)
    except Exception:
        logger.exception(_UNFORESEEN)
        return Explanation(found, About(reason=text_of(found).reason), may_show=False)


def _wrapped(context: ExceptionContext) -> exc.DBAPIError:
    """An error that the driver has raised as one of Python's own, as SQLAlchemy wraps others."""
    parameters: Any = context.parameters
    return exc.DataError(
        context.statement,
        parameters,
        context.original_exception,
        hide_parameters=context.engine is not None and context.engine.hide_parameters,
    )
