"""Where the user's code is: the line it has reached, and the route, command or function it runs."""

from __future__ import annotations

import inspect
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, cast

import click
from flask import Flask, Request, has_app_context, request
from flask.ctx import AppContext
from flask.globals import app_ctx
from werkzeug.exceptions import HTTPException

_FRAMEWORK = frozenset(
    {
        "click",
        "concurrent",
        "contextlib",
        "flask",
        "flask_retort",
        "functools",
        "sqlalchemy",
        "threading",
        "werkzeug",
    }
)

_TEST_FOLDERS = frozenset({"test", "tests"})

# A lambda or a comprehension is named after the function that it is in.
_NAMELESS = re.compile(r"(\.<\w+>)+$")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code.

    :param file: its absolute name.
    :param shown: its name in messages, relative to where the application lies.
    :param module: the module's dotted name.
    :param function: the function's qualified name.
    """

    file: str
    shown: str
    line: int
    module: str
    function: str

    @property
    def qualified_name(self) -> str:
        """The function's name with its module."""
        return f"{self.module}.{self.function}"

    def __str__(self) -> str:
        return f"{self.shown}:{self.line} ({self.function})"


class Places:
    """Tells an application's own code from that of the packages it uses.

    :param import_name: the application's, as Flask has it.
    :param root_path: the folder its code is in.
    """

    def __init__(self, import_name: str = "", root_path: str = "") -> None:
        self._package = import_name.partition(".")[0]
        self._root = f"{root_path}{os.sep}" if root_path else ""
        self._near = Path(root_path or os.curdir).parent

    def call_site(self) -> Place | None:
        """The innermost call from the application's code; costs a walk up the stack.

        Where none of its code is on the stack, the innermost code of neither a framework nor
        Python's own library; None where there is none either.
        """
        nearest = None
        for frame in _frames():
            package = _package_of(frame)
            if package in _FRAMEWORK:
                continue
            if self._is_own(package, frame.f_code.co_filename):
                return self._place(frame)
            if package not in sys.stdlib_module_names:
                nearest = nearest or frame
        return None if nearest is None else self._place(nearest)

    def is_test(self, place: Place) -> bool:
        """Whether the code is a test, or a helper in a folder of tests beside the application."""
        if is_test(place):
            return True
        is_own = self._is_own(place.module.partition(".")[0], place.file)
        return not is_own and not _TEST_FOLDERS.isdisjoint(Path(place.shown).parts[:-1])

    def is_test_itself(self) -> bool:
        """Whether a test has come here by its own code, with nobody beside it; costs a walk.

        Not in a view that it asks, nor in a thread that it has started.
        """
        where = self.call_site()
        return (
            where is not None
            and self.is_test(where)
            and threading.current_thread() is threading.main_thread()
            and not is_running(Flask.full_dispatch_request)
        )

    def definition(self, function: Callable[..., Any] | None) -> Place | None:
        """Where a function is defined, below its decorators; None if that is not in Python."""
        own: Any = inspect.unwrap(function) if function else None
        code = getattr(own, "__code__", None)
        if not isinstance(code, CodeType):
            return None
        return self._of_code(code, code.co_firstlineno, own.__module__)

    def _is_own(self, package: str, file: str) -> bool:
        if self._package and package == self._package:
            return True
        return bool(self._root) and file.startswith(self._root) and "site-packages" not in file

    def _place(self, frame: FrameType) -> Place:
        return self._of_code(frame.f_code, frame.f_lineno, frame.f_globals.get("__name__", ""))

    def _of_code(self, code: CodeType, line: int, module: str) -> Place:
        file = code.co_filename
        function = _NAMELESS.sub("", code.co_qualname.replace("<locals>.", ""))
        return Place(file, self._shown(file), line, module, function)

    def _shown(self, file: str) -> str:
        for folder in (self._near, Path.cwd()):
            if Path(file).is_relative_to(folder):
                return Path(file).relative_to(folder).as_posix()
        return file


def context() -> AppContext | None:
    """The current application context itself, which code that it is copied to has as well."""
    current: Any = app_ctx
    return cast(AppContext, current._get_current_object()) if has_app_context() else None


def current_request() -> Request:
    """The request itself, which is there when its context is over."""
    current: Any = request
    return cast(Request, current._get_current_object())


def route(answered: Request) -> str:
    """A request as "GET /orders/<int:order_id>".

    The rule and not the path, so that one entry of an allow-list is for all orders.
    """
    method = "GET" if answered.method == "HEAD" else answered.method
    rule = answered.url_rule
    return f"{method} {rule.rule if rule else '(no route)'}"


def view(app: Flask, answered: Request) -> Callable[..., Any] | None:
    """The function, or the method of a class, that a request is for."""
    function: Any = app.view_functions.get(answered.endpoint or "")
    kind: Any = getattr(function, "view_class", None)
    if kind is not None:
        function = getattr(kind, answered.method.lower(), kind.dispatch_request)
    return cast("Callable[..., Any] | None", function)


def is_answer(error: Exception) -> bool:
    """Whether it is no failure but an answer that was raised: ``abort(redirect(...))``."""
    return isinstance(error, HTTPException) and (error.code is None or error.code < 400)


def command() -> tuple[str, Callable[..., Any] | None] | None:
    """The current command as "flask import-users", and its function; None outside of one."""
    running = click.get_current_context(silent=True)
    if running is None:
        return None
    return " ".join(["flask", *running.command_path.split()[1:]]), running.command.callback


def exit_code() -> int:
    """What ``ctx.exit()`` is ending the command with: it ends contexts before it raises."""
    code = click.Context.exit.__code__
    return next((frame.f_locals["code"] for frame in _frames() if frame.f_code is code), 0)


def is_running(function: Callable[..., Any]) -> bool:
    """Whether a call of this very function is on the stack; costs a walk.

    ``Flask.full_dispatch_request`` is where a request is answered, not so in ``with
    app.test_request_context():``, whose request is GET unless one says.
    """
    code = getattr(function, "__code__", None)
    return any(frame.f_code is code for frame in _frames())


def is_test(place: Place) -> bool:
    """Whether the code is a test, a fixture, or a plug-in of pytest."""
    name = place.module.rpartition(".")[2]
    return (
        name == "conftest"
        or name.startswith("test_")
        or name.endswith("_test")
        or place.module.startswith(("pytest", "_pytest"))
    )


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _package_of(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]
