"""Every exception and warning of the package. The text of each ends in its code."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc


class RetortError(Exception):
    """What all errors of this package have in common: a message that ends in ``[retort:<code>]``.

    :param message: what happened, why it hurts, what to write instead.
    :param code: replaces the class's own code.
    """

    code: str = "error"
    """Stands at the end of the message and names its page in the documentation."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} [retort:{self.code}]"


class ConfigurationError(RetortError, RuntimeError):
    """The application's configuration, or the order in which it is set up, can't work."""

    code = "configuration"


class MissingDatabase(ConfigurationError):  # noqa: N818 - names the state
    """No database is configured. The text is the predecessor's to the letter, without a code."""

    code = "missing-database"

    def __str__(self) -> str:
        return self.message


class NoAppContext(RetortError, RuntimeError):  # noqa: N818 - names the state
    """``db.session`` was used where no application context is active."""

    code = "no-app-context"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            message
            or "Working outside of application context: db.session belongs to one, and none is"
            " active here. In a script or a test, put the code into a block: with"
            " app.app_context(): ... In a response that is streamed, wrap the generator:"
            " Response(stream_with_context(rows())), because the context ends before the first"
            " item is made."
        )


class UnknownBind(RetortError, exc.UnboundExecutionError):  # noqa: N818 - names the state
    """A bind key, or the default database, is used and not configured."""

    code: str = "unknown-bind"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None


class MixedDatabases(RetortError, exc.UnboundExecutionError):  # noqa: N818 - names the state
    """The tables of one statement are in different databases."""

    code: str = "mixed-databases"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None


class Disconnected(RetortError, exc.OperationalError):  # noqa: N818 - names the state
    """The connection was lost while a statement ran, or before it: the transaction is gone.

    The connection is out of the pool, and so are all that were opened before it; the next one is
    new. Whether a COMMIT that fails this way took effect is not known.

    :param message: the sentence shown.
    :param error: SQLAlchemy's own error, whose statement, parameters, driver's error and
        ``connection_invalidated`` are taken over.
    """

    code: str = "disconnected"

    def __init__(self, message: str, error: exc.DBAPIError) -> None:
        exc.DBAPIError.__init__(
            self,
            error.statement,
            error.params,
            error.orig or error,
            hide_parameters=error.hide_parameters,
            connection_invalidated=error.connection_invalidated,
            ismulti=error.ismulti,
        )
        self.message = message
        self.args = (message,)
        self._error = error

    def __reduce__(self) -> Any:
        return type(self), (self.message, self._error)


class CannotConnect(Disconnected):
    """A new connection could not be opened: refused, unknown host, wrong password, no database."""

    code = "cannot-connect"


class PoolExhausted(RetortError, exc.TimeoutError):  # noqa: N818 - names the state
    """All connections of the pool were in use for as long as a checkout may wait."""

    code: str = "pool-exhausted"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None


class RetortWarning(UserWarning):
    """A mistake that works for now. Filter it by the code at the end of its text.

    :param message: what was found and what to write instead.
    :param code: stands at the end of the text and names its page in the documentation.
    """

    def __init__(self, message: str, *, code: str = "warning") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return f"{self.message} [retort:{self.code}]"
