"""How the functions of a revision's script are called for one of several databases."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .histories import function_suffix


def for_database(function: Callable[..., Any]) -> Callable[..., None]:
    """A script's ``upgrade`` or ``downgrade``, so that it can be called for any database.

    A function that takes ``engine_name`` gets it, and picks ``upgrade_<name>()`` itself; where the
    script has none for this database, because its bind came later, there is nothing to do. One that
    does not take it is about the default database. Without ``engine_name``, the history is about
    one database, and the function is called plainly.
    """

    @functools.wraps(function)
    def call(*, engine_name: str | None = None, **arguments: Any) -> None:
        if engine_name is None:
            function(**arguments)
        elif _takes_name(function):
            _call_with_name(function, engine_name, arguments)
        elif not engine_name:
            function(**arguments)

    return call


def _takes_name(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(
        parameter.name == "engine_name" or parameter.kind is parameter.VAR_KEYWORD
        for parameter in parameters
    )


def _call_with_name(function: Callable[..., Any], name: str, arguments: dict[str, Any]) -> None:
    written = f"{function.__name__}_{name}"
    safe = f"{function.__name__}_{function_suffix(name)}"
    try:
        function(engine_name=name, **arguments)
    except KeyError as error:
        if error.args not in ((written,), (safe,)) or not _is_of_function(error):
            raise
    else:
        return
    script: dict[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
    if safe in script:  # the function looked for a name that can't be written in Python
        script[safe]()


def _is_of_function(error: KeyError) -> bool:
    """Whether the script's own look-up failed, and not something that it called."""
    here = error.__traceback__
    script = here.tb_next if here is not None else None
    return script is not None and script.tb_next is None
