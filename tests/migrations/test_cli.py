"""``flask db``: Flask-Migrate's commands and options, and what ours have besides."""

from __future__ import annotations

import inspect
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from click.testing import Result
from tests.conftest import MakeApp
from tests.migrations.deployed import Deployment, ended, events
from tests.migrations.scripts import History

from flask_retort import SQLAlchemy
from flask_retort.config_sections import MigrationsConfig
from flask_retort.migrations import Migrate, commands
from flask_retort.migrations.cli import db as group

Invoke = Callable[..., Result]

FLASK_MIGRATE = {
    "branches": {"-d", "--directory", "-v", "--verbose"},
    "check": {"-d", "--directory"},
    "current": {"-d", "--directory", "-v", "--verbose"},
    "downgrade": {"-d", "--directory", "--sql", "--tag", "-x", "--x-arg", "revision"},
    "edit": {"-d", "--directory", "revision"},
    "heads": {"-d", "--directory", "-v", "--verbose", "--resolve-dependencies"},
    "history": {
        *("-d", "--directory", "-r", "--rev-range", "-v", "--verbose"),
        *("-i", "--indicate-current"),
    },
    "init": {"-d", "--directory", "--multidb", "-t", "--template", "--package"},
    "list-templates": set[str](),
    "merge": {
        *("-d", "--directory", "-m", "--message", "--branch-label", "--rev-id"),
        "revisions",
    },
    "migrate": {
        *("-d", "--directory", "-m", "--message", "--sql", "--head", "--splice"),
        *("--branch-label", "--version-path", "--rev-id", "-x", "--x-arg"),
    },
    "revision": {
        *("-d", "--directory", "-m", "--message", "--autogenerate", "--sql", "--head"),
        *("--splice", "--branch-label", "--version-path", "--rev-id"),
    },
    "show": {"-d", "--directory", "revision"},
    "stamp": {"-d", "--directory", "--sql", "--tag", "--purge", "revision"},
    "upgrade": {"-d", "--directory", "--sql", "--tag", "-x", "--x-arg", "revision"},
}
"""What ``flask db COMMAND --help`` of Flask-Migrate 4.1.0 shows."""


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Two revisions."""
    history = History(tmp_path / "migrations")
    history.add("op.create_table('t', sa.Column('id', sa.Integer))", "op.drop_table('t')")
    history.add("op.execute('INSERT INTO t VALUES (1)')", "op.execute('DELETE FROM t')")
    return history


@pytest.fixture
def app(make_app: MakeApp, history: History, tmp_path: Path) -> flask.Flask:
    """An application with this history and a SQLite file."""
    app = make_app(SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'app.db'}")
    Migrate(app, SQLAlchemy(app), directory=str(history.folder))
    return app


@pytest.fixture
def invoke(app: flask.Flask) -> Invoke:
    """Runs ``flask db`` in this process."""

    def invoke(*arguments: str, **options: Any) -> Result:
        return app.test_cli_runner().invoke(args=["db", *arguments], **options)

    return invoke


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that a command gave to its function, in place of doing anything."""
    arguments: dict[str, Any] = {}

    def note(name: str, function: Callable[..., Any]) -> None:
        def noted(*args: Any, **kwargs: Any) -> Any:
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
            arguments.update(bound.arguments)
            return []

        monkeypatch.setattr(commands, name, noted)

    for name in (*FLASK_MIGRATE, "status"):
        name = name.replace("-", "_")
        note(name, getattr(commands, name))
    return arguments


@pytest.fixture
def deployment(tmp_path: Path, database_url: sa.URL) -> Deployment:
    """An application in a folder, on each back end."""
    return Deployment(tmp_path / "project", database_url)


# --- names and options ---------------------------------------------------------------


@pytest.mark.parametrize("name", FLASK_MIGRATE)
def test_a_command_has_all_options_it_had(name: str) -> None:
    """Under the same names, long and short; more may have been added."""
    spellings = {
        spelling for parameter in group.commands[name].params for spelling in parameter.opts
    }
    assert FLASK_MIGRATE[name] <= spellings


@pytest.mark.parametrize("name", FLASK_MIGRATE)
def test_a_command_explains_itself_without_a_project(make_app: MakeApp, name: str) -> None:
    """Help needs no folder and no database."""
    app = make_app()
    Migrate(app, SQLAlchemy(app))
    result = app.test_cli_runner().invoke(args=["db", name, "--help"])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("branches -v", {"verbose": True}),
        ("check -x a=1 --bind far", {"x_arg": ("a=1",), "bind": "far"}),
        ("current -v", {"verbose": True}),
        (
            "downgrade --sql --tag t -x a=1 -x b=2 r2:r1",
            {"sql": True, "tag": "t", "x_arg": ("a=1", "b=2"), "revision": "r2:r1"},
        ),
        ("downgrade", {"revision": "-1", "sql": False, "tag": None, "x_arg": None, "bind": None}),
        ("downgrade -- -2", {"revision": "-2"}),
        ("edit r1", {"revision": "r1"}),
        ("heads -v --resolve-dependencies", {"verbose": True, "resolve_dependencies": True}),
        ("history -r a:b -v -i", {"rev_range": "a:b", "verbose": True, "indicate_current": True}),
        ("init --multidb -t x --package", {"multidb": True, "template": "x", "package": True}),
        (
            "merge -m text --branch-label l --rev-id 1 a b",
            {"message": "text", "branch_label": "l", "rev_id": "1", "revisions": ("a", "b")},
        ),
        (
            "migrate -m text --sql --head a --splice --branch-label l --version-path p --rev-id 1",
            {
                "message": "text",
                "sql": True,
                "head": "a",
                "splice": True,
                "branch_label": "l",
                "version_path": "p",
                "rev_id": "1",
            },
        ),
        ("migrate", {"message": None, "head": "head", "splice": False, "x_arg": None}),
        ("revision --autogenerate", {"autogenerate": True}),
        ("show", {"revision": "head"}),
        ("stamp --purge r1", {"purge": True, "revision": "r1"}),
        ("status --bind far", {"bind": "far"}),
        ("upgrade", {"revision": "head", "settings": None}),
        ("upgrade heads --bind far", {"revision": "heads", "bind": "far"}),
    ],
)
def test_options_reach_the_function(
    invoke: Invoke, called: dict[str, Any], line: str, expected: dict[str, Any]
) -> None:
    """Each under its own name."""
    result = invoke(*line.split())
    assert result.exit_code == 0, result.output
    assert {name: called[name] for name in expected} == expected


def test_what_is_given_for_waiting_replaces_the_application_s_settings(
    app: flask.Flask, invoke: Invoke, called: dict[str, Any]
) -> None:
    """And nothing else of them."""
    app.config["RETORT_MIGRATIONS"] = {"lock_timeout": 1, "retries": 2, "statement_timeout": 7}
    assert invoke("downgrade", "--wait", "0", "--lock-timeout", "0.5").exit_code == 0
    expected = MigrationsConfig(wait=0, lock_timeout=0.5, retries=2, statement_timeout=7)
    assert called["settings"] == expected
    assert invoke("upgrade", "--retries", "-1").exit_code == 2


@pytest.mark.parametrize(
    ("line", "environment", "directory"),
    [
        ("db upgrade", {}, None),
        ("db -d one upgrade", {}, "one"),
        ("db upgrade -d two", {}, "two"),
        ("db --directory one upgrade --directory two", {}, "two"),
        ("db upgrade", {"FLASK_DB_DIRECTORY": "three"}, "three"),
        ("db upgrade -d two", {"FLASK_DB_DIRECTORY": "three"}, "two"),
    ],
)
def test_the_folder_may_be_named_before_or_behind_the_command_or_in_the_environment(
    app: flask.Flask,
    called: dict[str, Any],
    line: str,
    environment: dict[str, str],
    directory: str | None,
) -> None:
    """The nearest one wins."""
    runner = app.test_cli_runner()
    result = runner.invoke(args=line.split(), env=environment, auto_envvar_prefix="FLASK")
    assert result.exit_code == 0, result.output
    assert called["directory"] == directory


@pytest.mark.parametrize(
    ("line", "x_arg"),
    [
        ("db -x a=1 upgrade", ("a=1",)),
        ("db -x a=1 -x b=2 current", ("a=1", "b=2")),
        ("db -x a=1 upgrade -x c=3", ("c=3",)),
    ],
)
def test_x_arguments_may_stand_before_the_command(
    app: flask.Flask, called: dict[str, Any], line: str, x_arg: tuple[str, ...]
) -> None:
    """Those behind it replace them."""
    assert app.test_cli_runner().invoke(args=line.split()).exit_code == 0
    assert called["x_arg"] == x_arg


def test_the_group_has_the_name_that_migrate_was_told(make_app: MakeApp) -> None:
    """Migrate(app, db, command="database")."""
    app = make_app()
    Migrate(app, SQLAlchemy(app), command="database")
    runner = app.test_cli_runner()
    assert runner.invoke(args=["database", "list-templates"]).exit_code == 0
    assert runner.invoke(args=["db", "list-templates"]).exit_code == 2


# --- what is printed ------------------------------------------------------------------


def test_an_upgrade_is_a_line_a_revision_and_a_summary(invoke: Invoke) -> None:
    """On standard output; a second one says where the database is."""
    first, second, summary = invoke("upgrade").stdout.splitlines()
    assert re.fullmatch(r"upgrade r1  revision 1 +[\d.]+ s", first)
    assert re.fullmatch(r"upgrade r2  revision 2 +[\d.]+ s", second)
    assert re.fullmatch(r"2 revisions, [\d.]+ s", summary)
    assert invoke("upgrade").stdout == "Nothing to do: the database is at r2 (head)\n"


def test_for_programs_an_upgrade_is_a_json_object_a_line(invoke: Invoke, history: History) -> None:
    """Whatever scripts print goes to stderr, out of their way."""
    history.add("print('hello from r3')")
    result = invoke("upgrade", "--json")
    told = [json.loads(line) for line in result.stdout.splitlines()]
    names = [event["event"] for event in told]
    assert names == ["revision-started", "revision-finished"] * 3 + ["finished"]
    assert told[-1]["revisions"] == 3
    assert "hello from r3" in result.stderr
    nothing = json.loads(invoke("upgrade", "--json").stdout.splitlines()[0])
    assert nothing == {"event": "nothing-to-do", "database": "", "heads": ["r3"]}


@pytest.mark.parametrize("command", ["upgrade", "stamp", "downgrade"])
def test_sql_and_json_exclude_each_other(invoke: Invoke, command: str) -> None:
    """Both want the standard output."""
    result = invoke(command, "--sql", "--json")
    assert result.exit_code == 2
    assert "--json and --sql" in result.stderr


def test_with_sql_standard_output_is_sql_only(invoke: Invoke) -> None:
    """No line of a report among it, so that it can be executed."""
    result = invoke("upgrade", "--sql")
    assert "CREATE TABLE t" in result.stdout
    assert "revisions," not in result.stdout


def test_a_stamp_says_that_nothing_was_run(invoke: Invoke) -> None:
    """In words, and as JSON."""
    assert invoke("stamp", "r1").stdout == "Stamped with r1; no migration was run.\n"
    told = json.loads(invoke("stamp", "--json").stdout.splitlines()[0])
    assert told == {"event": "stamped", "revision": "head"}


def test_a_known_error_is_one_line_and_exit_1(invoke: Invoke) -> None:
    """With its code; as JSON too where that is asked for."""
    result = invoke("upgrade", "nonsense", "--json")
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: .*nonsense.* \[retort:unknown-revision\]\n", result.stderr)
    assert json.loads(result.stdout)["code"] == "unknown-revision"


def test_history_heads_and_current_are_data_for_programs(invoke: Invoke) -> None:
    """The newest first, as the words are."""
    invoke("upgrade", "r1")
    told = [json.loads(line) for line in invoke("history", "-i", "--json").stdout.splitlines()]
    assert [event["revision"] for event in told] == ["r2", "r1"]
    assert [event["is_current"] for event in told] == [False, True]
    assert told[0]["follows"] == ["r1"]
    assert told[0]["title"] == "revision 2"
    (head,) = [json.loads(line) for line in invoke("heads", "--json").stdout.splitlines()]
    assert (head["revision"], head["is_head"]) == ("r2", True)
    (current,) = [json.loads(line) for line in invoke("current", "--json").stdout.splitlines()]
    assert current == {"event": "current", "database": "", "revisions": ["r1"]}
    ranged = invoke("history", "-r", "r2:", "--json").stdout.splitlines()
    assert [json.loads(line)["revision"] for line in ranged] == ["r2"]
    assert invoke("history", "-r", "current:", "--json").exit_code == 2


def test_check_is_told_to_programs_too(invoke: Invoke) -> None:
    """Models without tables agree with a database at the head that has none."""
    invoke("stamp")
    result = invoke("check", "--json")
    assert json.loads(result.stdout) == {"event": "checked", "differs": False}


# --- status --------------------------------------------------------------------------


def test_status_shows_what_is_pending_and_touches_nothing(invoke: Invoke, tmp_path: Path) -> None:
    """Not even the file of a SQLite database is made."""
    path = tmp_path / "app.db"
    assert invoke("status").stdout.splitlines() == [
        f"default  sqlite:///{path}",
        "  at          no revision, the code is at r2",
        "  pending     r1  revision 1",
        "  pending     r2  revision 2",
    ]
    assert not path.exists()
    invoke("upgrade", "r1")
    (told,) = [json.loads(line) for line in invoke("status", "--json").stdout.splitlines()]
    assert told == {
        "event": "status",
        "database": "",
        "url": f"sqlite:///{path}",
        "current": ["r1"],
        "heads": ["r2"],
        "pending": [{"revision": "r2", "title": "revision 2"}],
        "unknown": [],
        "runner": "",
        "half_done": None,
        "leftovers": [],
        "is_ready": False,
    }


def test_status_fails_only_where_it_is_asked_to_check(invoke: Invoke) -> None:
    """For a deployment script: 1 until all is applied, then 0."""
    assert invoke("status").exit_code == 0
    assert invoke("status", "--check").exit_code == 1
    invoke("upgrade")
    assert invoke("status", "--check").exit_code == 0


def test_status_shows_a_revision_under_way_and_does_not_wait(deployment: Deployment) -> None:
    """Who migrates, and that the revision is still pending."""
    table = "op.create_table('t', sa.Column('id', sa.Integer))"
    deployment.history.add(f"import time; {table}; time.sleep(20)")
    upgrading = deployment.start("upgrade")
    try:
        told: dict[str, Any] = {"runner": ""}
        deadline = time.monotonic() + 20
        while not told["runner"] and time.monotonic() < deadline:
            (told,) = events(deployment.run("status", "--json"))
        assert told["runner"]
        assert [step["revision"] for step in told["pending"]] == ["r1"]
    finally:
        upgrading.terminate()
        ended(upgrading)
    (after,) = events(deployment.run("status", "--json"))
    assert after["runner"] == ""
