"""Models in an import cycle with the module of ``db``. Checkers read this file before that one."""

from __future__ import annotations

from typing import assert_type

from cycle_extensions import Base, db
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship


class Author(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(back_populates="author", default_factory=list)


class Book(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"), init=False)
    author: Mapped[Author] = relationship(back_populates="books")


base: type[Base] = Author
assert_type(Book(author=Author(name="Ursula")).author, Author)
assert_type(Author(name="Ursula").books, list[Book])
assert_type(Author("Ursula").shared, int)
