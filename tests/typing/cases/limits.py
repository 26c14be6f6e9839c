"""Bases that mypy can't follow: the type-checking guide says what to write instead."""

from __future__ import annotations

from cycle_extensions import Base

from flask_retort import SQLAlchemy


def make() -> SQLAlchemy[Base]:
    return SQLAlchemy(model_class=Base)


made = make()
subscripted = SQLAlchemy[Base](model_class=Base)
Model = made.Model


class OfACallsResult(made.Model): ...  # reported: misc name-defined |


class OfASubscript(subscripted.Model): ...  # reported: misc name-defined |


class OfAnAlias(Model): ...  # reported: misc valid-type |


class Container:
    def __init__(self) -> None:
        self.db = make()

    def model(self) -> type[Base]:
        class OfSelf(self.db.Model): ...  # reported: misc name-defined |

        return OfSelf
