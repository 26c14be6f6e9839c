"""The shop's commands: ``flask --app shop import-cdnow`` and ``forget-keys``."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from shop.cdnow import purchases, wheel
from shop.cdnow.purchases import Survey
from shop.services import cdnow_import
from shop.services.cdnow_import import AlreadyImportedError
from shop.services.order_keys import forget_keys

file_option = click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The lifetimes wheel or CDNOW_master.txt on this machine, instead of a download.",
)


def init_app(app: Flask) -> None:
    """Put the commands on ``flask``."""
    app.cli.add_command(import_cdnow_command)
    app.cli.add_command(forget_keys_command)


@click.command("import-cdnow")
@file_option
@with_appcontext
def import_cdnow_command(file: Path | None) -> None:
    """Import 69,659 real purchases of 23,570 customers, once; all of them or none."""
    import_cdnow(file)


@click.command("forget-keys")
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    default=30,
    show_default=True,
    help="How long a key is kept after its order was placed.",
)
@with_appcontext
def forget_keys_command(days: int) -> None:
    """Delete idempotency keys that are older; the orders stay."""
    count = forget_keys(dt.datetime.now(dt.UTC) - dt.timedelta(days=days))
    click.echo(f"Forgot {count:,} keys.")


def import_cdnow(file: Path | None) -> None:
    """Import the purchases unless they are there, telling the terminal how far it is.

    :param file: the wheel or text file; without it the pinned wheel, from the instance folder or
        downloaded into it.
    :raises ShopError: no file or bad lines; nothing is written then.
    """
    if cdnow_import.is_imported():
        click.echo("The CDNOW purchases are in the database already: nothing to do.")
        return
    path = file or wheel.fetch(Path(current_app.instance_path) / "cdnow")
    start = time.perf_counter()
    with wheel.open_lines(path) as lines:
        survey = purchases.survey(lines)
    try:
        with wheel.open_lines(path) as lines, _progress(survey.purchases) as on_progress:
            cdnow_import.import_purchases(survey, purchases.read(lines), on_progress)
    except AlreadyImportedError as error:
        click.echo(error.message)
        return
    click.echo(_summary(survey, time.perf_counter() - start))


@contextmanager
def _progress(total: int) -> Generator[Callable[[int], None]]:
    """A bar on a terminal, else a line for each tenth: a log file is no terminal."""
    label = "Importing purchases"
    if sys.stdout.isatty():
        with click.progressbar(length=total, label=label) as bar:
            yield bar.update
    else:
        yield _Lines(label, total).update


class _Lines:
    """Progress as plain lines."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.done, self.tenths = label, total, 0, 0

    def update(self, count: int) -> None:
        """Print a line if another tenth is full."""
        self.done += count
        if (tenths := self.done * 10 // self.total) > self.tenths:
            self.tenths = tenths
            click.echo(f"{self.label}: {self.done:,} of {self.total:,}")


def _summary(survey: Survey, seconds: float) -> str:
    return (
        f"Imported {survey.purchases:,} purchases of {len(survey.customers):,} customers:"
        f" {survey.items:,} order items of {len(survey.unit_prices):,} products,"
        f" in {seconds:.1f} seconds."
    )
