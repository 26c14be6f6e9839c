"""The pages of statements: laid end to end they are the whole, on each back end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc, orm
from sqlalchemy.dialects.postgresql import distinct_on
from tests.library import (
    AUTHORS,
    BY_NAME,
    JOINED,
    SELECTS,
    Author,
    Base,
    Book,
    Loan,
    check_laws,
    distinct,
    fill,
    page_of,
    shown,
)
from werkzeug.exceptions import NotFound

from flask_retort import RetortWarning, SQLAlchemy, _sa_compat, page_statements
from flask_retort.pagination import QueryPagination

HUGE = 10**30


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
    tied = sa.select(Author).select_from(Book).join(Author).order_by(Author.name)
    names = {author.id: author.name for author in session.scalars(tied).unique()}
    check_laws(session, tied, sorted(((key,) for key in names), key=lambda k: (names[k[0]], k)), 3)


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


def test_a_large_page_of_a_join_is_fetched_in_portions(disposed: Any) -> None:
    """A page of more parents than the driver takes parameters is whole."""
    engine = disposed(sa.create_engine("sqlite://"))

    @event.listens_for(engine, "connect")
    def take_few(connection: sqlite3.Connection, _: Any) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1100)

    Base.metadata.create_all(engine)
    numbers = range(1, 2501)
    with orm.Session(engine) as session:
        session.execute(sa.insert(Author), [{"id": number, "name": "x"} for number in numbers])
        books = [{"author_id": number, "title": "x"} for number in numbers]
        session.execute(sa.insert(Book), books)
        select = sa.select(Author).join(Book).order_by(Author.id.desc())
        page = page_of(session, select, per_page=len(numbers), max_per_page=None)
        assert [author.id for author in page.items] == list(reversed(numbers))


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


def test_postgresqls_distinct_on_keeps_its_rows(postgresql_url: sa.URL, disposed: Any) -> None:
    """The rows that ``DISTINCT ON`` picks by its order are the ones that are paged and counted."""
    engine = disposed(sa.create_engine(postgresql_url))
    Base.metadata.create_all(engine)
    joined = sa.select(Author).join(Book)
    with pytest.warns(exc.SADeprecationWarning):
        older = joined.distinct(Book.title)
    one_a_title = joined.ext(distinct_on(Book.title))
    one_a_name = sa.select(Author).ext(distinct_on(Author.name))
    selects = [
        older.order_by(Book.title, sa.func.abs(Book.id - 9), Author.id),
        one_a_title.order_by(Book.title, sa.func.abs(Book.id - 9), Author.id),
        one_a_title.order_by(Book.title, Book.id.desc()),  # one author for all titles
        one_a_name.order_by(Author.name, Author.id.desc()),
    ]
    with orm.Session(engine) as session:
        fill(session)
        parents = []
        for select in selects:
            whole = distinct(shown(session.scalars(select)))
            check_laws(session, select, whole, 1)
            parents.append(len(whole))
    assert parents[0] == parents[1] > 1
    assert parents[2] == 1


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


def test_a_sqlalchemy_without_a_private_name_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is imported all the same, and says which name is missing."""
    monkeypatch.setattr(_sa_compat, "_READ", (*_sa_compat._READ, "_no_such_name"))
    with pytest.warns(RetortWarning, match=r"has no _no_such_name.*\[retort:unknown-sqlalchemy\]"):
        _sa_compat._check()


@pytest.mark.parametrize(
    ("select", "seen"),
    [
        (sa.select(Author), True),
        (sa.select(Author).where(Author.name == "x", sa.func.lower(Author.name) != "y"), True),
        (sa.select(Author).where(sa.or_(Author.id > 1, Author.name.is_(None))), True),
        (sa.select(Author).where(Author.books.any()), False),
        (sa.select(Author).where(Author.id.in_(sa.select(Book.author_id))), False),
        (sa.select(Author).where(Author.id == Book.author_id), False),
        (sa.select(Author).join(Book), False),
        (sa.select(Author).select_from(Book), False),
    ],
)
def test_what_is_plainly_alone_is_alone(select: Any, seen: bool) -> None:
    """The quick look says yes only where the whole FROM is the entity."""
    assert page_statements._is_plainly_alone(select, Author) is seen
    assert not (seen and page_statements._has_more_froms(select, Author))
