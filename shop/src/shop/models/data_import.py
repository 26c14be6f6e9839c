"""Data sets that were imported."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from shop.db import Base


class DataImport(Base):
    """A data set that is in the database, and since when; its name is unique: imported once."""

    __tablename__ = "data_imports"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    imported_at: Mapped[dt.datetime]
