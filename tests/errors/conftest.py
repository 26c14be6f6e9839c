"""What SQLAlchemy would have raised."""

from __future__ import annotations

import pytest
from sqlalchemy import exc


@pytest.fixture
def driver_error() -> exc.OperationalError:
    return exc.OperationalError(
        "SELECT ?", (1,), ValueError("gone"), hide_parameters=True, connection_invalidated=True
    )
