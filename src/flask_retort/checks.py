"""Checks of configuration values: each takes a key and its value, and gives the value to use."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from .errors import ConfigurationError

Check = Callable[[str, Any], Any]

_LISTS = (list, tuple, set, frozenset)
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "t": True, "y": True}
_WORDS.update({"0": False, "false": False, "no": False, "off": False, "f": False, "n": False})
_WORDS[""] = False


def boolean(key: str, value: Any) -> bool:
    """True or False; also 0, 1, None and the usual words, as environment variables have them."""
    if value is None or (isinstance(value, (bool, int)) and value in (0, 1)):
        return bool(value)
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise _wrong(key, value, "True or False")


def echo(key: str, value: Any) -> bool | str:
    """A boolean, or the word ``debug``."""
    if value == "debug":
        return "debug"
    return boolean(key, value)


def one_of(*allowed: str | None) -> Check:
    """A check that lets these words pass, in any case; None passes where it is among them."""

    def check(key: str, value: Any) -> str | None:
        word = value.lower() if isinstance(value, str) else value
        if not (word is None or isinstance(word, str)) or word not in allowed:
            raise _wrong(key, value, "one of " + ", ".join(map(repr, allowed)))
        return word

    return check


def seconds(key: str, value: Any) -> float:
    """A number of seconds, not negative."""
    number: float | None = _number(value, float)
    if number is None or not 0 <= number < float("inf"):
        raise _wrong(key, value, "a number of seconds, 0 or more")
    return number


def optional_seconds(key: str, value: Any) -> float | None:
    """A number of seconds, not negative, or None."""
    return None if value is None else seconds(key, value)


def optional_integer(key: str, value: Any) -> int | None:
    """A whole number of -1 or more, or None."""
    return _whole(key, value, -1)


def optional_positive(key: str, value: Any) -> int | None:
    """A whole number of 1 or more, or None."""
    return _whole(key, value, 1)


def count(key: str, value: Any) -> int:
    """A whole number of 0 or more."""
    number = _whole(key, value, 0)
    if number is None:
        raise _wrong(key, value, "a whole number of 0 or more")
    return number


def names(key: str, value: Any) -> tuple[str, ...]:
    """A list, tuple or set of texts, as a tuple."""
    given: Collection[Any] = value
    if not isinstance(value, _LISTS) or not all(isinstance(name, str) for name in given):
        raise _wrong(key, value, "a list of key names, such as ('SQLALCHEMY_MY_OWN',)")
    return tuple(given)


def optional_url(key: str, value: Any) -> URL | None:
    """A URL object, or None where the value is None or empty."""
    return None if value is None or value == "" else url(key, value)


def url(key: str, value: Any) -> URL:
    """The URL as an object; what can't be parsed is shown without its password."""
    if not isinstance(value, (str, URL)):
        raise ConfigurationError(
            f"{key} must be a database URL, as text or as a sqlalchemy URL object, and not of type"
            f" {type(value).__name__}.",
            code="wrong-value",
        )
    try:
        parsed = make_url(value)
        parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            f"{key} is not a database URL: '{masked(value)}'. Its form is"
            " dialect+driver://user:password@host:port/database, for example"
            " 'postgresql+psycopg://shop:secret@localhost/shop' or 'sqlite:///shop.db'. Special"
            " characters of user and password are written as %40 for @, %2F for / and so on, see"
            " urllib.parse.quote_plus.",
            code="wrong-url",
        ) from None
    return parsed


def engine_options(key: str, value: Any) -> Mapping[str, Any]:
    """A dict of ``create_engine``'s arguments; its "url", if there is one, as an object."""
    options = _dict(key, value, "a dict of arguments of sqlalchemy.create_engine")
    if not all(isinstance(name, str) for name in options):
        raise _wrong_type(key, value, "a dict with texts as keys")
    if "url" in options:
        options["url"] = url(f"{key}['url']", options["url"])
    if "connect_args" in options:
        place = f"{key}['connect_args']"
        options["connect_args"] = _dict(place, options["connect_args"], "a dict")
    return options


def binds(key: str, value: Any) -> Mapping[str | None, Mapping[str, Any]]:
    """A dict of options by bind key, each with its "url"; only the None key may lack it."""
    found: dict[str | None, Mapping[str, Any]] = {}
    for name, given in _dict(key, value, "a dict of bind keys to database URLs").items():
        if not (name is None or isinstance(name, str)):
            raise _wrong_type(f"A key of {key}", name, "a text")
        place = f"{key}[{name!r}]"
        if isinstance(given, Mapping):
            found[name] = engine_options(place, given)
        else:
            found[name] = {"url": url(place, given)}
        if name is not None and "url" not in found[name]:
            raise ConfigurationError(
                f"{place} has no 'url', so it is not known which database it means. Write"
                f" {{{name!r}: {{'url': ..., ...}}}}.",
                code="missing-url",
            )
    return found


GUARDS = (
    "lost-write",
    "write-in-get",
    "shared-session",
    "broken-session",
    "lost-update",
    "lock-order",
    "io-in-transaction",
    "create-all",
    "orm-in-json",
    "detached-load",
    "deep-offset",
    "pool-too-small",
    "sql-literal",
)
"""The codes of all guards."""

MODES = ("warn", "raise", "count", "off")
"""What a guard can do with what it finds."""


def guards(key: str, value: Any) -> str | Mapping[str, str] | None:
    """A mode, or a dict of modes by guard's code, with 'default' for the others; None is None."""
    if value is None:
        return None
    if isinstance(value, str):
        return str(one_of(*MODES)(key, value))
    given = _dict(key, value, "one of warn, raise, count, off, or a dict of these by guard")
    for code in given:
        if code not in (*GUARDS, "default"):
            raise ConfigurationError(
                f"{key} names no guard {code!r}. The nearest one is"
                f" '{nearest(str(code), GUARDS)}'; there are {', '.join(GUARDS)}.",
                code="unknown-setting",
            )
    return {code: str(one_of(*MODES)(f"{key}[{code!r}]", mode)) for code, mode in given.items()}


def allowances(key: str, value: Any) -> tuple[tuple[str, str, str], ...]:
    """A list of (guard's code, what it is about, reason), as a tuple."""
    form = "a list of (code, subject, reason), such as ('lost-update', 'Product.views', 'a guess')"
    given: Collection[Any] = value
    if not isinstance(value, _LISTS):
        raise _wrong_type(key, value, form)
    for entry in given:
        if (
            not isinstance(entry, (tuple, list))
            or len(entry) != 3  # pyright: ignore[reportUnknownArgumentType]
            or not all(isinstance(word, str) and word for word in entry)  # pyright: ignore[reportUnknownVariableType]
        ):
            raise _wrong(key, entry, form)
        if entry[0] not in GUARDS:
            raise _wrong(f"The code of an entry of {key}", entry[0], "one of " + ", ".join(GUARDS))
    return tuple(tuple(entry) for entry in given)


def section(settings: type[Any]) -> Check:
    """A check that reads a dict of settings into the given dataclass."""
    fields = {field.name: field for field in dataclasses.fields(settings)}

    def check(key: str, value: Any) -> Any:
        if isinstance(value, settings):
            return value
        given = _dict(key, value, f"a dict with any of {', '.join(fields)}")
        for name in given:
            if name not in fields:
                raise ConfigurationError(
                    f"{key} has no setting {name!r}. The nearest one is"
                    f" '{nearest(str(name), fields)}'; there are {', '.join(fields)}.",
                    code="unknown-setting",
                )
        return settings(
            **{n: fields[n].metadata["check"](f"{key}[{n!r}]", v) for n, v in given.items()}
        )

    return check


def nearest(name: str, known: Collection[str]) -> str:
    """The known name that is spelt most like this one."""
    return max(sorted(known), key=lambda other: difflib.SequenceMatcher(None, name, other).ratio())


def masked(value: str | URL) -> str:
    """The URL as text, without its password, also when it can't be parsed."""
    text = value.render_as_string() if isinstance(value, URL) else _without_credentials(value)
    return _SECRET_PARAMETER.sub(r"\1***", text)


_SECRET_PARAMETER = re.compile(
    r"((?:^|[?&;\s])\w*(?:passw(?:or)?d|pwd|secret)\s*=\s*)[^&;\s]*", re.IGNORECASE
)
_CREDENTIALS = re.compile(r"^([A-Za-z][\w+.-]*(?::/*|/+))?.*@", re.DOTALL)


def _without_credentials(text: str) -> str:
    return _CREDENTIALS.sub(r"\1***@", text)


def _dict(key: str, value: Any, right: str) -> dict[Any, Any]:
    """A copy of the mapping; empty where the value is None."""
    mapping: Mapping[Any, Any] = {} if value is None else value
    if not isinstance(mapping, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] was Any
        raise _wrong_type(key, value, right)
    return dict(mapping)


def _number(value: Any, kind: type[int] | type[float]) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = kind(value)
    except ValueError:
        return None
    return number if isinstance(value, str) or number == value else None


def _whole(key: str, value: Any, least: int) -> int | None:
    if value is None:
        return None
    number: int | None = _number(value, int)
    if number is None or number < least:
        raise _wrong(key, value, f"a whole number of {least} or more")
    return number


def _wrong(key: str, value: Any, right: str) -> ConfigurationError:
    return ConfigurationError(f"{key} must be {right}, and not {value!r}.", code="wrong-value")


def _wrong_type(key: str, value: Any, right: str) -> ConfigurationError:
    # The value itself is not shown: it can hold a password.
    return ConfigurationError(
        f"{key} must be {right}, and not of type {type(value).__name__}.", code="wrong-value"
    )
