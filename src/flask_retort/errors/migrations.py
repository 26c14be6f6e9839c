"""Errors of ``flask db``."""

from __future__ import annotations

from .root import RetortError


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
