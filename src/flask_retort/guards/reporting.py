"""What happens with a mistake that a guard has found: raised, warned of, counted, or allowed."""

from __future__ import annotations

import contextvars
import logging
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ContextDecorator, contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask.ctx import AppContext

from flask_retort.checks import GUARDS, nearest
from flask_retort.errors import GuardError, RetortWarning

from . import places
from .places import Place, Places

logger = logging.getLogger("flask_retort.guards")

MOST_SUBJECTS = 1000
"""Subjects kept apart for the report; what comes after is counted as "*"."""


@dataclass(frozen=True, slots=True)
class Text:
    """The three parts of a guard's message that are its own, each with ``{names}`` to fill in.

    :param what: what happened, in the user's own names. ``{where}`` is the place in their code.
    :param why: why it hurts.
    :param write: the code to write instead.
    """

    what: str
    why: str
    write: str

    def filled(self, code: str, subject: str, names: Mapping[str, object]) -> str:
        """The message with how to allow it, without its code."""
        parts = " ".join((self.what, self.why, self.write))
        allow = f"Allow it on purpose with db.allow({code!r}, {subject!r}, reason=...)."
        return f"{parts.format_map(names)} {allow}"


@dataclass(slots=True, eq=False)
class Allowance(ContextDecorator):
    """One entry of the allow-list; as a context manager or a decorator, while the code runs.

    :param code: the guard's.
    :param subject: what may pass, as the guard names it; "*" is everything.
    :param reason: the developer's.
    :param uses: how often it has matched.
    :param is_reached: whether code has entered it, as all code does that of the configuration.
    """

    code: str
    subject: str
    reason: str
    uses: int = 0
    is_reached: bool = False

    def matches(self, code: str, subject: str) -> bool:
        """Whether it lets this finding pass."""
        return self.code == code and self.subject in ("*", subject)

    def __enter__(self) -> None:
        self.is_reached = True
        _allowed_here.set((self, *_allowed_here.get()))
        context = places.context()
        if context is not None:
            _entered.setdefault(context, set()).add(self)

    def __exit__(self, *exc_info: object) -> None:
        left = list(_allowed_here.get())
        left.remove(self)
        _allowed_here.set(tuple(left))


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake that was found, and not allowed, at least once.

    :param code: the guard's.
    :param subject: what it is about.
    :param times: how often it was found.
    :param message: what was said the first time.
    """

    code: str
    subject: str
    times: int
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the guards of one application have to say about this process.

    :param findings: the most frequent one first.
    :param unused: allowances that have matched nothing: all of the configuration's, and of those
        in the code the ones that were reached.
    """

    findings: list[Finding] = field(default_factory=list[Finding])
    unused: list[Allowance] = field(default_factory=list[Allowance])


class Reports:
    """What the guards of one application have found, and what is to be done with it.

    :param modes: mode by guard's code, see :func:`modes`; None is the application's default.
    :param default: the default of this moment: TESTING is often set after extensions are.
    :param allowed: the allow-list of the configuration: code, subject, reason.
    :param places: finds the line of the user's code.
    """

    def __init__(
        self,
        modes: Mapping[str, str | None],
        default: Callable[[], str] = lambda: "raise",
        allowed: Sequence[tuple[str, str, str]] = (),
        places: Places | None = None,
    ) -> None:
        self.modes = dict(modes)
        self.default = default
        self.allowances = [Allowance(*entry, is_reached=True) for entry in allowed]
        self.found: Counter[tuple[str, str]] = Counter()
        """How often each (code, subject) was found and not allowed."""
        self.places = places or Places()
        self._messages: dict[tuple[str, str], str] = {}
        self._warned: dict[Any, int] = {}
        self._mutex = threading.Lock()

    def is_on(self, code: str) -> bool:
        """Whether the guard has anything to do."""
        return self.modes[code] != "off"

    def report(
        self,
        code: str,
        text: Text,
        subject: str,
        *,
        where: Place | str | None = None,
        **names: object,
    ) -> None:
        """Raise, warn or count, as the guard's mode says, unless the finding is allowed.

        :param subject: what it is about in short, such as "Product.stock" or "GET /orders": what
            one writes into the allow-list.
        :param where: a place in the user's code; by default the innermost call from it.
        :param names: fill the text.
        :raises GuardError: the mode is "raise".
        """
        mode = self.modes[code] or self.default()
        if mode == "off" or self.is_allowed(code, subject):
            return
        is_first = self._count(code, subject)
        if mode == "count" and not is_first:
            return
        where = where or self.places.call_site()
        named = {"subject": subject, "where": where or "a place that is unknown", **names}
        message = text.filled(code, subject, named)
        with self._mutex:
            self._messages.setdefault((code, subject), message)
        if mode == "raise":
            raise GuardError(message, code=code)
        if mode == "warn":
            self._warn(RetortWarning(message, code=code), where)
        else:
            # A warning, so that it is seen where nobody has set up logging: once a subject.
            logger.warning("%s [retort:%s]", message, code)

    def is_allowed(self, code: str, subject: str) -> bool:
        """Whether a block on the way here, or the configuration, lets this finding pass."""
        for allowance in (*_allowed_here.get(), *self.allowances):
            if allowance.matches(code, subject):
                with self._mutex:
                    allowance.uses += 1
                return True
        return False

    def report_so_far(self) -> Report:
        """What was found since the process began, and the allowances that have matched nothing."""
        with self._mutex:
            counted = self.found.most_common()
            messages = dict(self._messages)
        findings = [Finding(*found, times, messages.get(found, "")) for found, times in counted]
        known = [*self.allowances, *_in_code.values()]
        return Report(findings, [one for one in known if one.is_reached and not one.uses])

    def _count(self, code: str, subject: str) -> bool:
        """Count a finding; whether it is the first of its kind."""
        with self._mutex:
            key = (code, subject)
            if key not in self.found and len(self.found) >= MOST_SUBJECTS:
                key = (code, "*")
            self.found[key] += 1
            return self.found[key] == 1

    def _warn(self, warning: RetortWarning, where: Place | str | None) -> None:
        if isinstance(where, Place):
            warnings.warn_explicit(
                warning,
                RetortWarning,
                where.file,
                where.line,
                where.module,
                registry=self._warned,
            )
        else:
            warnings.warn(warning, stacklevel=4)


_allowed_here: contextvars.ContextVar[tuple[Allowance, ...]] = contextvars.ContextVar(
    "retort_allowed", default=()
)
_entered: weakref.WeakKeyDictionary[AppContext, set[Allowance]] = weakref.WeakKeyDictionary()
_in_code: dict[tuple[str, str, str], Allowance] = {}


def allow(code: str, subject: str = "*", *, reason: str) -> Allowance:
    """Let findings of one guard pass while the block, or the decorated function, runs.

    What is only found as the context ends, such as a lost write, passes too if the block was in it.

    :param code: the guard's, such as "write-in-get".
    :param subject: what may pass, as the message names it; everything unless given.
    :param reason: why it is right here; for the reader.
    :raises ValueError: there is no such guard, or no reason.
    """
    if code not in GUARDS:
        raise ValueError(
            f"There is no guard {code!r}; the nearest one is {nearest(code, GUARDS)!r}."
        )
    if not reason.strip():
        raise ValueError(f"allow({code!r}) needs a reason: say why it is right here.")
    # One object for all calls from one line, so that its uses are counted together.
    key = (code, subject, reason)
    return _in_code.setdefault(key, Allowance(*key))


def entered() -> Iterable[Allowance]:
    """What was allowed anywhere in the current context, once: for what is found as it ends."""
    if not _in_code:  # most applications: it must cost nothing
        return ()
    context = places.context()
    return () if context is None else _entered.pop(context, ())


@contextmanager
def as_in(allowances: Iterable[Allowance]) -> Generator[None]:
    """Let pass what these allowances do."""
    token = _allowed_here.set((*allowances, *_allowed_here.get()))
    try:
        yield
    finally:
        _allowed_here.reset(token)


def modes(setting: str | Mapping[str, str] | None, codes: Sequence[str]) -> dict[str, str | None]:
    """The mode of each guard; None where the application's default decides.

    :param setting: ``RETORT_GUARDS``.
    """
    if setting is None or isinstance(setting, str):
        return dict.fromkeys(codes, setting)
    return {code: setting.get(code, setting.get("default")) for code in codes}
