"""The shop's settings for development, testing and production."""

from __future__ import annotations

import os
import secrets

from sqlalchemy import URL

from shop.errors import ShopError


class Configuration:
    """What every environment sets; Flask reads the upper-case names."""

    TESTING = False
    SQLALCHEMY_RECORD_QUERIES = False
    MAX_CONTENT_LENGTH = 1_000_000

    def __init__(self, database_url: str | URL, secret_key: str) -> None:
        self.SQLALCHEMY_DATABASE_URI = database_url
        self.SECRET_KEY = secret_key


class Development(Configuration):
    """A SQLite file in the instance folder unless ``SHOP_DATABASE_URL`` names another database.

    Without ``SHOP_SECRET_KEY`` the key is drawn anew at each start.
    """

    def __init__(self) -> None:
        super().__init__(
            os.environ.get("SHOP_DATABASE_URL") or "sqlite:///shop.sqlite3",
            os.environ.get("SHOP_SECRET_KEY") or secrets.token_hex(32),
        )


class Testing(Configuration):
    """The database a test names, with every statement recorded."""

    TESTING = True
    SQLALCHEMY_RECORD_QUERIES = True

    def __init__(self, database_url: str | URL) -> None:
        super().__init__(database_url, secrets.token_hex(32))


class Production(Configuration):
    """``SHOP_DATABASE_URL`` and ``SHOP_SECRET_KEY``, both required."""

    def __init__(self) -> None:
        super().__init__(
            _required("SHOP_DATABASE_URL", "postgresql+psycopg://user:password@host/shop"),
            _required("SHOP_SECRET_KEY", "$(openssl rand -hex 32)"),
        )


def from_environment() -> Configuration:
    """The configuration that ``SHOP_ENV`` names.

    :raises ShopError: it names none, or one whose settings are incomplete.
    """
    name = os.environ.get("SHOP_ENV", "development")
    if name == "development":
        return Development()
    if name == "production":
        return Production()
    raise ShopError(f"SHOP_ENV is {name!r}; it can be 'development' or 'production'.")


def _required(name: str, example: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ShopError(
            f"{name} is not set, and production needs it. Set it, for example: {name}={example}"
        )
    return value
