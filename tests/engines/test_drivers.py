"""A driver that is not installed."""

from __future__ import annotations

import sys

import pytest

from flask_retort.errors import ConfigurationError

from .conftest import MakeEngine, need_driver


@pytest.mark.parametrize(
    ("url", "module", "advice"),
    [
        ("mysql://u:hush@h/d", "MySQLdb", ["pip install mysqlclient", "mysql+pymysql://"]),
        ("mariadb+pymysql://u:hush@h/d", "pymysql", ["pip install PyMySQL", "mariadb+mysqldb://"]),
        ("postgresql://u:hush@h/d", "psycopg", ["psycopg[binary]", "postgresql+psycopg2://"]),
        (
            "postgresql+psycopg2://u:hush@h/d",
            "psycopg2",
            ["pip install psycopg2-binary", "postgresql+psycopg://"],
        ),
    ],
)
def test_the_message_names_the_package_and_what_is_installed(
    engine_for: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    module: str,
    advice: list[str],
) -> None:
    """A driver that can't be imported: what to install, or which URL would work as it is."""
    need_driver(advice[1].partition("+")[2].removesuffix("://"))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError) as info:
        engine_for(url)
    text = str(info.value)
    assert all(part in text for part in advice)
    assert "hush" not in text
    assert isinstance(info.value.__cause__, ImportError)
