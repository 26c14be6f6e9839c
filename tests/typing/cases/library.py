"""Another library that happens to have things named ``Model``."""

from __future__ import annotations


class Model:
    """A base class of its own."""

    x: int = 1


class Registry:
    """Holds a class of that name, as our ``db`` does, without being a ``SQLAlchemy``."""

    Model = Model

    def __init__(self) -> None:
        self.attribute = 1


registry = Registry()
annotated: Registry = Registry()


def make() -> Registry:
    return registry
