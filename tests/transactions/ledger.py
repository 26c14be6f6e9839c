"""The tables that the tests of transactions write to."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import flask
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from flask_retort import SQLAlchemy


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(30), unique=True)
    balance: Mapped[int] = mapped_column(default=0)
    entries: Mapped[list[Entry]] = relationship(cascade="all, delete-orphan", order_by="Entry.id")


class Entry(Base):
    __tablename__ = "entry"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey(Account.id))


class Note(Base):
    """Has a version, so that a stale write is noticed."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(sa.String(30))
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - the form of SQLAlchemy


@dataclass
class Ledger:
    """An application, and what its tables hold as another connection sees it."""

    app: flask.Flask
    db: SQLAlchemy[Any]

    def add(self, name: str) -> Account:
        """A new account in the session, not flushed."""
        account = Account(name=name)
        self.db.session.add(account)
        return account

    def names(self) -> list[str]:
        """The names that are committed."""
        with self.db.engine.connect() as connection:
            return sorted(connection.scalars(sa.select(Account.name)))

    def balance(self) -> int:
        """The first account's committed balance."""
        with self.db.engine.connect() as connection:
            return connection.scalars(sa.select(Account.balance).where(Account.id == 1)).one()


@contextmanager
def make_ledger(app: flask.Flask) -> Generator[Ledger]:
    """A context of the application, with new tables and the account "first" in them."""
    db = SQLAlchemy(app, model_class=Base)
    with app.app_context():
        db.create_all()
        db.session.add(Account(name="first", balance=200))
        db.session.commit()
        yield Ledger(app, db)
