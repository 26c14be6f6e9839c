"""The page of ``flask db`` tells of every command and option, and of no others."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from flask_retort.migrations.cli import db

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "flask-db.md"
TEXT = PAGE.read_text(encoding="utf-8")


def _sections() -> dict[str, str]:
    """The text below each heading that is a command's name."""
    parts = re.split(r"^### `([\w-]+)`$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _usage(command: str) -> str:
    """How the page says that a command is written."""
    found = re.search(r"```text\n(flask db [^`]*)\n```", _sections().get(command, ""))
    return found.group(1) if found else ""


def _options(command: click.Command) -> list[click.Option]:
    return [param for param in command.params if isinstance(param, click.Option)]


def test_every_command_has_its_section() -> None:
    """The headings are the names of the commands, in the order of the help."""
    assert list(_sections()) == sorted(db.commands)


@pytest.mark.parametrize("name", sorted(db.commands))
def test_the_usage_of_a_command_has_all_its_options(name: str) -> None:
    """It names exactly the options that the command takes."""
    options = {option.opts[-1] for option in _options(db.commands[name])}
    assert _usage(name).startswith(f"flask db {name}")
    assert set(re.findall(r"--[a-z-]+", _usage(name))) == options


@pytest.mark.parametrize("name", sorted(db.commands))
def test_the_usage_of_a_command_ends_in_its_arguments(name: str) -> None:
    """What stands in brackets without a dash is the command's argument, and comes last."""
    arguments = [param for param in db.commands[name].params if isinstance(param, click.Argument)]
    expected = [argument.human_readable_name.upper() for argument in arguments]
    assert re.findall(r"\[([A-Z]+)\](?:\.\.\.)?$", _usage(name)) == expected


def test_every_option_is_explained() -> None:
    """Each has an entry that begins with all its spellings, or is explained where it belongs."""
    options = {
        ", ".join(option.opts): f"{name} {option.opts[-1]}"
        for name, command in db.commands.items()
        for option in _options(command)
    }
    entries = re.findall(r"^`(-[^`]*)`$", TEXT, re.MULTILINE)
    explained = {re.sub(r" [A-Z].*", "", entry) for entry in entries}
    assert explained - {"--help"} == options.keys()


def test_the_groups_own_options_are_said_to_be() -> None:
    """What may stand before the command's name has a sentence that says so."""
    entries = re.split(r"^`(-[^`]*)`\n", TEXT, flags=re.MULTILINE)
    said = {
        re.sub(r" [A-Z].*", "", entry)
        for entry, text in zip(entries[1::2], entries[2::2], strict=True)
        if "before the command's name" in text.partition("\n\n")[0]
    }
    assert said == {", ".join(option.opts) for option in _options(db)}
