<%!
import re


def escaped(message):
    # A docstring holds neither a lone backslash nor three quotes.
    return str(message).replace("\\", "\\\\").replace('"' * 3, "'" * 3)


def function(name):
    # The end of a function's name for the database of this bind key.
    return re.sub(r"\W", "_", name)


def literal(value):
    # Names of revisions and branches hold no quotes.
    return repr(value).replace("'", '"')
%>\
<%
    # The databases of the history by bind key; the default one's is empty.
    databases = config.attributes.get("databases") or [""]
    if not config.attributes.get("databases"):
        ends = [key.removesuffix("_upgrades") for key in context.keys() if key.endswith("_upgrades")]
        databases = sorted(ends) or databases

    def body(name, direction):
        return context.get(f"{name}_{direction}", None) or "pass"

    text = "".join(body(name, way) for name in databases for way in ("upgrades", "downgrades"))

    def unused(prefix):
        # The imports stay for what is written by hand.
        return "" if prefix in text else "  # noqa: F401"
%>\
"""${message | escaped,n}

Revision ID: ${up_revision}
${f"Revises: {comma(down_revision)}".rstrip()}
Create Date: ${create_date}
"""

import re
from collections.abc import Sequence

import sqlalchemy as sa${unused("sa.")}
from alembic import op${unused("op.")}
% if imports:
${imports}
% endif

# What Alembic knows this revision by.
revision: str = "${up_revision}"
down_revision: str | Sequence[str] | None = ${literal(down_revision)}
branch_labels: str | Sequence[str] | None = ${literal(branch_labels)}
depends_on: str | Sequence[str] | None = ${literal(depends_on)}


def upgrade(engine_name: str) -> None:
    globals()["upgrade_" + re.sub(r"\W", "_", engine_name)]()


def downgrade(engine_name: str) -> None:
    globals()["downgrade_" + re.sub(r"\W", "_", engine_name)]()
% for name in databases:


def upgrade_${function(name)}() -> None:
    ${body(name, "upgrades")}


def downgrade_${function(name)}() -> None:
    ${body(name, "downgrades")}
% endfor
