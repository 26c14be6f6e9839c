"""``db.Table``: a table that finds its metadata by bind key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa

if TYPE_CHECKING:
    from .extension import SQLAlchemy


class Table(sa.Table):
    """A ``sqlalchemy.Table`` whose metadata may be left out.

    :param bind_key: the database that the table is in; its metadata is used. A ``MetaData`` given
        as the second positional argument, as in SQLAlchemy, wins.
    """

    _db: ClassVar[SQLAlchemy[Any]]

    # Both constructors insert the metadata: SQLAlchemy builds the table in __new__, and Python
    # then calls __init__ with the arguments as the user wrote them.
    def __new__(  # noqa: D102 - documented by the class
        cls, *args: Any, bind_key: str | None = None, **kwargs: Any
    ) -> Any:
        return super().__new__(cls, *cls._with_metadata(args, bind_key), **kwargs)

    def __init__(self, *args: Any, bind_key: str | None = None, **kwargs: Any) -> None:
        super().__init__(*self._with_metadata(args, bind_key), **kwargs)

    @classmethod
    def _with_metadata(cls, args: tuple[Any, ...], bind_key: str | None) -> tuple[Any, ...]:
        has_metadata = any(isinstance(arg, sa.MetaData) for arg in args[1:2])
        if has_metadata or not args:
            return args
        return (*args[:1], cls._db._make_metadata(bind_key), *args[1:])
