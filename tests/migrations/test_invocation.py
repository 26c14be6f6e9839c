"""How a command of ``flask db`` ends: by an error, a signal, a bug; and what Alembic logs."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable

import click
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from flask_retort.errors import CannotConnect, MissingMigrations, RetortError
from flask_retort.migrations.invocation import Command

PROGRAM = """
import logging, os, signal, sys, time
import click
from flask_retort.migrations.invocation import Command

@click.command({name!r}, cls=Command)
@click.option("--wait")
@click.option("--json", "as_json", is_flag=True)
def command(wait, as_json):
{body}

{before}
command(prog_name={name!r})
"""


def invoke(function: Callable[[], None], *arguments: str) -> Result:
    """The result of a command with this function and the option ``--json``."""

    def callback(as_json: bool) -> None:
        function()

    option = click.Option(["--json", "as_json"], is_flag=True)
    return CliRunner().invoke(Command("test", callback=callback, params=[option]), arguments)


def run(
    body: str,
    *arguments: str,
    before: str = "",
    ended_by: signal.Signals | None = None,
    name: str = "upgrade",
) -> subprocess.CompletedProcess[str]:
    """What a process did whose command has this body; ended by a signal once it prints "ready"."""
    body = textwrap.indent(textwrap.dedent(body), "    ")
    program = PROGRAM.format(body=body, before=before, name=name)
    command = [sys.executable, "-c", program, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, preexec_fn=_listen_to_sigint
    ) as process:
        assert process.stdout is not None
        if ended_by is not None:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(ended_by)
        out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(program, process.returncode, out, err)


def _listen_to_sigint() -> None:
    # A shell starts its background jobs, and so this run may be one, with the signal ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# --- errors ------------------------------------------------------------------------


def refuse() -> None:
    raise MissingMigrations("There is no folder 'migrations'. Make it with 'flask db init'.")


def test_an_error_of_ours_is_one_sentence_on_stderr_and_exit_1() -> None:
    """With its code, and without a traceback."""
    result = invoke(refuse)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == (
        "Error: There is no folder 'migrations'. Make it with 'flask db init'."
        " [retort:missing-migrations]\n"
    )


def test_for_programs_the_error_is_a_json_line_too() -> None:
    """The code and the sentence apart from each other."""
    result = invoke(refuse, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "event": "error",
        "code": "missing-migrations",
        "message": "There is no folder 'migrations'. Make it with 'flask db init'.",
    }
    assert "[retort:missing-migrations]" in result.stderr


@pytest.mark.parametrize(
    "error",
    [
        RetortError("No.", code="other"),
        CannotConnect("No.", sa.exc.OperationalError("", None, Exception("gone"))),
    ],
)
def test_every_error_of_the_package_is_told_that_way(error: RetortError) -> None:
    """Also those that are not about migrations."""

    def function() -> None:
        raise error

    result = invoke(function)
    assert (result.exit_code, result.stderr) == (1, f"Error: No. [retort:{error.code}]\n")


def test_a_bug_keeps_its_traceback() -> None:
    """Another exception is not dressed up."""
    ended = run("raise ZeroDivisionError('a bug')")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "ZeroDivisionError: a bug" in ended.stderr


def test_for_programs_standard_output_has_nothing_else() -> None:
    """What scripts and ``env.py`` print goes to stderr."""
    ended = run("print('a remark')", "--json")
    assert (ended.stdout, ended.stderr) == ("", "a remark\n")


# --- signals -----------------------------------------------------------------------

WAITING = """
    try:
        print("ready", flush=True, file=sys.__stdout__)
        time.sleep(20)
    finally:
        print("rolled back", flush=True, file=sys.__stdout__)
    """


@pytest.mark.parametrize(
    ("number", "exit_code", "word", "code"),
    [
        (signal.SIGTERM, 143, "Ended by SIGTERM.", "terminated"),
        (signal.SIGINT, 130, "Interrupted.", "interrupted"),
    ],
)
def test_a_signal_ends_the_command_after_what_it_has_to_put_back(
    number: signal.Signals, exit_code: int, word: str, code: str
) -> None:
    """With the exit code that shells give it, one line for people, and one for programs."""
    ended = run(WAITING, "--json", ended_by=number)
    assert ended.returncode == exit_code
    rolled_back, error = ended.stdout.splitlines()
    assert rolled_back == "rolled back"
    assert json.loads(error)["code"] == code
    assert ended.stderr.startswith(word)
    assert "rolled back" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_second_sigterm_does_not_stop_the_rollback() -> None:
    """Impatient supervisors have SIGKILL."""
    body = """
        try:
            print("ready", flush=True)
            time.sleep(20)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            print("rolled back", flush=True)
        """
    ended = run(body, ended_by=signal.SIGTERM)
    assert (ended.returncode, ended.stdout) == (143, "rolled back\n")


def test_the_application_s_own_handler_is_left_alone() -> None:
    """Whoever has set one knows what SIGTERM shall do."""
    body = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.1); print('goes on')"
    before = "signal.signal(signal.SIGTERM, lambda *_: print('own handler'))"
    ended = run(body, before=before)
    assert (ended.returncode, ended.stdout) == (0, "own handler\ngoes on\n")


def test_afterwards_sigterm_is_what_it_was() -> None:
    """Also for programs that invoke a command and go on."""
    body = "assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL"
    before = """
command.main([], standalone_mode=False)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
"""
    assert run(body, before=before).returncode == 0


# --- what Alembic logs -------------------------------------------------------------

LOGGING = """
    logging.getLogger("alembic.autogenerate.compare").info("Detected added table '%s'", "users")
    logging.getLogger("alembic.env").info("No changes in schema detected.")
    logging.getLogger("alembic.runtime.migration").info("Context impl SQLiteImpl.")
    logging.getLogger("alembic.runtime.migration").warning("beware")
    logging.getLogger("other").info("something else")
    """


def test_what_alembic_detects_is_shown_where_nobody_has_configured_logging() -> None:
    """On stderr as plain lines, without what our own report tells."""
    ended = run(LOGGING)
    assert ended.stdout == ""
    assert ended.stderr.splitlines() == [
        "Detected added table 'users'",
        "No changes in schema detected.",
        "beware",
    ]


def test_a_command_that_only_shows_something_shows_warnings_besides() -> None:
    """The env.py of several databases names each of them at the information level."""
    assert run(LOGGING, name="status").stderr == "beware\n"


@pytest.mark.parametrize(
    "before",
    [
        "logging.basicConfig(stream=sys.stdout, level=logging.WARNING)",
        "logging.getLogger('alembic').setLevel(logging.ERROR)",
        "logging.getLogger('alembic').addHandler(logging.FileHandler(os.devnull))",
    ],
)
def test_configured_logging_is_left_as_it_is(before: str) -> None:
    """Who has decided where messages go gets them there, and there only."""
    ended = run(LOGGING, before=before)
    assert "Detected" not in ended.stdout + ended.stderr


def test_after_the_command_the_loggers_are_what_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the command's end was."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest has its own
    logger = logging.getLogger("alembic")
    before = list(logger.handlers)
    seen: list[int] = []

    def function() -> None:
        seen.append(len(logger.handlers))
        raise ZeroDivisionError

    invoke(function)
    assert seen == [len(before) + 1]
    assert (logger.handlers, logger.level) == (before, logging.NOTSET)
