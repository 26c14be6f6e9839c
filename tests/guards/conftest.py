"""What the guards' tests share: a shop whose guards raise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .collection import Shop, new_shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    """The collection's shop; a guard that finds something raises."""
    with new_shop(RETORT_GUARDS="raise") as shop:
        yield shop
