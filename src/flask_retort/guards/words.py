"""Names as a developer would write them, for the code that a guard's message proposes."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.orm import Mapper


def variable(model: type[Any]) -> str:
    """What one calls an object of the model: ``order_item`` for ``OrderItem``."""
    return _WORD.sub("_", model.__name__).lower()


def key_names(mapper: Mapper[Any]) -> list[str]:
    """The attributes of the primary key, in its order."""
    return [mapper.get_property_by_column(column).key for column in mapper.primary_key]


_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
