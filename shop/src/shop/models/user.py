"""Users and their profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from shop.db import Base

if TYPE_CHECKING:
    from shop.models.order import Order


class User(Base):
    """Someone who can buy. User name and e-mail are unique and kept in lower case.

    Lower case, because MariaDB's default collation takes ``Ann`` and ``ann`` for equal and the
    other back ends do not.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("email = lower(email)", name="email_lower_case"),
        CheckConstraint("user_name = lower(user_name)", name="user_name_lower_case"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    user_name: Mapped[str] = mapped_column(String(64), unique=True)
    active: Mapped[bool] = mapped_column(default=True)

    profile: Mapped[Profile | None] = relationship(
        back_populates="user", cascade="all, delete-orphan", passive_deletes=True
    )
    orders: Mapped[list[Order]] = relationship(back_populates="user", passive_deletes="all")

    @validates("email", "user_name")
    def _in_lower_case(self, _key: str, value: str) -> str:
        return value.lower()


class Profile(Base):
    """What a user tells about themselves; a user has at most one."""

    __tablename__ = "profiles"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    full_name: Mapped[str] = mapped_column(String(200))

    user: Mapped[User] = relationship(back_populates="profile")
