"""Guards: mistakes that are found while the program runs, each in a small file of its own."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping

from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from flask_retort.config import Config

from .broken_session import BrokenSessionGuard
from .create_all import CreateAll
from .deep_offset import DeepOffset
from .detached_load import DetachedLoadGuard
from .hooks import Guard, Guards, listen
from .io_in_transaction import IOInTransaction
from .lock_order import LockOrderGuard
from .lost_update import LostUpdateGuard
from .lost_write import LostWrite
from .orm_in_json import ORMInJSONGuard
from .places import Places
from .pool_too_small import PoolTooSmall
from .reporting import Allowance, Finding, Report, Reports, Text, allow, modes
from .shared_session import SharedSession
from .sql_literal import SQLLiteralGuard
from .write_in_get import WriteInGet

__all__ = [
    "Allowance",
    "Finding",
    "Guard",
    "Guards",
    "Report",
    "Reports",
    "Text",
    "allow",
    "install",
]

KINDS: tuple[type[Guard], ...] = (
    LostWrite,
    WriteInGet,
    SharedSession,
    BrokenSessionGuard,
    LostUpdateGuard,
    LockOrderGuard,
    IOInTransaction,
    CreateAll,
    ORMInJSONGuard,
    DetachedLoadGuard,
    DeepOffset,
    PoolTooSmall,
    SQLLiteralGuard,
)
"""Every guard there is, in the order of ``RETORT_GUARDS`` in the documentation."""


def install(
    app: Flask,
    session_class: type[Session],
    engines: Mapping[str | None, Engine],
    config: Config,
) -> Guards:
    """Make the application's guards that are on, and let them listen; nothing where all are off.

    :param session_class: the class of the application's sessions.
    """
    reports = Reports(
        modes(config.RETORT_GUARDS, [kind.code for kind in KINDS]),
        functools.partial(_default_mode, weakref.ref(app)),
        config.RETORT_ALLOW,
        Places(app.import_name, app.root_path),
    )
    guards = Guards(reports, [kind(reports) for kind in KINDS if reports.is_on(kind.code)])
    if guards.guards:
        listen(session_class, app, guards)
    for guard in guards.guards.values():
        guard.attach(app, engines)
    return guards


def _default_mode(app_ref: weakref.ref[Flask]) -> str:
    """As the application is set at this moment. Weakly: it owns what asks."""
    app = app_ref()
    if app is None:
        return "count"
    return "raise" if app.testing else "warn" if app.debug else "count"
