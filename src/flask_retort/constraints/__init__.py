"""Errors of databases in the words of the models. Works with plain SQLAlchemy, without Flask."""

from __future__ import annotations

from .schema import Schema
from .stale import stale
from .translation import translate
from .validation import watch_validators

__all__ = ["Schema", "stale", "translate", "watch_validators"]
