"""What the shop says to the person at the terminal."""

from __future__ import annotations

import click


class ShopError(click.ClickException):
    """A fact the operator has to act upon; every command prints it as one sentence, exit code 1."""
