"""What a model's ``@validates`` methods refuse, with the model and the field."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, orm

from flask_retort._sa_compat import is_validator
from flask_retort.errors import About, FailedAssertion, InvalidValue

from .texts import TEXTS
from .values import is_secret, shown

_Validator = Callable[..., Any]
_KINDS: dict[type[Exception], type[InvalidValue]] = {
    ValueError: InvalidValue,
    AssertionError: FailedAssertion,
}
"""Exactly these classes. A subclass is somebody's own, who may catch it by its name."""


def watch_validators(base: type[Any]) -> None:
    """Let the ``@validates`` methods of all models of a base raise ``InvalidValue``.

    A ``ValueError`` becomes :class:`~flask_retort.errors.InvalidValue`, which is one too, and an
    ``AssertionError`` becomes :class:`~flask_retort.errors.FailedAssertion`, with the text of the
    method. Their subclasses are raised as they are. To be called before the models are defined;
    again for the same base it does nothing.

    :param base: a declarative base.
    """
    if not event.contains(base, "instrument_class", _watch):
        event.listen(base, "instrument_class", _watch, propagate=True)


def _watch(mapper: orm.Mapper[Any], model: type[Any]) -> None:
    """Replace the validators of a model; those of a mapped parent are replaced already."""
    for name in dir(model):
        method = next((vars(c)[name] for c in model.__mro__ if name in vars(c)), None)
        if is_validator(method) and not getattr(method, "_is_watched", False):
            setattr(model, name, _watched(method))


def _watched(method: Any) -> _Validator:
    @functools.wraps(method)
    def validate(self: Any, key: str, value: Any, *rest: Any) -> Any:
        try:
            return method(self, key, value, *rest)
        except (ValueError, AssertionError) as error:
            kind = _KINDS.get(type(error))
            if kind is None:
                raise
            model: type[Any] = self.__class__
            raise _refusal(kind, str(error), model, key, value) from error

    watched: Any = validate
    watched._is_watched = True
    return validate


def _refusal(
    kind: type[InvalidValue], said: str, model: type[Any], key: str, value: Any
) -> InvalidValue:
    mapper: orm.Mapper[Any] = sa.inspect(model)
    attribute = mapper.attrs.get(key)
    columns = attribute.columns if isinstance(attribute, orm.ColumnProperty) else []
    is_hidden = any(isinstance(c, sa.Column) and is_secret(c, key) for c in columns)
    reason = said or TEXTS[InvalidValue.code].reason
    table = getattr(mapper.local_table, "name", None)
    about = About(model, (key,), None, table, None if is_hidden else shown(value), reason)
    return kind(reason, about)
