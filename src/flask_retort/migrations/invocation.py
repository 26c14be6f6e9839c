"""What surrounds each command of ``flask db``: where its output goes, and how it ends."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

import click

from flask_retort.errors import RetortError

from .report import json_line

INTERRUPTED = 130
TERMINATED = 143
"""The exit codes that shells give for SIGINT and SIGTERM."""

_OUTPUT = "flask_retort.output"
_READING = ("branches", "check", "current", "heads", "history", "show", "status")
"""Commands whose output is the answer: of remarks on the way, only warnings are shown."""

_LEFT = (
    " The revision that was running, if any, is rolled back; what this database can't roll back is"
    " noted in it, and the next run goes on from there. Revisions that were finished stay."
)


class Terminated(KeyboardInterrupt):
    """SIGTERM came. Drivers that wait for a server know Ctrl+C, and end the statement there."""


class Refused(click.ClickException):
    """An error of this package as a line for people: ``Error: <sentence> [retort:<code>]``."""


class Command(click.Command):
    """A command whose known errors are one line, and which signals end in an orderly way."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command's function."""
        ctx.meta[_OUTPUT] = sys.stdout
        left = _LEFT if "wait" in ctx.params else ""
        try:
            with _terminable(), _alembic_shown(_level(ctx)), _for_programs(ctx):
                return super().invoke(ctx)
        except RetortError as error:
            _tell_programs(ctx, error.code, error.message)
            raise Refused(str(error)) from error
        except Terminated:
            _end(ctx, TERMINATED, "terminated", f"Ended by SIGTERM.{left}")
        except KeyboardInterrupt:
            _end(ctx, INTERRUPTED, "interrupted", f"Interrupted.{left}")


def output() -> TextIO:
    """Where the running command writes its JSON lines."""
    stream: TextIO = click.get_current_context().meta[_OUTPUT]
    return stream


def tell(event: str, **fields: object) -> None:
    """Write a JSON line for programs."""
    click.echo(json_line(event, **fields), file=output())


@contextmanager
def _for_programs(ctx: click.Context) -> Generator[None]:
    """With ``--json``, let what scripts and ``env.py`` print go to stderr, out of the way."""
    if not ctx.params.get("as_json"):
        yield
        return
    with redirect_stdout(sys.stderr):
        yield


def _end(ctx: click.Context, exit_code: int, code: str, message: str) -> None:
    _tell_programs(ctx, code, message)
    click.echo(message, err=True)
    raise click.exceptions.Exit(exit_code)


def _tell_programs(ctx: click.Context, code: str, message: str) -> None:
    if ctx.params.get("as_json"):
        tell("error", code=code, message=message)


@contextmanager
def _terminable() -> Generator[None]:
    """Let SIGTERM raise, unless the application has a handler of its own."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would stop the rollback
        raise Terminated

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _level(ctx: click.Context) -> int:
    return logging.WARNING if ctx.info_name in _READING else logging.INFO


@contextmanager
def _alembic_shown(level: int) -> Generator[None]:
    """Show what Alembic and ``env.py`` log, unless somebody has decided where that goes."""
    logger = logging.getLogger("alembic")
    if logger.level != logging.NOTSET or _is_handled(logger):
        yield
        return
    handler = _Lines()
    handler.addFilter(_is_for_people)
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def _is_handled(logger: logging.Logger) -> bool:
    handlers = logger.handlers + (logging.root.handlers if logger.propagate else [])
    # Alembic, as libraries do, has given itself one that writes nothing.
    return any(not isinstance(handler, logging.NullHandler) for handler in handlers)


class _Lines(logging.Handler):
    """Writes the plain messages to stderr, whichever that is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(record.getMessage(), err=True)


def _is_for_people(record: logging.LogRecord) -> bool:
    # Below a warning, our own report tells what the runtime says, such as each upgrade; and what
    # the dialects say is about a table of which nothing has changed.
    return record.levelno >= logging.WARNING or not record.name.startswith(
        ("alembic.runtime.", "alembic.ddl.")
    )
