"""Declarative bases: automatic table names, metadata by bind key, ``Model.query`` and ``repr``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from ._sa_compat import resume_dataclass, suspend_dataclass

if TYPE_CHECKING:
    from .extension import SQLAlchemy
    from .query import Query

M = TypeVar("M")

_DECLARATIVE_2X = (orm.DeclarativeBase, orm.DeclarativeBaseNoMeta)


class _QueryProperty:
    """``Model.query``: a new query of the model on the current session, made at each access."""

    def __get__(self, instance: object, owner: type[M]) -> Query[M]:
        model: Any = owner
        query: Query[M] = model.query_class(model, session=model.__fsa__.session())
        return query


class Model:
    """The base class of classic models, and a mixin of every base that a ``SQLAlchemy`` object has.

    Subclass it to give all models common behaviour, and pass the subclass as ``model_class``.
    """

    __fsa__: ClassVar[SQLAlchemy[Any]]
    """The extension object that the models belong to."""

    query_class: ClassVar[type[Query[Any]]]
    """Class of :attr:`query`. Set by the extension from its ``query_class`` unless you set it."""

    query = _QueryProperty()
    """A legacy ``Query`` of this model. For new code use ``db.session.scalars(db.select(...))``."""

    if TYPE_CHECKING:  # what the declarative base that is made of this class gives to models
        metadata: ClassVar[sa.MetaData]
        registry: ClassVar[orm.registry]
        __table__: ClassVar[sa.FromClause]
        __mapper__: ClassVar[orm.Mapper[Any]]

        def __init__(self, **kwargs: Any) -> None: ...

    def __repr__(self) -> str:
        state: orm.InstanceState[Any] | None = sa.inspect(self, raiseerr=False)
        if state is None:
            return super().__repr__()
        if state.transient:
            key = f"(transient {id(self)})"
        elif state.pending:
            key = f"(pending {id(self)})"
        else:
            key = ", ".join(map(str, state.identity or ()))
        return f"<{type(self).__name__} {key}>"


# --- table names --------------------------------------------------------------


def camel_to_snake_case(name: str) -> str:
    """The table name for a class name: ``HTTP2Request`` gives ``http2_request``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def should_set_tablename(cls: type[Any]) -> bool:
    """Whether the class needs a generated ``__tablename__``.

    It does unless it is a declarative base or abstract, or the nearest name in its inheritance was
    written for it: in the class itself, in a mixin, or as a ``declared_attr``. The name of a mapped
    parent is the parent's. No attribute of the class is evaluated to find out.
    """
    if vars(cls).get("__abstract__", False) or any(b in _DECLARATIVE_2X for b in cls.__bases__):
        return False
    for base in cls.__mro__:
        if "__tablename__" not in vars(base):
            continue
        name = vars(base)["__tablename__"]
        written_for_this_class = base is cls or isinstance(name, orm.declared_attr)
        return not written_for_this_class and sa.inspect(base, raiseerr=False) is not None
    return True


def _choose_name(cls: Any) -> None:
    if should_set_tablename(cls):
        cls.__tablename__ = camel_to_snake_case(cls.__name__)


def _make_table(cls: type[Any], name: str, metadata: sa.MetaData, *args: Any, **kw: Any) -> Any:
    """The table for a model about to be mapped, or None for a child that shares its parent's.

    SQLAlchemy calls this in place of ``Table`` with the columns that it collected. Only here is it
    known whether the class has a primary key of its own, that is, a table of its own.
    """
    schema = kw.get("schema", metadata.schema)
    is_known = (f"{schema}.{name}" if schema else name) in metadata.tables
    inherits_table = any("__table__" in vars(base) for base in cls.__mro__[1:])
    if is_known or not inherits_table or any(map(_is_primary_key, args)):
        return sa.Table(name, metadata, *args, **kw)
    if "__tablename__" in vars(cls):
        del cls.__tablename__
    return None


def _is_primary_key(item: Any) -> bool:
    if isinstance(item, sa.Column):
        return item.primary_key
    return isinstance(item, sa.PrimaryKeyConstraint)


def _drop_empty_table(cls: type[Any]) -> None:
    """Remove the ``__table__ = None`` of a single-table child, which would hide its parent's."""
    if vars(cls).get("__table__", ...) is None:
        del cls.__table__


# --- metadata by bind key -----------------------------------------------------


def _choose_metadata(cls: type[Any]) -> None:
    """Give the class the metadata of its ``__bind_key__``, unless it has or inherits it."""
    if "metadata" in vars(cls) or "__table__" in vars(cls) or not hasattr(cls, "__fsa__"):
        return
    bind_key = getattr(cls, "__bind_key__", None)
    if cls.metadata.info.get("bind_key") != bind_key:
        cls.metadata = cls.__fsa__._make_metadata(bind_key)


# --- hooks of classic bases: a metaclass; and of 2.x bases: mixins ------------


class BindMetaMixin(type):
    """Metaclass part that chooses a model's metadata by its ``__bind_key__``."""

    __fsa__: SQLAlchemy[Any]
    metadata: sa.MetaData

    def __init__(cls, name: str, bases: tuple[type, ...], d: dict[str, Any], **kw: Any) -> None:
        _choose_metadata(cls)
        super().__init__(name, bases, d, **kw)


class NameMetaMixin(type):
    """Metaclass part that names a model's table after the class."""

    __tablename__: str
    __table__: sa.Table

    def __init__(cls, name: str, bases: tuple[type, ...], d: dict[str, Any], **kw: Any) -> None:
        _choose_name(cls)
        super().__init__(name, bases, d, **kw)
        _drop_empty_table(cls)

    __table_cls__ = _make_table


class DefaultMeta(BindMetaMixin, NameMetaMixin, orm.DeclarativeMeta):
    """Metaclass of classic bases: bind keys and table names."""


class DefaultMetaNoName(BindMetaMixin, orm.DeclarativeMeta):
    """Metaclass of classic bases with ``disable_autonaming``: bind keys only."""


class BindMixin:
    """Mixin for a 2.x base of your own making: metadata by ``__bind_key__``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        _choose_metadata(cls)
        super().__init_subclass__(**kwargs)


class NameMixin:
    """Mixin for a 2.x base of your own making: tables named after their classes."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        _choose_name(cls)
        super().__init_subclass__(**kwargs)
        _drop_empty_table(cls)

    __table_cls__ = classmethod(_make_table)


# --- making the base ----------------------------------------------------------


def is_2x_base(model_class: type[Any]) -> bool:
    """Whether the class is a SQLAlchemy 2.x declarative base.

    :raises ValueError: it is both kinds of declarative base at once.
    """
    kinds = [kind for kind in _DECLARATIVE_2X if issubclass(model_class, kind)]
    if len(kinds) > 1:
        raise ValueError(
            f"'{model_class.__name__}' inherits from both DeclarativeBase and"
            " DeclarativeBaseNoMeta, which exclude each other. Keep one of them."
        )
    return bool(kinds)


def make_declarative_base(
    model_class: type[Any], metadata: sa.MetaData, *, disable_autonaming: bool
) -> type[Any]:
    """The class that becomes ``db.Model``.

    A 2.x base is equipped in place and returned, so that ``class User(Base)`` and
    ``class User(db.Model)`` mean the same. A ready classic base is returned as it is. For anything
    else a classic base is made from it.
    """
    if is_2x_base(model_class):
        _equip_2x_base(model_class, disable_autonaming=disable_autonaming)
        return model_class
    if isinstance(model_class, orm.DeclarativeMeta):
        model_class.metadata = metadata
        return model_class
    metaclass = DefaultMetaNoName if disable_autonaming else DefaultMeta
    base: type[Any] = orm.declarative_base(
        metadata=metadata, cls=model_class, name="Model", metaclass=metaclass
    )
    return base


def _equip_2x_base(base: type[Any], *, disable_autonaming: bool) -> None:
    """Give the class what ``db.Model`` has. Its first base stays first, as Python demands."""
    _insert_hook(base, disable_autonaming=disable_autonaming)
    if not disable_autonaming and not hasattr(base, "__table_cls__"):
        base.__table_cls__ = classmethod(_make_table)
    bases: list[type] = []
    for parent in base.__bases__:
        if parent in _DECLARATIVE_2X and issubclass(base, orm.MappedAsDataclass):
            if bases:
                bases.append(_PlainIfTableGiven)
            bases += [parent, _DataclassAgain]
        elif parent not in (_PlainIfTableGiven, _DataclassAgain):
            bases.append(parent)
    if not issubclass(base, Model):
        bases.append(Model)
    base.__bases__ = tuple(bases)


def _insert_hook(base: type[Any], *, disable_autonaming: bool) -> None:
    """Prepare each new model of the base before SQLAlchemy's own hook maps it."""
    own_hook = vars(base).get("__init_subclass__")
    if getattr(own_hook, "_is_ours", False):
        return
    # Nothing can be put before the first base, so its part is done here.
    maps_first = base.__bases__[0] in _DECLARATIVE_2X

    def prepare_and_map(cls: type[Any], /, **kwargs: Any) -> None:
        _choose_metadata(cls)
        if not disable_autonaming:
            _choose_name(cls)
        if maps_first:
            _be_plain_if_table_given(cls)
        if own_hook is not None:
            own_hook.__get__(None, cls)(**kwargs)
        else:
            super(base, cls).__init_subclass__(**kwargs)
        _drop_empty_table(cls)

    hook: Any = classmethod(prepare_and_map)
    hook._is_ours = True
    setattr(base, "__init_subclass__", hook)  # noqa: B010 - mypy knows the name as a method


class _PlainIfTableGiven:
    """Stands before a dataclass base's declarative base: a model with ``__table__`` is plain."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        _be_plain_if_table_given(cls)
        super().__init_subclass__(**kwargs)


def _be_plain_if_table_given(cls: type[Any]) -> None:
    if "__table__" in vars(cls) and issubclass(cls, orm.MappedAsDataclass):
        suspend_dataclass(cls)


class _DataclassAgain:
    """Stands behind the declarative base: subclasses of a plain model are dataclasses again."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        resume_dataclass(cls)
        super().__init_subclass__(**kwargs)
