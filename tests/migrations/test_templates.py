"""What new revisions are made from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from flask_retort.migrations.folder import TEMPLATES

SINGLE, MULTIPLE = "flask", "flask-multidb"
BODY = "op.create_table('t',\n    sa.Column('id', sa.Integer()))"


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Makes a revision: a template, the databases, the message, and Alembic's tokens."""

    def make(
        template: str, databases: list[str] | None = None, message: str = "a title", **tokens: Any
    ) -> Script:
        tmp_path.joinpath("versions").mkdir(exist_ok=True)
        config = Config()
        config.attributes["databases"] = databases
        directory = ScriptDirectory(
            str(TEMPLATES / template), version_locations=[str(tmp_path / "versions")]
        )
        script = directory.generate_revision(
            "abc", message, refresh=True, config=config, imports="", **tokens
        )
        assert script is not None
        return script

    return make


def functions(script: Script) -> list[str]:
    return [name for name in vars(script.module) if name.startswith(("upgrade", "downgrade"))]


def text(script: Script) -> str:
    return Path(script.path).read_text(encoding="utf-8")


def test_one_database_has_one_pair_of_functions(make: Any) -> None:
    script = make(SINGLE, upgrades=BODY, downgrades="op.drop_table('t')")
    assert functions(script) == ["upgrade", "downgrade"]
    assert "def upgrade() -> None:\n    op.create_table('t'," in text(script)
    assert text(script).endswith("def downgrade() -> None:\n    op.drop_table('t')\n")


def test_one_database_may_have_tokens_of_its_own(make: Any) -> None:
    script = make(SINGLE, [""], _upgrades=BODY, _downgrades="op.drop_table('t')")
    assert functions(script) == ["upgrade", "downgrade"]
    assert BODY in text(script)


@pytest.mark.parametrize("template", [SINGLE, MULTIPLE])
def test_each_of_several_databases_has_its_pair(make: Any, template: str) -> None:
    tokens = {"_upgrades": BODY, "far-away_downgrades": "op.drop_table('x')"}
    script = make(template, ["", "far-away"], **tokens)
    assert functions(script) == [
        "upgrade",
        "downgrade",
        "upgrade_",
        "downgrade_",
        "upgrade_far_away",
        "downgrade_far_away",
    ]
    assert f"def upgrade_() -> None:\n    {BODY}\n" in text(script)
    assert "def downgrade_far_away() -> None:\n    op.drop_table('x')\n" in text(script)
    called: list[str] = []
    script.module.upgrade_far_away = lambda: called.append("far")
    script.module.upgrade("far-away")
    assert called == ["far"]


def test_without_a_list_the_tokens_name_the_databases(make: Any) -> None:
    script = make(MULTIPLE, None, _upgrades=BODY, _downgrades="pass", far_upgrades="pass")
    assert "upgrade_far" in functions(script)
    assert "upgrade_" in functions(script)


def test_no_database_is_too_many_for_the_template_of_several(make: Any) -> None:
    assert functions(make(MULTIPLE)) == ["upgrade", "downgrade", "upgrade_", "downgrade_"]


@pytest.mark.parametrize("message", ['say "so"', 'three """ quotes', "back\\slash \\N", "ünïcode"])
def test_any_message_can_stand_in_the_docstring(make: Any, message: str) -> None:
    script = make(SINGLE, message=message)
    assert script.doc == message.replace('"""', "'''")


@pytest.mark.parametrize(
    ("template", "tokens"),
    [
        (SINGLE, {}),
        (SINGLE, {"upgrades": BODY}),
        (MULTIPLE, {}),
        (MULTIPLE, {"_upgrades": BODY}),
    ],
)
def test_a_script_is_typed_and_has_nothing_for_ruff_to_say(
    make: Any, template: str, tokens: dict[str, str]
) -> None:
    path = make(template, **tokens).path
    for command in (["ruff", "check", "--isolated"], ["mypy", "--strict", "--config-file="]):
        done = subprocess.run(
            [sys.executable, "-m", *command, path], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("template", [SINGLE, MULTIPLE])
def test_a_readme_begins_with_its_synopsis_and_shows_the_commands(template: str) -> None:
    first, *rest = (TEMPLATES / template / "README").read_text(encoding="utf-8").splitlines()
    assert first.endswith("configuration for Flask.")
    assert all(f"flask db {one}" in "\n".join(rest) for one in ("migrate", "upgrade", "status"))


@pytest.mark.parametrize("template", [SINGLE, MULTIPLE])
def test_a_template_brings_no_code_that_would_grow_old(template: str) -> None:
    names = {path.name for path in (TEMPLATES / template).iterdir()}
    assert names == {"README", "script.py.mako"}
