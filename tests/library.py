"""A small library, with every kind of statement that can be paged, and what pages must obey."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from flask_retort.pagination import SelectPagination


class Base(orm.DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    kind: orm.Mapped[str] = orm.mapped_column(sa.String(20), default="author")
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "author"}  # noqa: RUF012


class Book(Base):
    __tablename__ = "books"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("authors.id"))
    title: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


class Loan(Base):
    """A composite key."""

    __tablename__ = "loans"
    book_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("books.id"), primary_key=True)
    number: orm.Mapped[int] = orm.mapped_column(primary_key=True, autoincrement=False)
    stamps: orm.Mapped[list[Stamp]] = orm.relationship()


class Stamp(Base):
    __tablename__ = "stamps"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    book_id: orm.Mapped[int]
    number: orm.Mapped[int]
    day: orm.Mapped[int]
    __table_args__ = (
        sa.ForeignKeyConstraint(["book_id", "number"], ["loans.book_id", "loans.number"]),
    )


class Poet(Author):
    """Joined inheritance: a FROM of two tables that is still one entity."""

    __tablename__ = "poets"
    id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("authors.id"), primary_key=True)
    metre: orm.Mapped[str] = orm.mapped_column(sa.String(20))
    __mapper_args__ = {"polymorphic_identity": "poet"}  # noqa: RUF012


AUTHORS = 11


def fill(session: orm.Session) -> None:
    """Authors with 0 to 3 books, of names that come twice; each book lent and stamped."""
    for number in range(1, AUTHORS + 1):
        name = f"name {number % 5}"
        author = (
            Poet(id=number, name=name, metre="iamb") if number > 8 else Author(id=number, name=name)
        )
        author.books = [Book(title=f"title {copy}") for copy in range(number % 4)]
        session.add(author)
    session.flush()
    # The books are not in the order of their authors.
    session.add(Book(id=-1, author_id=AUTHORS, title="title 9"))
    session.flush()
    for book in session.scalars(sa.select(Book).order_by(Book.id)):
        for number in range(book.id % 3):
            stamps = [Stamp(day=day) for day in range(3)]
            session.add(Loan(book_id=book.id, number=number, stamps=stamps))
    session.commit()


def page_of(session: orm.Session, select: Any, **kwargs: Any) -> SelectPagination[Any]:
    return SelectPagination(select=select, session=session, **kwargs)


AnAuthor = orm.aliased(Author)

# Each select has a total order, by the key where the rest has ties.
BY_NAME = (Author.name, Author.id)
SELECTS: dict[str, Any] = {
    "entity": sa.select(Author).order_by(*BY_NAME),
    "alias": sa.select(AnAuthor).order_by(AnAuthor.name.desc(), AnAuthor.id),
    "inherited": sa.select(Poet).order_by(Poet.name, Poet.id),
    "composite": sa.select(Loan).order_by(Loan.number, Loan.book_id),
    "column": sa.select(Author.name).order_by(*BY_NAME),
    "two columns": sa.select(Author.id, Author.name).order_by(*BY_NAME),
    "two entities": sa.select(Author, Book).join(Book).order_by(Book.title, Book.id),
    "entity and column": sa.select(Author, Book.title).join(Book).order_by(Book.title, Book.id),
    "core": sa.select(Author.__table__).order_by(sa.text("name"), sa.text("id")),
    "distinct column": sa.select(Author.name).distinct().order_by(Author.name),
    "distinct entity": sa.select(Author).join(Book).distinct().order_by(*BY_NAME),
    "grouped": (
        sa.select(Author.name, sa.func.count().label("authors"))
        .group_by(Author.name)
        .having(sa.func.count() > 1)
        .order_by(sa.desc("authors"), Author.name)
    ),
    "union": sa.union(
        sa.select(Author.name.label("word")), sa.select(Book.title.label("word"))
    ).order_by("word"),
    "limited": sa.select(Author).order_by(*BY_NAME).limit(7).offset(2),
    "limited rows": sa.select(Author.id, Author.name).order_by(*BY_NAME).limit(7),
    "limited union": sa.union(
        sa.select(Author.name.label("word")), sa.select(Book.title.label("word"))
    )
    .order_by("word")
    .limit(5)
    .offset(1),
    "eager": sa.select(Author).options(orm.joinedload(Author.books)).order_by(*BY_NAME),
    "visible": (
        sa.select(Author)
        .options(orm.with_loader_criteria(Author, Author.id > 4))
        .order_by(*BY_NAME)
    ),
}

# Selects of one entity whose rows repeat it, with the key each parent has.
JOINED: dict[str, Any] = {
    "join": sa.select(Author).join(Book).order_by(*BY_NAME),
    "descending": sa.select(Author).join(Author.books).order_by(Book.title.desc(), Book.id),
    "outer": sa.select(Author).outerjoin(Book).order_by(Author.name.desc(), Author.id),
    "alias": sa.select(AnAuthor).join(AnAuthor.books).order_by(AnAuthor.name, AnAuthor.id),
    "from the other side": sa.select(Author).select_from(Book).join(Author).order_by(*BY_NAME),
    "by condition": sa.select(Author).where(Author.id == Book.author_id).order_by(*BY_NAME),
    "composite": sa.select(Loan).join(Loan.stamps).order_by(Loan.number, Loan.book_id),
    "inherited": sa.select(Poet).join(Poet.books).order_by(Poet.name, Poet.id),
    "order by text": sa.select(Author).join(Book).order_by(sa.desc("name"), "id"),
    "grouped": (
        sa.select(Author)
        .join(Book)
        .group_by(Author.id, Author.name)
        .having(sa.func.count() > 1)
        .order_by(sa.func.count().desc(), Author.id)
    ),
    "contains eager": (
        sa.select(Author)
        .join(Author.books)
        .options(orm.contains_eager(Author.books))
        .order_by(*BY_NAME)
    ),
    "limited": sa.select(Author).join(Book).order_by(Book.id.desc(), Author.id).limit(8).offset(1),
    "visible": (
        sa.select(Author)
        .join(Book)
        .options(orm.with_loader_criteria(Author, Author.id > 4))
        .order_by(*BY_NAME)
    ),
}


def shown(items: Any) -> list[Any]:
    """Comparable forms of items: objects by their keys, rows by their values."""

    def one(item: Any) -> Any:
        if isinstance(item, sa.Row):
            return tuple(one(value) for value in item)
        return sa.inspect(item).identity if isinstance(item, Base) else item

    return [one(item) for item in items]


def distinct(items: list[Any]) -> list[Any]:
    return list(dict.fromkeys(items))


def check_laws(session: orm.Session, select: Any, whole: list[Any], per_page: int) -> None:
    page = first = page_of(session, select, per_page=per_page, page=1)
    assert page.total == len(whole)
    forwards = [shown(page.items)]
    while page.has_next:
        page = page.next()
        forwards.append(shown(page.items))
    assert [item for items in forwards for item in items] == whole
    assert all(len(items) == per_page for items in forwards[:-1])
    assert page.page == max(first.pages, 1)
    backwards = [shown(page.items)]
    while page.has_prev:
        page = page.prev()
        backwards.append(shown(page.items))
    assert backwards[::-1] == forwards
