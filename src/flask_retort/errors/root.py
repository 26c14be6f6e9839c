"""What all exceptions and warnings of the package are: a text that ends in its code."""

from __future__ import annotations

from sqlalchemy.orm.exc import DetachedInstanceError


class RetortError(Exception):
    """What all errors of this package have in common: a message that ends in ``[retort:<code>]``.

    :param message: what happened, why it hurts, what to write instead.
    :param code: replaces the class's own code.
    """

    code: str = "error"
    """Stands at the end of the message and names its page in the documentation."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} [retort:{self.code}]"


class RetortWarning(UserWarning):
    """A mistake that works for now. Filter it by the code at the end of its text.

    :param message: what was found and what to write instead.
    :param code: stands at the end of the text and names its page in the documentation.
    """

    def __init__(self, message: str, *, code: str = "warning") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return f"{self.message} [retort:{self.code}]"


class GuardError(RetortError):
    """A mistake that a guard has found, where ``RETORT_GUARDS`` says ``raise``.

    :param message: what was found, why it hurts, what to write instead, how to allow it.
    :param code: the guard's.
    """

    code = "guard"


class ORMInJSON(GuardError, TypeError):  # noqa: N818 - names the mistake
    """An object of a model was to be written as JSON."""

    code = "orm-in-json"


class DetachedLoad(GuardError, DetachedInstanceError):  # noqa: N818 - names the mistake
    """An unloaded attribute was read after the session of its object had ended."""

    code: str = "detached-load"  # pyright: ignore[reportIncompatibleVariableOverride] there, also None
