"""Errors of configuration, of contexts, and of choosing a database."""

from __future__ import annotations

from sqlalchemy import exc

from .root import RetortError


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
