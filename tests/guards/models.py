"""The tables of the programs: a small shop with a blog, as its developers would write it."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from flask_retort import SQLAlchemy


class Base(DeclarativeBase):
    """Every table has a number as its key."""

    id: Mapped[int] = mapped_column(primary_key=True)


db = SQLAlchemy(model_class=Base)


class User(db.Model):
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    logins: Mapped[int] = mapped_column(default=0)
    profile: Mapped[Profile | None] = relationship(back_populates="user")
    posts: Mapped[list[Post]] = relationship(back_populates="author")
    orders: Mapped[list[Order]] = relationship(back_populates="user")


class Profile(db.Model):
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), unique=True)
    bio: Mapped[str] = mapped_column(default="")
    settings: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    user: Mapped[User] = relationship(back_populates="profile")


post_tags = db.Table(
    "post_tags",
    sa.Column("post_id", sa.ForeignKey("post.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tag.id"), primary_key=True),
)


class Post(db.Model):
    author_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    title: Mapped[str]
    body: Mapped[str] = mapped_column(sa.Text, default="")
    views: Mapped[int] = mapped_column(default=0)
    author: Mapped[User] = relationship(back_populates="posts")
    tags: Mapped[list[Tag]] = relationship(secondary=post_tags, back_populates="posts")


class Tag(db.Model):
    name: Mapped[str] = mapped_column(unique=True)
    posts: Mapped[list[Post]] = relationship(secondary=post_tags, back_populates="tags")


class Product(db.Model):
    sku: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), default=Decimal("1.00"))
    stock: Mapped[int] = mapped_column(default=0)
    views: Mapped[int] = mapped_column(default=0)


class VersionedProduct(db.Model):
    """Its changes are protected by a version."""

    sku: Mapped[str] = mapped_column(unique=True)
    stock: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's form


class OrderStatus(enum.Enum):
    NEW = "new"
    PAID = "paid"
    CANCELLED = "cancelled"


class Order(db.Model):
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    status: Mapped[OrderStatus] = mapped_column(default=OrderStatus.NEW)
    total: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), default=Decimal(0))
    user: Mapped[User] = relationship(back_populates="orders")
    items: Mapped[list[OrderItem]] = relationship(
        back_populates="order", cascade="all, delete-orphan"
    )


class OrderItem(db.Model):
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"))
    quantity: Mapped[int] = mapped_column(default=1)
    order: Mapped[Order] = relationship(back_populates="items")
    product: Mapped[Product] = relationship()


class Account(db.Model):
    owner_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    balance: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2), default=Decimal(0))
    owner: Mapped[User] = relationship()


def fill(session: Session) -> None:
    """Users 1 and 2 with a profile, two posts and an account each; products 1 to 3; order 1."""
    for number, name in enumerate(("ada", "bob"), start=1):
        user = User(id=number, name=name, email=f"{name}@example.com")
        user.profile = Profile(bio=f"I am {name}.")
        user.posts = [Post(title=f"{name} on {topic}") for topic in ("tea", "rain")]
        session.add_all([user, Account(owner=user, balance=Decimal(100))])
    session.add_all([Tag(name="news"), Tag(name="old")])
    products = [
        Product(id=number, sku=f"P{number}", name=name, price=Decimal(number), stock=10)
        for number, name in enumerate(("cup", "pot", "tray"), start=1)
    ]
    items = [OrderItem(product=product, quantity=1) for product in products]
    session.add_all([*products, VersionedProduct(sku="V1", stock=10)])
    session.add(Order(user_id=1, items=items, total=Decimal(6)))
    session.commit()
