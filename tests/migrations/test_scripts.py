"""Which function of a script is called for which database."""

from __future__ import annotations

from typing import Any

import pytest

from flask_retort.migrations.scripts import for_database

BY_NAME = """
def upgrade(engine_name):
    globals()["upgrade_%s" % engine_name]()

def upgrade_():
    called.append("default")

def upgrade_far():
    called.append("far")

def upgrade_my_bind():
    called.append("my-bind")
"""
PLAIN = """
def upgrade():
    called.append("plain")
"""
OWN_WAY = """
def upgrade(engine_name=None, **arguments):
    called.append((engine_name, arguments))
"""


def run(code: str, **arguments: Any) -> list[Any]:
    called: list[Any] = []
    script: dict[str, Any] = {"called": called}
    exec(code, script)
    for_database(script["upgrade"])(**arguments)
    return called


@pytest.mark.parametrize(
    ("code", "name", "called"),
    [
        (BY_NAME, "", ["default"]),
        (BY_NAME, "far", ["far"]),
        (BY_NAME, "later", []),
        (BY_NAME, "my-bind", ["my-bind"]),
        (PLAIN, "", ["plain"]),
        (PLAIN, "far", []),
        (OWN_WAY, "far", [("far", {})]),
    ],
)
def test_each_database_gets_its_function(code: str, name: str, called: list[Any]) -> None:
    assert run(code, engine_name=name) == called


def test_a_history_of_one_database_calls_plainly() -> None:
    assert run(PLAIN) == ["plain"]
    assert run(OWN_WAY) == [(None, {})]


def test_other_arguments_are_passed_on() -> None:
    assert run(OWN_WAY, engine_name="far", tenant="a") == [("far", {"tenant": "a"})]


@pytest.mark.parametrize("key", ["other", "upgrade_far"])
def test_a_key_error_inside_the_function_is_not_taken_for_a_missing_one(key: str) -> None:
    code = BY_NAME.replace('called.append("far")', f"{{}}[{key!r}]")
    with pytest.raises(KeyError):
        run(code, engine_name="far")


def test_the_name_of_the_function_stays() -> None:
    def downgrade() -> None:
        pass

    assert for_database(downgrade).__name__ == "downgrade"
