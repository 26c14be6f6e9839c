"""Configuration keys: precedence, checks, and what is said about mistakes."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from flask_retort.checks import masked
from flask_retort.config import REMOVED, Config, report_unknown_keys
from flask_retort.config_sections import MySQLConfig, SQLiteConfig
from flask_retort.errors import ConfigurationError, RetortWarning

URL = "postgresql+psycopg://shop:hush%2Fhush@db.example/shop"
MISSING = "Either 'SQLALCHEMY_DATABASE_URI' or 'SQLALCHEMY_BINDS' must be set."


def config(**keys: Any) -> Config:
    return Config.from_mapping({"SQLALCHEMY_DATABASE_URI": "sqlite://", **keys})


def refusal(**keys: Any) -> str:
    with pytest.raises(ConfigurationError) as info:
        config(**keys)
    return str(info.value)


def warnings_of(mapping: dict[str, Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report_unknown_keys(mapping)
    assert all(w.category is RetortWarning and w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


# --- keys ----------


def test_defaults_are_accepted_as_values() -> None:
    """Writing every default into the configuration changes nothing."""
    assert Config.from_mapping({**Config.defaults(), "SQLALCHEMY_DATABASE_URI": URL}) == (
        Config.from_mapping({"SQLALCHEMY_DATABASE_URI": URL})
    )


@pytest.mark.parametrize("section", [Config, SQLiteConfig, MySQLConfig])
def test_every_key_has_a_meaning_and_a_check(section: type[Any]) -> None:
    """The reference documentation is made from this data."""
    for field in dataclasses.fields(section):
        assert field.metadata["description"].endswith((".", "there.")), field.name
        assert callable(field.metadata["check"]), field.name


def test_the_configuration_is_frozen() -> None:
    """What was checked can't be changed afterwards."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().SQLALCHEMY_ECHO = True  # type: ignore[misc]


@pytest.mark.parametrize("key", ["SQLALCHEMY_ECHO", "SQLALCHEMY_RECORD_QUERIES"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        ("true", True),
        ("1", True),
        (1, True),
        ("off", False),
        ("", False),
        (None, False),
    ],
)
def test_booleans_are_read_as_environments_have_them(key: str, value: Any, expected: bool) -> None:
    """Text from the environment means what it says; "false" is not true."""
    assert getattr(config(**{key: value}), key) is expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SQLALCHEMY_ECHO", "loud"),
        ("SQLALCHEMY_TRACK_MODIFICATIONS", "perhaps"),
        ("SQLALCHEMY_POOL_SIZE", "many"),
        ("SQLALCHEMY_POOL_SIZE", 2.5),
        ("SQLALCHEMY_POOL_SIZE", -2),
        ("SQLALCHEMY_POOL_TIMEOUT", -1),
        ("SQLALCHEMY_POOL_TIMEOUT", float("nan")),
        ("SQLALCHEMY_MAX_OVERFLOW", True),
        ("RETORT_PING_AFTER_IDLE", "soon"),
        ("RETORT_PING_AFTER_IDLE", float("inf")),
        ("RETORT_POOLER", "session"),
        ("RETORT_POOLER", ["transaction"]),
        ("RETORT_MAX_PER_PAGE", 0),
        ("RETORT_IGNORE_KEYS", "SQLALCHEMY_X"),
        ("RETORT_IGNORE_KEYS", [1]),
        ("RETORT_SQLITE", "wal"),
        ("RETORT_SQLITE", {"journal_mode": "fast"}),
        ("RETORT_SQLITE", {"foreign_keys": "maybe"}),
        ("RETORT_SQLITE", {"busy_timeout": None}),
        ("RETORT_MYSQL", {"snapshot_isolation": 2}),
        ("SQLALCHEMY_BINDS", ["sqlite://"]),
        ("SQLALCHEMY_BINDS", {1: "sqlite://"}),
        ("SQLALCHEMY_BINDS", {"a": 1}),
        ("SQLALCHEMY_ENGINE_OPTIONS", [("echo", True)]),
        ("SQLALCHEMY_ENGINE_OPTIONS", {1: True}),
        ("SQLALCHEMY_ENGINE_OPTIONS", {"connect_args": "x"}),
        ("SQLALCHEMY_DATABASE_URI", 1),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_key(key: str, value: Any) -> None:
    """A value that can't be meant stops the start, and the message names the key."""
    text = refusal(**{key: value})
    assert key in text
    assert text.endswith("[retort:wrong-value]")


def test_an_unknown_setting_is_refused_with_the_nearest_one() -> None:
    """A misspelt setting inside RETORT_SQLITE names the right one."""
    text = refusal(RETORT_SQLITE={"jornal_mode": "wal"})
    assert "'jornal_mode'" in text
    assert "'journal_mode'" in text


# --- no database, wrong URLs ----------


@pytest.mark.parametrize("binds", [None, {}, {None: {"echo": True}}])
def test_no_database_is_told_in_the_contract_s_words(binds: Any) -> None:
    """Without a URL anywhere the text is exactly the predecessor's."""
    with pytest.raises(RuntimeError) as info:
        Config.from_mapping({"SQLALCHEMY_BINDS": binds})
    assert str(info.value) == MISSING


@pytest.mark.parametrize(
    "key",
    [
        "SQLALCHEMY_DATABASE_URL",
        "SQLALCHEMY_DATABSE_URI",
        "DATABASE_URL",
        "sqlalchemy_database_uri",
    ],
)
def test_a_misspelt_url_key_is_named_with_the_right_one(key: str) -> None:
    """A key that was meant to be the URL is pointed at."""
    with pytest.raises(ConfigurationError) as info:
        Config.from_mapping({key: "sqlite://"})
    assert str(info.value).startswith(MISSING)
    assert f"'{key}': write 'SQLALCHEMY_DATABASE_URI'" in str(info.value)


def test_engine_options_may_carry_the_url() -> None:
    """The URL of the default database may stand in its engine options."""
    only = Config.from_mapping({"SQLALCHEMY_ENGINE_OPTIONS": {"url": "sqlite:///a.db"}})
    assert str(only.engine_options({})[None]["url"]) == "sqlite:///a.db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql//shop:hush@db/shop",
        "shop:hush@db/shop",
        "postgresql:/shop:hush@db",
        "postgresql://shop:hush@db:port/shop",
        "postgresql://shop:hu@sh@db:port/shop",
        "hush@db",
        "://shop:hush@db",
    ],
)
def test_a_url_that_can_t_be_parsed_is_shown_without_its_password(url: str) -> None:
    """Even in a URL that makes no sense, what may be the password is hidden."""
    for text in (refusal(SQLALCHEMY_DATABASE_URI=url), refusal(SQLALCHEMY_BINDS={"a": url})):
        assert "is not a database URL" in text
        assert "hu" not in text.split("Its form is")[0].replace("shush", "")
        assert text.endswith("[retort:wrong-url]")


def test_a_url_is_shown_without_passwords_anywhere() -> None:
    """Passwords in the query are hidden like the one in front of the host."""
    url = sa.make_url("postgresql://u:hush@h/d?sslpassword=hush&password=hush&x=1")
    assert "hush" not in masked(url)
    assert "hush" not in masked(str(url))
    assert masked(url).endswith("x=1")


def test_the_repr_shows_no_password() -> None:
    """The configuration can be logged."""
    shown = repr(
        config(
            SQLALCHEMY_DATABASE_URI=URL,
            SQLALCHEMY_BINDS={"a": URL},
            SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"password": "hush/hush"}},
        )
    )
    assert "hush" not in shown


def test_a_bind_needs_a_url() -> None:
    """A bind without a URL is refused by its name."""
    assert "SQLALCHEMY_BINDS['a']" in refusal(SQLALCHEMY_BINDS={"a": {"echo": True}})


# --- precedence ----------


@pytest.mark.parametrize(
    "value",
    [
        "sqlite://",
        sa.make_url("sqlite://"),
        {"url": "sqlite://"},
        {"url": sa.make_url("sqlite://")},
    ],
)
def test_a_bind_is_text_url_or_dict(value: Any) -> None:
    """All forms of a bind give the same URL object."""
    assert config(SQLALCHEMY_BINDS={"a": value}).engine_options({})["a"]["url"] == sa.make_url(
        "sqlite://"
    )


def test_only_configured_databases_get_options() -> None:
    """Without a default URL there is no default engine, whatever the engine options."""
    only_bind = Config.from_mapping({"SQLALCHEMY_BINDS": {"a": "sqlite://"}})
    assert list(only_bind.engine_options({"echo": True})) == ["a"]


def test_default_database_precedence() -> None:
    """URI beats ENGINE_OPTIONS' url, which beats the None bind's; options likewise."""
    binds = {None: {"url": "sqlite:///1.db", "pool_size": 1, "max_overflow": 1}}
    options = {"url": "sqlite:///2.db", "pool_size": 2}
    mapping: dict[str, Any] = {"SQLALCHEMY_BINDS": binds}
    steps: list[tuple[dict[str, Any], str, int]] = [
        ({}, "1.db", 1),
        ({"SQLALCHEMY_ENGINE_OPTIONS": options}, "2.db", 2),
        ({"SQLALCHEMY_DATABASE_URI": "sqlite:///3.db"}, "3.db", 2),
    ]
    for extra, database, size in steps:
        mapping.update(extra)
        merged = Config.from_mapping(mapping).engine_options({"pool_size": 9})[None]
        assert (merged["url"].database, merged["pool_size"]) == (database, size)
        assert merged["max_overflow"] == 1


def test_engine_options_are_for_the_default_database_only() -> None:
    """SQLALCHEMY_ENGINE_OPTIONS do not reach binds; the argument reaches all."""
    merged = config(
        SQLALCHEMY_BINDS={"a": "sqlite://"}, SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 3}
    ).engine_options({"hide_parameters": True})
    assert merged[None]["pool_size"] == 3
    assert "pool_size" not in merged["a"]
    assert all(options["hide_parameters"] for options in merged.values())


def test_echo_is_a_default_for_statements_and_pool() -> None:
    """SQLALCHEMY_ECHO sets both kinds of log, below every other place."""
    merged = config(
        SQLALCHEMY_ECHO=True, SQLALCHEMY_BINDS={"a": {"url": "sqlite://", "echo": False}}
    )
    options = merged.engine_options({"echo_pool": "debug"})
    assert (options[None]["echo"], options[None]["echo_pool"]) == (True, "debug")
    assert options["a"]["echo"] is False


def test_older_pool_keys_stand_between_argument_and_options() -> None:
    """They beat the engine_options argument and give way to the database's own options."""
    merged = config(
        SQLALCHEMY_POOL_SIZE="7",
        SQLALCHEMY_POOL_RECYCLE=60,
        SQLALCHEMY_POOL_TIMEOUT=2,
        SQLALCHEMY_MAX_OVERFLOW=0,
        SQLALCHEMY_BINDS={"a": {"url": URL, "pool_size": 1}},
    ).engine_options({"pool_size": 9, "pool_timeout": 9})
    older = {"pool_size": 7, "pool_recycle": 60, "pool_timeout": 2.0, "max_overflow": 0}
    assert merged[None].items() >= older.items()
    assert merged["a"]["pool_size"] == 1


def test_older_pool_keys_leave_pools_that_do_not_queue_alone() -> None:
    """NullPool has no size: the keys must not make create_engine fail."""
    merged = config(
        SQLALCHEMY_POOL_SIZE=7, SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool}
    ).engine_options({})
    assert "pool_size" not in merged[None]


def test_options_are_fresh_each_time() -> None:
    """Completing one engine's options changes neither the configuration nor another engine."""
    given = {"connect_args": {"a": 1}}
    made = config(SQLALCHEMY_ENGINE_OPTIONS=given)
    made.engine_options({})[None]["connect_args"]["b"] = 2
    assert made.engine_options({})[None]["connect_args"] == {"a": 1}
    assert given == {"connect_args": {"a": 1}}
    shared = {"connect_args": {"a": 1}}
    both = config(SQLALCHEMY_BINDS={"x": "sqlite://"}).engine_options(shared)
    both[None]["connect_args"]["b"] = 2
    assert both["x"]["connect_args"] == {"a": 1}


# --- unknown keys ----------


def test_known_and_foreign_keys_are_not_reported() -> None:
    """Our keys, other people's keys and ignored ones are silent."""
    keys = {**Config.defaults(), "SECRET_KEY": "x", "DATABASE_URL": "x", "SQLALCHEMY_OWN": 1}
    assert warnings_of({**keys, "RETORT_IGNORE_KEYS": ("SQLALCHEMY_OWN",)}) == []


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("SQLALCHEMY_DATABASE_URL", "SQLALCHEMY_DATABASE_URI"),
        ("SQLALCHEMY_TRACK_MODIFICATION", "SQLALCHEMY_TRACK_MODIFICATIONS"),
        ("SQLALCHEMY_BIND", "SQLALCHEMY_BINDS"),
        ("SQLALCHEMY_ENGINE_OPTION", "SQLALCHEMY_ENGINE_OPTIONS"),
        ("RETORT_PING_AFTER", "RETORT_PING_AFTER_IDLE"),
        ("RETORT_SQLLITE", "RETORT_SQLITE"),
    ],
)
def test_an_unknown_key_is_reported_with_the_nearest(wrong: str, right: str) -> None:
    """One warning a key: what has no effect, what to write, how to allow it."""
    (text,) = warnings_of({wrong: 1})
    assert f"'{wrong}'" in text
    assert f"'{right}'" in text
    assert f"RETORT_IGNORE_KEYS = ('{wrong}',)" in text
    assert text.endswith("[retort:unknown-key]")


@pytest.mark.parametrize("key", REMOVED)
def test_a_removed_key_is_answered_with_what_to_write(key: str) -> None:
    """Keys of older versions get a sentence of their own."""
    (text,) = warnings_of({key: True})
    assert REMOVED[key] in text
