"""The commands of ``flask db`` as functions: they work on databases, or refuse."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from tests.migrations.projects import CREATE_USERS, DROP_USERS, Project

from flask_retort import errors, migrations
from flask_retort.migrations.progress import Event, RevisionFinished

MakeApp = Callable[..., flask.Flask]
MakeProject = Callable[..., Project]


def test_the_arguments_are_those_of_the_predecessor() -> None:
    documented = {
        "init": ["directory", "multidb", "template", "package"],
        "revision": [
            "directory",
            "message",
            "autogenerate",
            "sql",
            "head",
            "splice",
            "branch_label",
            "version_path",
            "rev_id",
        ],
        "migrate": [
            "directory",
            "message",
            "sql",
            "head",
            "splice",
            "branch_label",
            "version_path",
            "rev_id",
            "x_arg",
        ],
        "edit": ["directory", "revision"],
        "merge": ["directory", "revisions", "message", "branch_label", "rev_id"],
        "upgrade": ["directory", "revision", "sql", "tag", "x_arg"],
        "downgrade": ["directory", "revision", "sql", "tag", "x_arg"],
        "show": ["directory", "revision"],
        "history": ["directory", "rev_range", "verbose", "indicate_current"],
        "heads": ["directory", "verbose", "resolve_dependencies"],
        "branches": ["directory", "verbose"],
        "current": ["directory", "verbose", "head_only"],
        "stamp": ["directory", "revision", "sql", "tag", "purge"],
        "check": ["directory"],
        "list_templates": [],
    }
    for name, arguments in documented.items():
        ours = list(inspect.signature(getattr(migrations, name)).parameters)
        assert ours[: len(arguments)] == arguments, name


def test_a_schema_goes_up_changes_and_comes_down(
    make_project: MakeProject, database_url: sa.URL, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(database_url)
    (first,) = migrations.migrate(message="users")
    assert migrations.upgrade() == 1
    assert project.versions() == [first.name.partition("_")[0]]
    assert "users" in project.tables()
    migrations.check()

    project.add_column("users", sa.Column("nick", sa.String(10), index=True))
    with pytest.raises(errors.SchemaDiffers) as refusal:
        migrations.check()
    assert "table users: column nick is missing in the database" in str(refusal.value)
    assert "table users: index ix_users_nick on nick is missing" in str(refusal.value)
    migrations.migrate(message="nick")
    assert migrations.upgrade() == 1
    migrations.check()
    assert migrations.migrate() == []

    assert migrations.downgrade() == 1
    assert migrations.downgrade(revision="base") == 1
    assert project.versions() == []
    assert migrations.upgrade() == 2
    migrations.check()
    assert "No new upgrade operations detected." in capsys.readouterr().out


def test_upgrade_tells_its_report_what_goes_on(project: Project) -> None:
    project.write("r1", CREATE_USERS, DROP_USERS)
    project.write("r2", after="r1")
    events: list[Event] = []
    migrations.upgrade(report=events.append)
    finished = [event for event in events if isinstance(event, RevisionFinished)]
    assert [event.revision for event in finished] == ["r1", "r2"]
    assert finished[0].title == "title of r1"


def test_upgrade_and_downgrade_stop_where_they_are_told(project: Project) -> None:
    for number in range(1, 5):
        project.write(f"r{number}", after=f"r{number - 1}" if number > 1 else None)
    migrations.upgrade(revision="r2")
    assert project.versions() == ["r2"]
    migrations.upgrade(revision="+1")
    assert project.versions() == ["r3"]
    migrations.upgrade()
    migrations.downgrade(revision="-2")
    assert project.versions() == ["r2"]
    migrations.downgrade(revision="r1")
    assert project.versions() == ["r1"]


def test_stamp_notes_a_revision_and_runs_nothing(project: Project) -> None:
    project.write("r1", 'raise AssertionError("ran")')
    project.write("r2", 'raise AssertionError("ran")', after="r1")
    migrations.stamp(revision="r1")
    assert project.versions() == ["r1"]
    migrations.stamp()
    assert project.versions() == ["r2"]
    migrations.stamp(revision="base")
    assert project.versions() == []


def test_stamp_with_purge_forgets_what_this_code_does_not_know(project: Project) -> None:
    path = project.write("gone1")
    migrations.upgrade()
    path.unlink()
    project.write("r1")
    with pytest.raises(errors.DatabaseAhead):
        migrations.stamp(revision="r1")
    migrations.stamp(revision="r1", purge=True)
    assert project.versions() == ["r1"]


def test_two_heads_are_upgraded_by_heads(project: Project) -> None:
    project.write("r1")
    project.write("r2", after="r1")
    project.write("r3", after="r1")
    assert migrations.upgrade(revision="heads") == 3
    assert project.versions() == ["r2", "r3"]


@pytest.mark.parametrize("command", ["upgrade", "downgrade", "stamp", "show", "edit"])
def test_an_unknown_revision_is_told_with_the_nearest(project: Project, command: str) -> None:
    project.write("abcdef12")
    with pytest.raises(errors.UnknownRevision, match=r"'abcdef21'.*nearest one is 'abcdef12'"):
        getattr(migrations, command)(revision="abcdef21")
    assert project.versions() == []


def test_an_abbreviation_of_two_revisions_names_both(project: Project) -> None:
    project.write("abcd11")
    project.write("abcd22", after="abcd11")
    with pytest.raises(errors.UnknownRevision, match="abcd11, abcd22"):
        migrations.upgrade(revision="abcd")


def test_more_steps_than_there_are_revisions(project: Project) -> None:
    project.write("r1")
    with pytest.raises(errors.UnknownRevision, match="not as many"):
        migrations.upgrade(revision="+2")
    with pytest.raises(errors.UnknownRevision, match="not as many"):
        migrations.downgrade()


@pytest.mark.parametrize("command", ["upgrade", "migrate", "revision", "stamp"])
def test_two_heads_are_named_with_what_to_do(project: Project, command: str) -> None:
    project.write("left1")
    project.write("right1")
    files = sorted(project.folder.rglob("*.py"))
    with pytest.raises(errors.ManyHeads) as refusal:
        getattr(migrations, command)()
    for word in ("left1", "right1", "flask db merge heads", "upgrade heads"):
        assert word in str(refusal.value)
    assert sorted(project.folder.rglob("*.py")) == files


@pytest.mark.parametrize("command", ["upgrade", "current", "check", "migrate"])
def test_a_database_ahead_of_the_code_is_told(project: Project, command: str) -> None:
    project.write("r1")
    path = project.write("r2", after="r1")
    migrations.upgrade()
    path.unlink()
    with pytest.raises(errors.DatabaseAhead, match="r2"):
        getattr(migrations, command)()
    assert project.versions() == ["r2"]


def test_status_shows_a_database_ahead_of_the_code(project: Project) -> None:
    path = project.write("r1")
    migrations.upgrade()
    path.unlink()
    (status,) = migrations.status()
    assert status.unknown == ("r1",)


@pytest.mark.parametrize("command", ["check", "current", "migrate", "history", "status"])
def test_reading_leaves_the_database_as_it_is(
    make_project: MakeProject, database_url: sa.URL, command: str
) -> None:
    project = make_project(database_url)
    kwargs = {"indicate_current": True} if command == "history" else {}
    if command == "check":
        with pytest.raises(errors.SchemaDiffers):
            migrations.check()
    else:
        getattr(migrations, command)(**kwargs)
    assert project.tables() == []


def test_status_does_not_make_the_database(project: Project, tmp_path: Path) -> None:
    project.write("r1")
    (status,) = migrations.status()
    assert [step.revision for step in status.pending] == ["r1"]
    assert not (tmp_path / "test.db").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: migrations.upgrade(revision="a:b"), "is a range"),
        (lambda: migrations.downgrade(sql=True), "Write both ends"),
        (lambda: migrations.migrate(sql=True), "--sql does not go"),
        (lambda: migrations.history(rev_range="r1"), "is not a range"),
        (lambda: migrations.upgrade(bind="nowhere"), "no database 'nowhere'"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_makes_no_sense_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(errors.MigrationError, match=message):
        call()


def test_logging_and_directory_stay_as_they_are(project: Project) -> None:
    project.write("r1")
    logger = logging.getLogger("tests.somebody")
    root = logging.getLogger()
    before = (root.level, list(root.handlers), os.getcwd(), list(sys.path))
    migrations.upgrade()
    assert (root.level, list(root.handlers), os.getcwd(), list(sys.path)) == before
    assert not logger.disabled
