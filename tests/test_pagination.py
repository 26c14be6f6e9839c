"""Which items a page has, what they add up to, and what a page answers to wrong numbers."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, exc, orm
from sqlalchemy.dialects.postgresql import distinct_on
from werkzeug.exceptions import NotFound

from flask_retort import RetortWarning, SQLAlchemy
from flask_retort.pagination import Pagination, QueryPagination, SelectPagination

HUGE = 10**30


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
    for book in session.scalars(sa.select(Book).order_by(Book.id)):
        for number in range(book.id % 3):
            stamps = [Stamp(day=day) for day in range(3)]
            session.add(Loan(book_id=book.id, number=number, stamps=stamps))
    session.commit()


@pytest.fixture
def session(database_url: sa.URL, disposed: Any) -> Iterator[orm.Session]:
    """A session on each back end, with rows."""
    engine: sa.Engine = disposed(sa.create_engine(database_url))
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        fill(session)
        yield session


@pytest.fixture
def statements(session: orm.Session) -> list[str]:
    """The statements executed since the fixture was made."""
    executed: list[str] = []

    @event.listens_for(session.get_bind(), "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        executed.append(statement)

    return executed


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


# --- laws ---------------------------------------------------------------------


def test_pages_end_to_end_are_the_whole(session: orm.Session, subtests: pytest.Subtests) -> None:
    """At every page size, forwards and backwards, the pages together are the statement's result."""
    for kind, select in SELECTS.items():
        with subtests.test(kind):
            result: Any = session.execute(select)
            rows = shown(result.unique() if kind == "eager" else result)
            whole = [row[0] if len(row) == 1 else row for row in rows]
            assert whole
            for per_page in (1, 2, 3, 5, len(whole), 50):
                check_laws(session, select, whole, per_page)


def test_pages_of_a_join_are_pages_of_parents(
    session: orm.Session, subtests: pytest.Subtests
) -> None:
    """A page over a join has distinct parents, in the order of their first rows, all counted."""
    for kind, select in JOINED.items():
        with subtests.test(kind):
            result: Any = session.scalars(select)
            whole = distinct(shown(result.unique() if kind == "contains eager" else result))
            assert whole
            for per_page in (1, 2, 3, len(whole), 50):
                check_laws(session, select, whole, per_page)


def test_pages_of_a_query_follow_the_same_laws(
    session: orm.Session, subtests: pytest.Subtests
) -> None:
    """The legacy ``Query`` has the pages that the select with the same parts has."""
    queries: dict[str, Any] = {
        "join": session.query(Author).join(Book).order_by(*BY_NAME),
        "composite": session.query(Loan).order_by(Loan.number, Loan.book_id),
        "contains eager": session.query(Author)
        .join(Author.books)
        .options(orm.contains_eager(Author.books))
        .order_by(*BY_NAME),
        "limited": session.query(Author).order_by(*BY_NAME).limit(7).offset(2),
    }
    for kind, query in queries.items():
        with subtests.test(kind):
            whole = distinct(shown(query.all()))
            page = QueryPagination[Any](query=query, per_page=3)
            assert page.total == len(whole)
            together = shown(page.items)
            while page.has_next:
                page = page.next()
                together += shown(page.items)
            assert together == whole


def test_ties_of_a_join_are_broken_by_the_key(session: orm.Session) -> None:
    """Over a join, parents that the order does not tell apart follow their keys."""
    tied = sa.select(Author).join(Book).order_by(Author.name)
    names = {author.id: author.name for author in session.scalars(tied).unique()}
    check_laws(session, tied, sorted(((key,) for key in names), key=lambda k: (names[k[0]], k)), 2)


class Letters(Pagination[int]):
    """Pages of numbers, without a database."""

    def _query_items(self) -> list[int]:
        whole = range(self._query_args["length"])
        return list(whole[self._query_offset : self._query_offset + self.per_page])

    def _query_count(self) -> int:
        return int(self._query_args["length"])


@given(length=st.integers(0, 60), per_page=st.integers(1, 20), start=st.integers(1, 30))
def test_numbers_agree_with_the_items(length: int, per_page: int, start: int) -> None:
    """``first``, ``last``, ``pages`` and the numbers of the neighbours agree with the items."""
    page = Letters(start, per_page, error_out=False, length=length)
    if page.items:
        assert [page.first, page.last] == [page.items[0] + 1, page.items[-1] + 1]
    else:
        assert (page.first, page.last) == (0, 0)
    assert (page.pages - 1) * per_page < max(length, 1) or length == 0
    assert page.pages * per_page >= length
    assert page.has_next == (page.next_num is not None) == (start < page.pages)
    assert page.has_prev == (page.prev_num is not None) == (start > 1)
    assert list(page) == page.items


@given(
    length=st.integers(0, 60),
    page=st.integers(1, 40),
    edges=st.tuples(*[st.integers(0, 5)] * 4),
)
def test_links_are_the_edges_and_the_neighbours(
    length: int, page: int, edges: tuple[int, int, int, int]
) -> None:
    """``iter_pages`` gives each page at an edge or near the current one, and None for each gap."""
    left_edge, left, right, right_edge = edges
    links = list(
        Letters(page, 1, error_out=False, length=length).iter_pages(
            left_edge=left_edge, left_current=left, right_current=right, right_edge=right_edge
        )
    )
    wanted = [
        number
        for number in range(1, length + 1)
        if number <= left_edge
        or page - left <= number <= page + right
        or number > length - right_edge
    ]
    assert [number for number in links if number is not None] == wanted
    runs = [0, *links, length + 1]
    for one, other in itertools.pairwise(runs):
        if one is not None and other is not None:
            assert other == one + 1
        else:
            assert one is not None or other is not None


# --- what items are -----------------------------------------------------------


def test_items_have_the_shape_of_the_select(session: orm.Session) -> None:
    """One entity gives objects, one column values, several columns rows."""
    objects = page_of(session, SELECTS["entity"]).items
    values = page_of(session, SELECTS["column"]).items
    rows = page_of(session, SELECTS["two columns"]).items
    assert all(isinstance(item, Author) for item in objects)
    assert all(isinstance(item, str) for item in values)
    assert len(values) == AUTHORS  # equal values are not made one
    assert all(item.id and item.name for item in rows)


def test_the_shape_can_be_forced(session: orm.Session) -> None:
    """``scalars`` gives rows of one object, or the first values of rows, on every page."""
    rows = page_of(session, SELECTS["entity"], scalars=False, per_page=2)
    assert shown(rows.next().items) == [
        (key,) for key in shown(page_of(session, SELECTS["entity"], per_page=2, page=2).items)
    ]
    firsts = page_of(session, SELECTS["two columns"], scalars=True, per_page=2)
    assert all(isinstance(item, int) for item in firsts.next().items)
    joined = page_of(session, JOINED["join"], scalars=False, per_page=2)
    assert [len(row) for row in joined.next().items] == [1, 1]


def test_a_join_keeps_its_options(session: orm.Session) -> None:
    """``contains_eager`` over a join fills the collections of the page's objects completely."""
    page = page_of(session, JOINED["contains eager"], per_page=3)
    session.expire_all()
    page = page.next()
    loaded = {author.id: len(author.__dict__["books"]) for author in page.items}
    session.expire_all()
    assert loaded == {author.id: len(author.books) for author in page.items}


def test_a_large_page_of_a_join_is_fetched_in_portions(database_url: sa.URL, disposed: Any) -> None:
    """A page of more parents than a driver takes parameters is whole."""
    engine = disposed(sa.create_engine(database_url))
    Base.metadata.create_all(engine)
    many = 2100
    with orm.Session(engine) as session:
        session.execute(sa.insert(Author), [{"id": n, "name": "x"} for n in range(1, many + 1)])
        session.execute(
            sa.insert(Book), [{"author_id": n % many + 1, "title": "x"} for n in range(2 * many)]
        )
        select = sa.select(Author).join(Book).order_by(Author.id.desc())
        page = page_of(session, select, per_page=many, max_per_page=None)
    assert [author.id for author in page.items] == list(range(many, 0, -1))
    assert page.total == many


# --- what a page costs --------------------------------------------------------


def test_statements_of_a_page(session: orm.Session, statements: list[str]) -> None:
    """A page costs one statement, a join one more, the total one; turning it costs no total."""
    for select, count, cost in (
        (SELECTS["entity"], True, 2),
        (SELECTS["entity"], False, 1),
        (SELECTS["inherited"], False, 1),
        (SELECTS["distinct entity"], False, 1),
        (SELECTS["eager"], True, 2),
        (JOINED["join"], True, 3),
        (JOINED["join"], False, 2),
    ):
        statements.clear()
        page = page_of(session, select, per_page=3, count=count)
        assert len(statements) == cost
        page.next()
        assert len(statements) == cost + cost - count


def test_the_count_selects_keys_only(session: orm.Session, statements: list[str]) -> None:
    """The total of a model's select is counted without its other columns, order and eager loads."""
    for kind in ("entity", "eager", "inherited"):
        page_of(session, SELECTS[kind])
        count = statements[-1]
        assert "count(*)" in count
        assert "name" not in count
        assert "ORDER BY" not in count
        assert "books" not in count


def test_a_page_behind_its_own_limit_costs_nothing(
    session: orm.Session, statements: list[str]
) -> None:
    """A page after the rows that the statement's own limit allows needs no statement."""
    page = page_of(session, SELECTS["limited"], page=4, per_page=3, error_out=False, count=False)
    assert page.items == statements == []


def test_a_limit_that_is_an_expression_is_refused(session: orm.Session) -> None:
    """A limit that cannot be read is an error that says what to write, not a wrong page."""
    with pytest.raises(TypeError, match="Give limit\\(\\) and offset\\(\\) numbers"):
        page_of(session, sa.select(Author).limit(sa.literal(2) + 1))


def test_settings_of_the_statement_reach_all_statements(session: orm.Session) -> None:
    """Execution options, such as a tenant's schema map, apply to keys, items and total."""
    seen: list[Any] = []

    @event.listens_for(session, "do_orm_execute")
    def note(state: orm.ORMExecuteState) -> None:
        seen.append(state.execution_options.get("tenant"))

    page_of(session, JOINED["join"].execution_options(tenant="a"), per_page=2)
    assert seen == ["a", "a", "a"]


# --- numbers from the request -------------------------------------------------


@pytest.fixture
def ask(app: Flask) -> Callable[..., Pagination[int]]:
    """Makes a page of 500 numbers in a request with this query string."""

    def ask(query: str, **kwargs: Any) -> Pagination[int]:
        with app.test_request_context(f"/?{query}"):
            return Letters(length=500, **kwargs)

    return ask


@pytest.mark.parametrize("query", ["", "page=1", "per_page=20", "page=1&per_page=20", "page=01"])
def test_the_default_is_page_1_of_20(ask: Any, query: str) -> None:
    """What a request leaves out is page 1, 20 items."""
    page = ask(query)
    assert (page.page, page.per_page, page.total) == (1, 20, 500)


def test_arguments_win_over_the_request(ask: Any) -> None:
    """A request cannot change what the call gives."""
    page = ask("page=9&per_page=9", page=2, per_page=3)
    assert (page.page, page.per_page) == (2, 3)


def test_a_page_without_request_has_the_defaults() -> None:
    """Outside a request and an application a page is as large, and has the same limit."""
    page = Letters(length=500)
    assert (page.page, page.per_page, page.max_per_page) == (1, 20, 100)


BAD = ["abc", "0", "-1", "", "1.5", "9" * 5000, "%00"]


@pytest.mark.parametrize("value", [*BAD, str(HUGE)])
@pytest.mark.parametrize("name", ["page", "per_page"])
def test_a_wrong_number_is_404_or_the_default(ask: Any, name: str, value: str) -> None:
    """What is not a positive number of a size that a database takes is never used."""
    # Too large for a database only where no limit makes it small.
    kwargs = {"max_per_page": None} if value == str(HUGE) else {}
    with pytest.raises(NotFound):
        ask(f"{name}={value}", **kwargs)
    page = ask(f"{name}={value}", error_out=False, **kwargs)
    assert (page.page, page.per_page) == (1, 20)


def test_an_empty_page_is_404_but_the_first(ask: Any) -> None:
    """A page after the last is 404, or has no items; the first page may have none."""
    with pytest.raises(NotFound):
        ask("page=26")
    assert ask("page=26", error_out=False).items == []
    assert Letters(length=0).items == []


def test_a_huge_page_number_is_no_error_of_the_database(
    session: orm.Session, subtests: pytest.Subtests
) -> None:
    """Any page number gives 404, or items of page 1 or none, on all back ends."""
    selects = [SELECTS["entity"], SELECTS["limited"], SELECTS["union"], JOINED["join"]]
    shifted = SELECTS["entity"].offset(2**63 - 1)
    for page in (10**6, 10**15, (2**63 - 1) // 20, 2**63 // 20 + 1, HUGE):
        for select in [*selects, shifted]:
            with subtests.test(page=page, select=str(select)):
                with pytest.raises(NotFound):
                    page_of(session, select, page=page)
                found = page_of(session, select, page=page, error_out=False)
                assert found.page == (page if page * 20 < 2**63 else 1)
                assert bool(found.items) is (found.page == 1 and select is not shifted)


# --- the most items -----------------------------------------------------------


def test_a_request_cannot_ask_for_all_rows(ask: Any) -> None:
    """Without further words a page has at most 100 items, whatever the request asks for."""
    assert len(ask("per_page=100000").items) == 100
    assert len(ask("per_page=100").items) == 100


def test_the_limit_is_the_calls(ask: Any) -> None:
    """``max_per_page`` replaces the limit; None lifts it."""
    assert len(ask("per_page=300", max_per_page=50).items) == 50
    assert len(ask("per_page=300", max_per_page=200).items) == 200
    assert len(ask("per_page=300", max_per_page=None).items) == 300


def test_the_limit_can_be_configured(app: Flask, ask: Any) -> None:
    """``RETORT_MAX_PER_PAGE`` of the current application is the default; None lifts it."""
    app.config["RETORT_MAX_PER_PAGE"] = 7
    assert len(ask("").items) == 7
    app.config["RETORT_MAX_PER_PAGE"] = None
    assert len(ask("per_page=300").items) == 300


def test_a_limit_below_one_is_refused() -> None:
    """A limit that allows no page is the programmer's mistake."""
    with pytest.raises(ValueError, match="max_per_page is 0"):
        Letters(length=5, max_per_page=0)


def test_a_call_that_is_cut_is_warned() -> None:
    """A ``per_page`` in the code above the default limit is cut, with a warning at its own line."""
    with pytest.warns(RetortWarning, match="per_page=500, max_per_page=500") as caught:
        page = Letters(length=500, per_page=500)
    assert len(page.items) == 100
    assert str(caught[0].message).endswith("[retort:per-page-cut]")
    assert caught[0].filename == __file__


def test_a_call_that_says_so_is_not_warned(ask: Any) -> None:
    """Neither a request nor a call with its own limit is worth a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask("per_page=500")
        assert len(ask("", per_page=500, max_per_page=500).items) == 500
        assert len(ask("", per_page=500, max_per_page=None).items) == 500
        assert len(ask("", per_page=500, max_per_page=50).items) == 50
        Letters(length=500, per_page=100).next()


@pytest.mark.parametrize("limit", [None, 250])
def test_turning_a_page_keeps_everything(limit: int | None) -> None:
    """The next and previous pages have the size, limit, total and arguments of this one."""
    page = Letters(2, 200, limit, length=500)
    there = page.next().prev()
    assert there.items == page.items == list(range(200, 400))
    assert vars(there) == vars(page)
    assert page.prev().items == list(range(200))


def test_turning_beyond_the_ends() -> None:
    """Before the first page is the first, after the last is an empty one; or 404 if asked."""
    page = Letters(1, 20, length=20)
    assert page.prev().page == 1
    assert page.next().items == []
    with pytest.raises(NotFound):
        page.prev(error_out=True)
    with pytest.raises(NotFound):
        page.next(error_out=True)


def test_a_page_without_count_knows_no_total() -> None:
    """``count=False`` leaves total, number of pages and next page unknown."""
    page = Letters(2, 20, count=False, length=500)
    assert (page.total, page.pages, page.has_next, page.next_num) == (None, 0, False, None)
    assert list(page.iter_pages()) == []
    assert page.has_prev
    assert page.next().items == list(range(40, 60))


def test_a_subclass_has_to_say_what_its_items_are() -> None:
    """``Pagination`` itself has nothing to show."""
    with pytest.raises(NotImplementedError):
        Pagination[int]()


def test_postgresqls_distinct_on_keeps_its_rows(postgresql_url: sa.URL, disposed: Any) -> None:
    """The rows that ``DISTINCT ON`` picks by its order are the ones that are paged and counted."""
    engine = disposed(sa.create_engine(postgresql_url))
    Base.metadata.create_all(engine)
    first_books = (
        sa.select(Author)
        .join(Book)
        .ext(distinct_on(Book.title))
        .order_by(Book.title, sa.func.abs(Book.id - 9), Author.id)
    )
    first_of_name = (
        sa.select(Author).ext(distinct_on(Author.name)).order_by(Author.name, Author.id.desc())
    )
    with orm.Session(engine) as session:
        fill(session)
        with pytest.warns(exc.SADeprecationWarning):
            older = sa.select(Author).join(Book).distinct(Book.title)
        older = older.order_by(Book.title, sa.func.abs(Book.id - 9), Author.id)
        for select in (first_books, first_of_name, older):
            whole = distinct(shown(session.scalars(select)))
            assert len(whole) > 1
            check_laws(session, select, whole, 1)


def test_fetch_is_a_limit(postgresql_url: sa.URL, disposed: Any) -> None:
    """``fetch()`` limits pages like ``limit()``; what it fetches by the rows' values is refused."""
    engine = disposed(sa.create_engine(postgresql_url))
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        fill(session)
        select = sa.select(Author).order_by(Author.id)
        check_laws(session, select.fetch(5), [(key,) for key in range(1, 6)], 2)
        with pytest.raises(TypeError, match="WITH TIES"):
            page_of(session, select.fetch(5, with_ties=True))


def test_pages_of_another_database(make_app: Any, database_url: sa.URL) -> None:
    """Keys, items and total of a model with a bind key are all read from its own database."""
    app = make_app(SQLALCHEMY_DATABASE_URI="sqlite://", SQLALCHEMY_BINDS={"other": database_url})
    db: SQLAlchemy[Any] = SQLAlchemy(app)
    parents = db.Table("parents", sa.Column("id", sa.Integer, primary_key=True), bind_key="other")
    children = db.Table(
        "children",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("parent_id", sa.ForeignKey("parents.id")),
        bind_key="other",
    )

    class Child(db.Model):  # type: ignore[name-defined, misc]
        __table__ = children

    class Parent(db.Model):  # type: ignore[name-defined, misc]
        __table__ = parents
        children = db.relationship(Child, lazy="dynamic")

    with app.app_context():
        db.create_all("other")
        db.session.add_all(Parent(id=n, children=[Child(), Child()]) for n in range(1, 6))
        db.session.commit()
        joined = sa.select(Parent).join(Child).order_by(Parent.id.desc())
        page = db.paginate(joined, per_page=2).next()
        assert ([parent.id for parent in page], page.total) == ([3, 2], 5)
        query = Parent.query.join(Child).order_by(Parent.id).paginate(per_page=2, page=3)
        assert ([parent.id for parent in query], query.total) == ([5], 5)
        few = db.session.get_one(Parent, 1).children.order_by(Child.id).paginate(per_page=1, page=2)
        assert (len(few.items), few.total) == (1, 2)
        union = sa.union(sa.select(parents.c.id), sa.select(children.c.id)).order_by("id")
        assert db.paginate(union, per_page=4, page=2).items == [5, 6, 7, 8]
