"""Names in the code that messages propose."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_retort.guards import words


class Base(DeclarativeBase):
    pass


class OrderItem(Base):
    __tablename__ = "shop_order_items"

    order: Mapped[int] = mapped_column("order_no", primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)


@pytest.mark.parametrize(
    ("model", "name"),
    [("Product", "product"), ("OrderItem", "order_item"), ("HTTPLog", "http_log")],
)
def test_an_object_is_called_after_its_model(model: str, name: str) -> None:
    """In the way that Python writes variables, whatever the table is called."""
    assert words.variable(type(model, (), {})) == name


def test_the_key_s_attributes_are_named() -> None:
    """Not its columns."""
    assert words.key_names(sa.inspect(OrderItem)) == ["order", "line"]
