"""Writes ``docs/reference/config.md`` from the configuration's own descriptions.

Run ``python docs/config_page.py`` after a change there; a test compares the two.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from flask_retort.config import Config
from flask_retort.config_sections import MigrationsConfig, MySQLConfig, SQLiteConfig

PAGE = Path(__file__).parent / "reference" / "config.md"

INTRODUCTION = """\
% Written by docs/config_page.py from flask_retort/config.py: change the descriptions there.

# Configuration

All keys are read by `db.init_app(app)`, from `app.config`.
Only `RETORT_MAX_PER_PAGE` and `SQLALCHEMY_TRACK_MODIFICATIONS` are read again at each use.
Each value is checked then, and a wrong one is an error that names its key.
Any other key that begins with `SQLALCHEMY_` or `RETORT_` is reported, with the nearest right one.

One of `SQLALCHEMY_DATABASE_URI` and `SQLALCHEMY_BINDS` is needed; everything else has a default.
Where several places give an option of an engine, the later one of this list wins:
the defaults of the back end,
`SQLALCHEMY_ECHO`,
the argument `engine_options` of `SQLAlchemy`,
the older pool keys,
the database's own entry in `SQLALCHEMY_BINDS` or `SQLALCHEMY_ENGINE_OPTIONS`,
`SQLALCHEMY_DATABASE_URI`.

The values may come from environment variables by `app.config.from_prefixed_env()`.
"""


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The text of the page."""
    keys = [
        ("Keys", Config),
        ("`RETORT_SQLITE`", SQLiteConfig),
        ("`RETORT_MYSQL`", MySQLConfig),
        ("`RETORT_MIGRATIONS`", MigrationsConfig),
    ]
    sections = [f"## {title}\n\n{_definitions(settings)}" for title, settings in keys]
    return "\n".join([INTRODUCTION, *sections])


def _definitions(settings: Any) -> str:
    return "\n".join(_definition(field) for field in dataclasses.fields(settings))


def _definition(field: dataclasses.Field[Any]) -> str:
    meaning = field.metadata["description"]
    return f"`{field.name}`\n: {meaning}\n  Default: `{_default(field)}`.\n"


def _default(field: dataclasses.Field[Any]) -> str:
    made = field.default is dataclasses.MISSING or dataclasses.is_dataclass(field.default)
    return "{}" if made else repr(field.default)


if __name__ == "__main__":
    main()
