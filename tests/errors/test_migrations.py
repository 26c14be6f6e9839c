"""Errors of ``flask db``."""

from __future__ import annotations

from flask_retort import errors


def test_one_class_catches_what_a_migration_can_raise() -> None:
    """Scripts around ``upgrade()`` catch MigrationError; each kind ends in its own code."""
    for kind in (errors.RunnerBusy, errors.SchemaDiffers, errors.TableLocked, errors.ManyHeads):
        error = kind("No.")
        assert isinstance(error, errors.MigrationError)
        assert str(error) == f"No. [retort:{kind.code}]"


def test_a_failed_revision_may_have_a_kind() -> None:
    """A missing permission and a lock are failures of a revision too."""
    assert issubclass(errors.NotAllowed, errors.RevisionFailed)
    assert issubclass(errors.TableLocked, errors.RevisionFailed)
