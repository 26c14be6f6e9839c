"""The options of an engine, completed for its back end and driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool, QueuePool, SingletonThreadPool, StaticPool

from flask_retort.config import Config
from flask_retort.engines import apply_defaults
from flask_retort.errors import ConfigurationError


def completed(url: str, folder: Path | None = None, **options: Any) -> dict[str, Any]:
    keys = {name: options.pop(name) for name in list(options) if name.isupper()}
    config = Config.from_mapping({"SQLALCHEMY_DATABASE_URI": url, **keys})
    options["url"] = config.SQLALCHEMY_DATABASE_URI
    apply_defaults(options, instance_path=str(folder) if folder else None, config=config)
    return options


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true&cache=shared"],
)
def test_memory_gets_one_connection_for_all_threads(url: str) -> None:
    """The documented options of a database in memory; no folder is made."""
    options = completed(url)
    assert options["poolclass"] is StaticPool
    assert options["connect_args"]["check_same_thread"] is False
    assert options["url"] == sa.make_url(url)


def test_memory_by_mode_is_not_a_path(tmp_path: Path) -> None:
    """A named database in memory keeps its name."""
    url = "sqlite:///file:shop?mode=memory&cache=shared&uri=true"
    assert completed(url, tmp_path)["url"] == sa.make_url(url)


def test_a_pool_the_user_chose_is_kept() -> None:
    """Another pool class for memory means what SQLAlchemy says it means."""
    options = completed("sqlite://", poolclass=SingletonThreadPool)
    assert options["poolclass"] is SingletonThreadPool
    assert "check_same_thread" not in options["connect_args"]


def test_a_shared_memory_connection_has_no_pool_size() -> None:
    """StaticPool can't be created with a size, which a common configuration may ask for."""
    options = completed("sqlite://", pool_size=5, RETORT_SQLITE={"memory": "shared"})
    assert "pool_size" not in options


def test_a_relative_path_lies_in_the_instance_folder(tmp_path: Path) -> None:
    """The instance folder is made, the file's own folder is the user's."""
    folder = tmp_path / "instance"
    assert completed("sqlite:///shop.db", folder)["url"].database == str(folder / "shop.db")
    assert folder.is_dir()


def test_a_relative_path_in_the_driver_s_form(tmp_path: Path) -> None:
    """``file:NAME`` with uri=true is a path too, and stays in that form."""
    url = completed("sqlite:///file:shop.db?uri=true&mode=ro", tmp_path)["url"]
    assert url.database == f"file:{tmp_path / 'shop.db'}"
    assert url.query["mode"] == "ro"


def test_an_absolute_path_is_untouched(tmp_path: Path) -> None:
    """Nothing is made for an absolute path."""
    folder = tmp_path / "instance"
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert completed(url, folder)["url"] == sa.make_url(url)
    assert not folder.exists()


def test_the_busy_timeout_is_the_driver_s_argument(tmp_path: Path) -> None:
    """20 seconds, unless the configuration, the URL or the options say otherwise."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert completed(url)["connect_args"]["timeout"] == 20
    assert completed(url, RETORT_SQLITE={"busy_timeout": 3})["connect_args"]["timeout"] == 3
    assert completed(url, connect_args={"timeout": 2})["connect_args"]["timeout"] == 2
    assert "timeout" not in completed(url + "?timeout=1").get("connect_args", {})


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
@pytest.mark.parametrize("driver", ["", "+pymysql", "+mysqldb"])
def test_mysql_defaults(scheme: str, driver: str) -> None:
    """Both schemes and all drivers: utf8mb4, two hours, ten seconds."""
    options = completed(f"{scheme}{driver}:///test")
    assert options["pool_recycle"] == 7200
    assert options["url"].query["charset"] == "utf8mb4"
    assert options["connect_args"]["connect_timeout"] == 10


def test_mysql_values_that_are_given_stay() -> None:
    """What is written in the URL or the options is not changed."""
    options = completed("mysql+pymysql:///test?charset=latin1&connect_timeout=3", pool_recycle=5)
    assert options["pool_recycle"] == 5
    assert options["url"].query["charset"] == "latin1"
    assert "connect_timeout" not in options["connect_args"]


def test_mysql_without_a_queue_is_not_recycled() -> None:
    """A pool that keeps nothing has nothing to recycle."""
    assert "pool_recycle" not in completed("mysql:///test", poolclass=NullPool)
    assert completed("mysql:///test", poolclass=QueuePool)["pool_recycle"] == 7200


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_postgresql_defaults(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds to connect, unless libpq's own variable says otherwise."""
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    url = f"postgresql+{driver}://h/d"
    assert completed(url)["connect_args"] == {"connect_timeout": 10}
    assert completed(url)["pool_recycle"] == 7200
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    assert completed(url)["connect_args"] == {}


def test_no_prepared_statements_behind_a_transaction_pooler() -> None:
    """psycopg 3 would find another client's statement under its name."""
    pooled: dict[str, Any] = {"RETORT_POOLER": "transaction"}
    assert (
        completed("postgresql+psycopg://h/d", **pooled)["connect_args"]["prepare_threshold"] is None
    )
    assert (
        "prepare_threshold" not in completed("postgresql+psycopg2://h/d", **pooled)["connect_args"]
    )
    assert "prepare_threshold" not in completed("postgresql+psycopg://h/d")["connect_args"]


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("postgres://u:hush@h/d", "write postgresql:// instead of postgres://"),
        ("postgresq://u:hush@h/d", "Did you mean postgresql://?"),
        ("mysql+pymsql://u:hush@h/d", "mysql+pymysql"),
        ("zzz://u:hush@h/d", "Known are sqlite"),
    ],
)
def test_an_unknown_dialect_is_answered_with_the_right_one(url: str, advice: str) -> None:
    """One sentence that names what to write, without the password."""
    with pytest.raises(ConfigurationError) as info:
        completed(url)
    assert advice in str(info.value)
    assert "hush" not in str(info.value)
