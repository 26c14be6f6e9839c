"""The database layer of a Flask application in one piece."""

from __future__ import annotations

from .compat import install_as_flask_sqlalchemy
from .errors import RetortWarning
from .extension import SQLAlchemy

__all__ = ["RetortWarning", "SQLAlchemy", "install_as_flask_sqlalchemy"]

__version__ = "0.1.0"
