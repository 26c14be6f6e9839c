"""How types are written into a revision's script where Alembic alone would write what can't run.

A script outlives the class that its models used: one that imports the class fails when that is
renamed, moved or deleted, and makes another schema when it has changed. So a ``TypeDecorator`` is
written as what it is in the databases; what it does with values is none of the schema's business.
A type that nothing but its own class can put into words is imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, TypeGuard, cast

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import exc
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect

from flask_retort._sa_compat import type_variants
from flask_retort.migrations._alembic import rendered_type

Type = sa.types.TypeEngine[Any]
Decorator = sa.types.TypeDecorator[Any]

_DIALECTS = (sqlite.dialect, postgresql.dialect, mysql.dialect, MariaDBDialect)


def render(kind: str, item: Any, context: AutogenContext) -> Any:
    """The text of a type; False leaves everything else to Alembic."""
    if kind != "type":
        return False
    if _is_foreign_to(item, context.dialect):
        return _postgresql_text(item, context)
    if isinstance(item, sa.Interval):
        return _interval(item, context)
    if isinstance(item, sa.PickleType):
        return _as_stored(item, context)
    if _home(item) == "sqlalchemy" or context.opts.get("user_module_prefix"):
        return False
    if _is_decorator(item):
        return _as_stored(item, context)
    context.imports.add(f"import {type(item).__module__}")
    return False


def _is_foreign_to(item: Type, dialect: sa.Dialect) -> bool:
    """Whether this is a type of PostgreSQL, met in a variant while another database is asked."""
    is_postgresqls = type(item).__module__.startswith("sqlalchemy.dialects.postgresql")
    return is_postgresqls and dialect.name != "postgresql"


def _postgresql_text(item: Type, context: AutogenContext) -> Any:
    # Some of these types hold others, which only PostgreSQL's part of Alembic writes with "sa.".
    impl: Any = PostgresqlImpl(cast(Any, postgresql.dialect)(), None, False, None, None, {})
    text = impl.render_type(item, context)
    if text:
        context.imports.add("from sqlalchemy.dialects import postgresql")
    return text


def _interval(item: sa.Interval, context: AutogenContext) -> str:
    # Its repr() tells nothing.
    defaults = {"native": True, "second_precision": None, "day_precision": None}
    given = {name: getattr(item, name) for name in defaults}
    arguments = [f"{name}={value!r}" for name, value in given.items() if value != defaults[name]]
    return f"{context.opts['sqlalchemy_module_prefix']}Interval({', '.join(arguments)})"


def _as_stored(item: Decorator, context: AutogenContext) -> str:
    """The type beneath, with a variant for each database that has another."""
    text = _text(item.impl_instance, context)
    for name, type_ in _variants(item).items():
        text += f".with_variant({_text(type_, context)}, {name!r})"
    return text


def _text(type_: Type, context: AutogenContext) -> str:
    return rendered_type(_public(type_), context)


def _variants(item: Decorator) -> dict[str, Type]:
    """Where a database does not store the type beneath, what it stores, by the dialect's name."""
    variants: dict[str, Type] = {}
    for dialect in [make() for make in _DIALECTS]:
        stored = item.load_dialect_impl(dialect)
        definition = _definition(stored, dialect)
        if definition is not None and definition != _definition(item.impl_instance, dialect):
            variants[dialect.name] = stored
    return {**variants, **type_variants(item)}  # the user's own with_variant() is stronger


def _definition(type_: Type, dialect: sa.Dialect) -> str | None:
    """The type in this database's words; None where it has none."""
    try:
        return type_.compile(dialect=dialect)
    except exc.CompileError:
        return None


def _public(type_: Type) -> Type:
    """The type as the nearest class that a script can name: drivers have classes of their own."""
    if _home(type_) != "sqlalchemy":
        return type_
    for class_ in type(type_).__mro__:
        package = class_.__module__.split(".")
        room = ".".join(package[:3]) if package[:2] == ["sqlalchemy", "dialects"] else "sqlalchemy"
        if getattr(import_module(room), class_.__name__, None) is class_:
            return type_ if class_ is type(type_) else cast(Type, type_.adapt(class_))
    return type_


def _home(item: object) -> str:
    return type(item).__module__.partition(".")[0]


def _is_decorator(item: object) -> TypeGuard[Decorator]:
    return isinstance(item, sa.types.TypeDecorator)
