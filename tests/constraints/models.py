"""Models with one constraint of each kind; attributes and columns have different names."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INT4RANGE, ExcludeConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_retort import SQLAlchemy


class Base(DeclarativeBase):
    """The base of the models of the matrix."""


db = SQLAlchemy(model_class=Base)


class Country(Base):
    """What accounts refer to."""

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Account(Base):
    """Named constraints and, where SQLAlchemy makes one by itself, unnamed ones."""

    __table_args__ = (
        sa.UniqueConstraint("shop", "number", name="uq_account_number"),
        sa.Index("ix_account_nick", "nick", unique=True),
        sa.CheckConstraint("age > 17", name="ck_account_age"),
        sa.ForeignKeyConstraint(["country_id"], ["country.id"], name="fk_account_country"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    mail: Mapped[str] = mapped_column("email", sa.String(20), unique=True)
    nick: Mapped[str | None] = mapped_column(sa.String(20))
    shop: Mapped[int] = mapped_column(default=1)
    number: Mapped[int | None]
    age: Mapped[int] = mapped_column(default=18)
    land: Mapped[int | None] = mapped_column("country_id")
    score: Mapped[Any] = mapped_column(sa.Integer, sa.CheckConstraint("score < 10"), default=0)
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own way


class Booking(Base):
    """Only PostgreSQL has what forbids two that overlap."""

    __table_args__ = (
        ExcludeConstraint(("nights", "&&"), name="ex_booking").ddl_if(dialect="postgresql"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    nights: Mapped[Any] = mapped_column(
        INT4RANGE().with_variant(sa.String(20), "sqlite", "mysql", "mariadb")
    )
