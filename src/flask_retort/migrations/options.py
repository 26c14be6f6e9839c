"""The options that several commands of ``flask db`` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .bindings import DEFAULT

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]


def _own_or_groups(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """``flask db -d there upgrade`` means what ``flask db upgrade -d there`` means."""
    group = ctx.parent.params if ctx.parent is not None else {}
    return value or group.get(str(param.name)) or None


def _directory(**kwargs: Any) -> Decorator[Any]:
    text = 'Migration script directory (default is "migrations")'
    return click.option("-d", "--directory", default=None, help=text, **kwargs)


def _x(**kwargs: Any) -> Decorator[Any]:
    text = "Additional arguments consumed by custom env.py scripts"
    return click.option("-x", "--x-arg", multiple=True, help=text, **kwargs)


directory_option = _directory(callback=_own_or_groups)
group_directory_option = _directory(envvar="FLASK_DB_DIRECTORY")
group_x_option = _x()
x_option = _x(callback=_own_or_groups)
message_option = click.option("-m", "--message", default=None, help="Revision message")
sql_option = click.option(
    "--sql", is_flag=True, help="Don't emit SQL to database - dump to standard output instead"
)
tag_option = click.option(
    "--tag", default=None, help='Arbitrary "tag" name - can be used by custom env.py scripts'
)
verbose_option = click.option("-v", "--verbose", is_flag=True, help="Use more verbose output")
rev_id_option = click.option(
    "--rev-id", default=None, help="Specify a hardcoded revision id instead of generating one"
)
branch_label_option = click.option(
    "--branch-label", default=None, help="Specify a branch label to apply to the new revision"
)
bind_option = click.option(
    "--bind",
    metavar="KEY",
    default=None,
    help=f'Only the database of this bind key; "{DEFAULT}" is the default one',
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line, for programs"
)


def _all_of(*decorators: Decorator[Any]) -> Decorator[Any]:
    def decorate(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


place_of_new_revision = _all_of(
    click.option(
        "--head",
        default="head",
        help="Specify head revision or <branchname>@head to base new revision on",
    ),
    click.option(
        "--splice", is_flag=True, help='Allow a non-head revision as the "head" to splice onto'
    ),
    branch_label_option,
    click.option(
        "--version-path",
        default=None,
        help="Specify specific path from config for version file",
    ),
    rev_id_option,
)
patience_options = _all_of(
    click.option(
        "--wait",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="How long to wait while another process migrates the database",
    ),
    click.option(
        "--lock-timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="How long a statement waits for a lock, and all who come after it",
    ),
    click.option(
        "--retries",
        type=click.IntRange(min=0),
        metavar="N",
        help="How often a revision is tried again that met a lock",
    ),
)
