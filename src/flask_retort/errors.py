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


class MigrationError(RetortError):
    """A migration can't be run, made or shown. The subclasses say which way."""

    code = "migration"


class MissingMigrations(MigrationError):  # noqa: N818 - names the state
    """The folder of the revisions is not there."""

    code = "missing-migrations"


class UnknownRevision(MigrationError):  # noqa: N818 - names the state
    """No revision file has this name."""

    code = "unknown-revision"


class DatabaseAhead(MigrationError):  # noqa: N818 - names the state
    """The database is at a revision that this code does not have."""

    code = "database-ahead"


class ManyHeads(MigrationError):  # noqa: N818 - names the state
    """Two revisions or more have no successor, so "head" does not name one."""

    code = "many-heads"


class BrokenRevision(MigrationError):  # noqa: N818 - names the state
    """A revision file, or ``env.py``, can't be loaded."""

    code = "broken-revision"


class RevisionFailed(MigrationError):  # noqa: N818 - names the state
    """A statement of a revision failed. The cause is in ``__cause__``.

    What could be rolled back was; the message says what is left, and the next run goes on there.
    """

    code = "revision-failed"


class NotAllowed(RevisionFailed):
    """The database's user lacks a permission that a revision needs."""

    code = "not-allowed"


class TableLocked(RevisionFailed):
    """A revision met a lock in all its attempts. The message names who held it."""

    code = "table-locked"


class HalfDone(MigrationError):  # noqa: N818 - names the state
    """Another revision than the asked one has run in part, and has to be finished first."""

    code = "half-done"


class ChangedRevision(MigrationError):  # noqa: N818 - names the state
    """A revision that has run in part is not the same script any more."""

    code = "changed-revision"


class CannotResume(MigrationError):  # noqa: N818 - names the state
    """A revision that has run in part asks for what only the earlier run knew."""

    code = "cannot-resume"


class RunnerBusy(MigrationError):  # noqa: N818 - names the state
    """Another process migrates the database, for longer than one may wait."""

    code = "runner-busy"


class BehindPooler(MigrationError):  # noqa: N818 - names the state
    """The connection goes through a pooler that changes the server session at will."""

    code = "behind-pooler"


class SchemaDiffers(MigrationError):  # noqa: N818 - names the state
    """The models say something else than the database."""

    code = "schema-differs"


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
