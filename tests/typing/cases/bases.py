"""Every way to name ``db.Model`` that type checkers take for the base class it is."""

from __future__ import annotations

import contextlib
from typing import Final, Generic, TypeVar, assert_type

import cycle_extensions
import cycle_extensions as extensions
from cycle_extensions import Base, db
from cycle_extensions import db as renamed
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_retort import SQLAlchemy

T = TypeVar("T")


class Slug:
    slug: str = ""


class Imported(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class ImportedByAnotherName(renamed.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class OfAModule(cycle_extensions.db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class OfARenamedModule(extensions.db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class AfterMixin(Slug, db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class BeforeMixin(
    db.Model,
    Slug,
    kw_only=True,
):
    id: Mapped[int] = mapped_column(primary_key=True)


class OfAType(db.Model, Generic[T]):
    id: Mapped[int] = mapped_column(primary_key=True)


class WithObject(Slug, db.Model, object):  # noqa: UP004
    id: Mapped[int] = mapped_column(primary_key=True)


class Abstract(db.Model):
    __abstract__ = True


class Concrete(Abstract):
    id: Mapped[int] = mapped_column(primary_key=True)


assert_type(Imported(id=1).shared, int)
assert_type(ImportedByAnotherName(id=1).shared, int)
assert_type(OfAModule(id=1).shared, int)
assert_type(OfARenamedModule(id=1).shared, int)
assert_type(AfterMixin(id=1).shared, int)
assert_type(AfterMixin(id=1).slug, str)
assert_type(BeforeMixin(id=1).shared, int)
assert_type(BeforeMixin(id=1).slug, str)
assert_type(OfAType[int](id=1).shared, int)
assert_type(WithObject(id=1).shared, int)
assert_type(Concrete(id=1).shared, int)

bases: list[type[Base]] = [Imported, OfAModule, OfARenamedModule, AfterMixin, BeforeMixin, Concrete]


annotated: SQLAlchemy[Base] = SQLAlchemy(model_class=Base)
constant: Final = SQLAlchemy(model_class=Base)
first = second = SQLAlchemy(model_class=cycle_extensions.Base)
with contextlib.suppress(ImportError):
    guarded = SQLAlchemy(model_class=Base)


class Annotated(annotated.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class Constant(constant.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class Second(second.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class Holder:
    db = SQLAlchemy(model_class=Base)


class OfAClass(Holder.db.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class Extension(SQLAlchemy[Base]):
    """An application's own subclass with a base of its own."""


class GenericExtension(SQLAlchemy[T]):
    """An application's own subclass for any base."""


of_subclass = Extension(model_class=Base)
of_generic_subclass = GenericExtension(model_class=Base)


class OfSubclass(of_subclass.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


class OfGenericSubclass(of_generic_subclass.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


assert_type(Annotated(id=1).shared, int)
assert_type(Constant(id=1).shared, int)
assert_type(Second(id=1).shared, int)
assert_type(OfAClass(id=1).shared, int)
assert_type(OfSubclass(id=1).shared, int)
assert_type(OfGenericSubclass(id=1).shared, int)


def with_parameter(parameter: SQLAlchemy[Base]) -> None:
    class OfAParameter(parameter.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

    assert_type(OfAParameter(id=1).shared, int)


def in_a_function() -> None:
    local = SQLAlchemy(model_class=Base)

    class Local(local.Model):
        id: Mapped[int] = mapped_column(primary_key=True)

        class Inner(local.Model):
            id: Mapped[int] = mapped_column(primary_key=True)

    assert_type(Local(id=1).shared, int)
    assert_type(Local.Inner(id=1).shared, int)


class Service:
    def __init__(self, extension: SQLAlchemy[Base]) -> None:
        self.db = extension

    def shared(self) -> int:
        db: SQLAlchemy[Base] = self.db

        class OfAnAttribute(db.Model):
            id: Mapped[int] = mapped_column(primary_key=True)

        return OfAnAttribute(id=1).shared


class Plain(DeclarativeBase):
    """A base without dataclasses: the constructor takes any keyword."""


plain = SQLAlchemy(model_class=Plain)


class OfPlain(plain.Model):
    id: Mapped[int] = mapped_column(primary_key=True)


assert_type(OfPlain(id=1, anything=2).id, int)
