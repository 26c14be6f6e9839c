"""Errors of connecting and of lost connections, as one sentence that never holds the password."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import ExceptionContext

from flask_retort.checks import masked
from flask_retort.errors import CannotConnect, CommitOutcomeUnknown, Disconnected

from . import commits

CAUSES = (
    (r"role .* does not exist", "The server has no such user", "create it, or correct the URL"),
    (
        r"password|access denied|authentication|pg_hba",
        "User or password are wrong, or may not connect from this machine",
        "correct them in the URL; special characters in it are written as %40 for @ and so on",
    ),
    (
        r"database .* does not exist|unknown database",
        "The server has no database of that name",
        "create it, or correct the name at the end of the URL",
    ),
    (
        r"translate host|resolve|name or service|getaddrinfo|unknown.*host|name resolution",
        "The host's name is unknown",
        "correct it in the URL, or wait until the name service knows it",
    ),
    (
        r"too many|connection slots",
        "The server has no connection left",
        "lower pool_size and max_overflow, which count for each process, or raise the server's"
        " limit",
    ),
    (
        r"timeout|timed out",
        "The host did not answer in time: it is down, or a firewall drops the packets",
        "check that host and port of the URL can be reached from this machine",
    ),
    (
        r"starting up|shutting down|recovery mode",
        "The server is starting or stopping",
        "try again when it accepts connections",
    ),
    (
        r"refused|can't connect|no such file|is the server running",
        "No server listens there",
        "start it, or correct host and port in the URL",
    ),
    (
        r"unable to open database file",
        "The folder does not exist, or may not be written",
        "create it, or correct the path in the URL; an absolute path has four slashes,"
        " sqlite:////var/shop.db",
    ),
    (
        r"not a database",
        "The file holds something else, or an encrypted database",
        "correct the path in the URL",
    ),
    (
        r"database is locked",
        "Another process held the database longer than the busy timeout",
        "end long transactions, or raise RETORT_SQLITE = {'busy_timeout': seconds}",
    ),
)
"""Pattern in a driver's message when a connection can't be opened, usual cause, what to do."""

_UNKNOWN_CAUSE = (
    "The server or its settings refuse it",
    "check the URL and the server's log",
)

_ENVIRONMENT = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.DatabaseError)
"""Classes of errors that have their cause outside the program; subclasses do not count."""


def translate(engine: sa.Engine, bind_key: str | None, connect_args: Mapping[str, Any]) -> None:
    """Raise CannotConnect, Disconnected and CommitOutcomeUnknown for what the driver reports.

    :param connect_args: searched for passwords, which are removed from the drivers' messages.
    """
    secrets = _secrets(engine, connect_args)
    database = "default database" if bind_key is None else f"database {bind_key!r}"
    place = f"the {database}, {masked(engine.url)}"
    is_server = engine.dialect.name != "sqlite"

    def handle(context: ExceptionContext) -> BaseException | None:
        error = context.sqlalchemy_exception
        if context.is_pre_ping or not isinstance(error, exc.DBAPIError) or error.orig is None:
            return None
        if context.connection is None and type(error) in _ENVIRONMENT:
            said = _without_secrets(error.orig, secrets)
            return CannotConnect(_cannot_connect(place, said), error)
        if context.is_disconnect and is_server:
            said = _without_secrets(error.orig, secrets)
            if commits.came_from_commit(error.orig):
                return CommitOutcomeUnknown(_outcome_unknown(place, said), error)
            return Disconnected(_disconnected(place, said), error)
        return None

    if is_server:
        commits.watch(engine)
    event.listen(engine, "handle_error", handle)


def said_by_driver(engine: sa.Engine, error: BaseException) -> str:
    """A driver's message in one line, without the password of the engine's URL."""
    return _without_secrets(error, _secrets(engine, {}))


def _cannot_connect(place: str, said: str) -> str:
    cause, remedy = next(
        ((cause, remedy) for pattern, cause, remedy in CAUSES if re.search(pattern, said, re.I)),
        _UNKNOWN_CAUSE,
    )
    return f"Can't connect to {place}: the driver says {said!r}. {cause}: {remedy}."


def _disconnected(place: str, said: str) -> str:
    return (
        f"The connection to {place}, was lost: the driver says {said!r}. The transaction is gone."
        " Usually the server was restarted, ended the session or failed over. Roll the session back"
        " and run the whole unit of work again: the next connection is new."
    )


def _outcome_unknown(place: str, said: str) -> str:
    return (
        f"The connection to {place}, was lost during COMMIT: the driver says {said!r}. The"
        " transaction may have taken effect, or not; to run it again could do everything twice."
        " Ask with error.resolve(), which tells on PostgreSQL after db.transaction(): True for"
        " committed, False for not, None for not known. Where it is not known, let the unit of work"
        " write a row with a unique key of its own, and look for that row before it is run again."
    )


def _secrets(engine: sa.Engine, connect_args: Mapping[str, Any]) -> list[Callable[[str], str]]:
    """For each password that the engine knows, a function that removes it from a text."""
    url = engine.url
    found = {url.password, *(v for k, v in url.query.items() if _is_secret(k))}
    found |= {v for k, v in connect_args.items() if _is_secret(k)}
    shown = {url.username, url.database, url.host}
    return [_remover(word, word in shown) for word in found if isinstance(word, str) and word]


def _is_secret(name: str) -> bool:
    return re.search(r"passw(or)?d|pwd|secret", name, re.I) is not None


def _remover(word: str, is_shown: bool) -> Callable[[str], str]:
    """Short passwords are removed as whole words; what is a name too, only where it is one."""
    text = re.escape(word)
    if is_shown:
        pattern = rf"(?<=:){text}(?=@)|(?<=passw[o]rd=){text}"
    elif len(word) < 4:
        pattern = rf"(?<!\w){text}(?!\w)"
    else:
        pattern = text
    compiled = re.compile(pattern)
    return lambda said: compiled.sub("***", said)


def _without_secrets(error: BaseException, secrets: list[Callable[[str], str]]) -> str:
    """The error's message in one line. The error itself, shown as the cause, is cleaned too."""

    def clean(text: str) -> str:
        for remove in secrets:
            text = remove(text)
        return text

    said = str(error)
    if clean(said) != said:
        error.args = tuple(clean(arg) if isinstance(arg, str) else arg for arg in error.args)
    return " ".join(clean(said).split())
