"""What checkers infer for each public method of ``db``, and what they have to refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import flask
import sqlalchemy as sa
from cycle_extensions import Base
from sqlalchemy import insert, select, text, union
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session

from flask_retort import SQLAlchemy, install_as_flask_sqlalchemy
from flask_retort.pagination import SelectPagination
from flask_retort.query import Query
from flask_retort.session import Session
from flask_retort.table import Table

db = SQLAlchemy(model_class=Base)


class User(db.Model):
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    nickname: Mapped[str | None] = mapped_column(default=None)
    friend: Mapped[User] = db.relationship(init=False)


# --- the object ---

assert_type(db, SQLAlchemy[Base])
assert_type(db.Model, type[Base])
assert_type(db.Query, type[Query[Any]])
assert_type(db.Table, type[Table])
assert_type(db.metadata, sa.MetaData)
assert_type(db.metadatas, dict[str | None, sa.MetaData])
assert_type(db.engine, sa.Engine)
assert_type(db.engines, dict[str | None, sa.Engine])
assert_type(db.get_engine("archive"), sa.Engine)
db.init_app(flask.Flask("app"))
db.create_all()
db.create_all("archive")
db.drop_all([None, "archive"])
db.reflect(None)
install_as_flask_sqlalchemy()


def takes_any_base(extension: SQLAlchemy) -> None: ...
def takes_a_wider_base(extension: SQLAlchemy[DeclarativeBase]) -> None: ...


takes_any_base(db)
takes_any_base(SQLAlchemy())
takes_a_wider_base(db)

# --- the session ---

assert_type(db.session, scoped_session[Session])
assert_type(db.session(), Session)
assert_type(db.session.get(User, 1), User | None)
assert_type(db.session.scalars(select(User)).all(), Sequence[User])
assert_type(db.session.scalars(select(User.nickname)).first(), str | None)
assert_type(db.session.execute(select(User.id, User.name)).one(), sa.Row[int, str])

# --- answers for views ---

assert_type(db.get_or_404(User, 1), User)
assert_type(db.get_or_404(User, (1, 2), description="none", with_for_update=True), User)
assert_type(db.first_or_404(select(User)), User)
assert_type(db.first_or_404(select(User.name, User.id)), str)
assert_type(db.first_or_404(select(User.nickname)), str)
assert_type(db.first_or_404(text("SELECT 1")), Any)
assert_type(db.one_or_404(select(User), description="none"), User)
assert_type(db.one_or_404(select(User.name, User.id)), str)
assert_type(db.one_or_404(select(User.nickname)), str | None)
assert_type(db.one_or_404(union(select(User.id), select(User.id))), int)
assert_type(db.one_or_404(insert(User).returning(User)), User)
assert_type(db.one_or_404(text("SELECT 1")), Any)

# --- pages ---

page = db.paginate(select(User).where(User.name == "Ada").order_by(User.id), page=2, per_page=5)
assert_type(page, SelectPagination[User])
assert_type(page.items, list[User])
assert_type(page.total, int | None)
assert_type(page.pages, int)
assert_type(page.has_next, bool)
assert_type(page.next_num, int | None)
assert_type(page.next(), SelectPagination[User])
assert_type(page.prev(error_out=True).items, list[User])
assert_type(list(page.iter_pages()), list[int | None])
assert_type(list(page), list[User])
assert_type(db.paginate(select(User.name)).items, list[str])
assert_type(db.paginate(select(User.id, User.name)).items, list[sa.Row[int, str]])


def page_of_anything(statement: sa.Select[Any]) -> list[Any]:
    return db.paginate(statement, max_per_page=None, count=False, error_out=False).items


# --- what has to be refused ---

User()  # reported: call-arg | reportCallIssue
User(name=1)  # reported: arg-type | reportArgumentType
User(nme="Ada")  # reported: call-arg | reportCallIssue
User("Ada", id=1)  # reported: call-arg | reportCallIssue
User("Ada").nme  # reported: attr-defined | reportAttributeAccessIssue reportUnknownMemberType
User("Ada").name = 1  # reported: assignment | reportAttributeAccessIssue
db.get_or_404(User, 1).nme  # reported: attr-defined | reportAttributeAccessIssue reportUnknownMemberType
db.paginate(select(User)).items[0].nme  # reported: attr-defined | reportAttributeAccessIssue reportUnknownMemberType
db.paginate(select(User), 2)  # reported: call-overload | reportCallIssue
db.paginate(User)  # reported: call-overload | reportArgumentType reportCallIssue
db.get_or_404("User", 1)  # reported: arg-type | reportArgumentType
db.session.scalars(select(User)).one().nme  # reported: attr-defined | reportAttributeAccessIssue reportUnknownMemberType
SQLAlchemy(base=Base)  # reported: call-overload | reportCallIssue
SQLAlchemy(model_class=1)  # reported: call-overload | reportArgumentType
strings: list[str] = db.paginate(select(User)).items  # reported: assignment | reportAssignmentType


class NoOrder(db.Model, User): ...  # reported: misc | reportGeneralTypeIssues
