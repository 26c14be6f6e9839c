"""``db.Column``, ``db.relationship``: the public names of SQLAlchemy and its ORM, on ``db``."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, orm

from .query import Query


class Names:
    """The part of :class:`.SQLAlchemy` that is SQLAlchemy's own."""

    Query: type[Query[Any]]

    def relationship(self, *args: Any, **kwargs: Any) -> orm.Relationship[Any]:
        """``sqlalchemy.orm.relationship`` whose dynamic queries are of :attr:`Query`."""
        self._set_query_class(kwargs)
        return orm.relationship(*args, **kwargs)

    relation = relationship

    def dynamic_loader(self, argument: Any, **kwargs: Any) -> orm.RelationshipProperty[Any]:
        """``sqlalchemy.orm.dynamic_loader`` whose queries are of :attr:`Query`."""
        self._set_query_class(kwargs)
        return orm.dynamic_loader(argument, **kwargs)

    def _set_query_class(self, kwargs: dict[str, Any]) -> None:
        kwargs.setdefault("query_class", self.Query)
        backref: str | tuple[str, dict[str, Any]] | None = kwargs.get("backref")
        if backref is not None:
            name, options = (backref, {}) if isinstance(backref, str) else backref
            kwargs["backref"] = (name, {"query_class": self.Query, **options})

    def __getattr__(self, name: str) -> Any:
        """``db.Column``, ``db.event``: the public names of ``sqlalchemy`` and its ORM."""
        if name == "event":
            return event
        if not name.startswith("_"):
            for module in (sa, orm):
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
