"""The settings of each environment."""

from __future__ import annotations

import pytest

from shop import create_app
from shop.config import Development, Production
from shop.errors import ShopError

URL = "postgresql+psycopg://shop:s3cret@127.0.0.1/shop"


@pytest.mark.parametrize("missing", ["SHOP_DATABASE_URL", "SHOP_SECRET_KEY"])
def test_production_needs_its_settings(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Production refuses to start without database URL or key, and names what is missing."""
    monkeypatch.setenv("SHOP_ENV", "production")
    monkeypatch.setenv("SHOP_DATABASE_URL", URL)
    monkeypatch.setenv("SHOP_SECRET_KEY", "k")
    monkeypatch.delenv(missing)
    with pytest.raises(ShopError, match=missing):
        create_app()


def test_production_takes_its_settings_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The URL and the key of production are those of the environment."""
    monkeypatch.setenv("SHOP_DATABASE_URL", URL)
    monkeypatch.setenv("SHOP_SECRET_KEY", "k")
    app = create_app(Production())
    assert app.config["SQLALCHEMY_DATABASE_URI"] == URL
    assert app.config["SECRET_KEY"] == "k"


def test_an_unknown_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """SHOP_ENV names one of two environments or none is started."""
    monkeypatch.setenv("SHOP_ENV", "prod")
    with pytest.raises(ShopError, match="'prod'"):
        create_app()


def test_no_key_is_built_in() -> None:
    """Two development starts have two secret keys."""
    assert Development().SECRET_KEY != Development().SECRET_KEY


def test_a_wrong_url_is_one_sentence_without_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that the extension refuses is an error for the operator that hides the password."""
    monkeypatch.setenv("SHOP_DATABASE_URL", URL.replace("postgresql", "postgrsql"))
    with pytest.raises(ShopError) as caught:
        create_app()
    assert "s3cret" not in str(caught.value)
