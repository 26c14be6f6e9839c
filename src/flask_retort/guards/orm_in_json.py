"""``orm-in-json``: an object of a model handed to ``jsonify``, or returned in a view's dict."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, ClassVar

import sqlalchemy as sa
from flask import Flask, appcontext_pushed, request_started
from flask.json.provider import DefaultJSONProvider
from sqlalchemy import Engine
from sqlalchemy.orm import ColumnProperty, InstanceState, Mapper

from flask_retort.errors import GuardError, ORMInJSON

from .hooks import Guard
from .reporting import Text
from .words import variable

Default = Callable[[Any], Any]


class ORMInJSONGuard(Guard):
    """Looks at what Flask's own JSON provider can't write, or writes because it is a dataclass.

    Where the application's own provider, or its own ``app.json.default``, takes the object, it is
    meant.
    """

    code: ClassVar[str] = "orm-in-json"
    text: ClassVar[Text] = Text(
        what="An object of {subject} was handed to JSON at {where}.",
        why="{why}",
        write="Name what the answer is to hold: {write}.",
    )

    def attach(self, app: Flask, engines: Mapping[str | None, Engine]) -> None:
        """Watch the provider that the application has, until its first request has begun.

        It, or its ``default``, is often replaced after extensions are set up, and never while
        requests are served. A signal costs each request some microseconds.
        """
        self._watch(app)
        appcontext_pushed.connect(self._watch, app)
        request_started.connect(self._watch_last, app)

    def _watch_last(self, app: Flask, **_: Any) -> None:
        self._watch(app)
        # Naming the sender would keep them among the receivers that each signal looks through.
        appcontext_pushed.disconnect(self._watch)
        request_started.disconnect(self._watch_last)

    def _watch(self, app: Flask, **_: Any) -> None:
        provider: Any = app.json
        if isinstance(provider, DefaultJSONProvider):
            default: Any = provider.default
            if not isinstance(default, _Watched):
                provider.default = _Watched(default, self.report)

    def report(self, instance: object, *, is_written: bool) -> None:
        """Report an object of a model.

        :param is_written: Flask writes it, since it is a dataclass; otherwise it raises TypeError.
        :raises ORMInJSON: the mode is "raise".
        """
        state: InstanceState[Any] = sa.inspect(instance)
        try:
            self.find(state.class_.__name__, **_words(state.mapper, is_written=is_written))
        except GuardError as found:
            raise ORMInJSON(found.message) from None


class _Watched:
    """Stands before a provider's ``default``.

    :param default: what the provider would use.
    :param report: see :meth:`ORMInJSONGuard.report`.
    """

    def __init__(self, default: Default, report: Callable[..., None]) -> None:
        self.default = default
        self.report = report

    def __call__(self, value: Any) -> Any:
        if not _is_of_model(value):
            return self.default(value)
        if is_dataclass(value) and self.default is DefaultJSONProvider.default:
            self.report(value, is_written=True)
        try:
            return self.default(value)
        except TypeError as error:
            # Another TypeError is a defect of the application's own default.
            if "not JSON serializable" in str(error):
                self.report(value, is_written=False)
            raise


def _is_of_model(value: object) -> bool:
    return isinstance(sa.inspect(value, raiseerr=False), InstanceState)


def _words(mapper: Mapper[Any], *, is_written: bool) -> dict[str, str]:
    name = variable(mapper.class_)
    columns = sorted(mapper.column_attrs, key=lambda prop: not prop.columns[0].primary_key)
    fields = [prop.key for prop in columns if _is_harmless(prop)]
    secret = sorted(set(mapper.column_attrs.keys()) - set(fields))
    shown = ", ".join(f"{field}={name}.{field}" for field in fields)
    why = "Flask does not know how to write it, and raises a TypeError."
    if is_written:
        left_out = f", {', '.join(secret)} included," if secret else ""
        why = (
            f"It is a dataclass, so Flask writes every field{left_out} and loads every relationship"
            " among them."
        )
    return {
        "why": why,
        "write": f"jsonify({shown}), or [dict({shown}) for {name} in ...] for many",
    }


_SECRET = re.compile(
    r"passw|passphrase|pwd|secret|token|hash|salt|api_?key|private|credential|otp|ssn|card|iban|cvv"
    r"|(?:^|_)pin(?:_|$)",
    re.IGNORECASE,
)


def _is_harmless(prop: ColumnProperty[Any]) -> bool:
    return not (prop.deferred or prop.key.startswith("_") or _SECRET.search(prop.key))
