"""``db`` and ``Base``: what every model and query of the shop stands on."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import MetaData, Numeric
from sqlalchemy.orm import DeclarativeBase

from flask_retort import SQLAlchemy
from shop.utc import UTCDateTime


class Base(DeclarativeBase):
    """The base of all models: every constraint has a name, money is exact, moments are UTC."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        Decimal: Numeric(10, 2),
        dt.datetime: UTCDateTime(),
    }


db = SQLAlchemy(model_class=Base)
