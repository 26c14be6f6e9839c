"""Sphinx's configuration. The built pages load nothing from outside."""

from __future__ import annotations

import flask_retort

project = "Flask-Retort"
author = "The Flask-Retort authors"
copyright = author
version = release = flask_retort.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"{project} {version}"
html_show_copyright = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

# Names of other projects and type variables: resolving them would need their inventories from the
# network. Our own names must resolve.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(sa|sqlalchemy|alembic|orm|exc|flask|werkzeug|blinker|click|collections|contextlib|os|pathlib"
        r"|typing)\..*",
    ),
    ("py:.*", r"(Flask|URL|Engine|MetaData|Select|RelationshipProperty|ScopedRegistry|Mapping)"),
    ("py:(class|obj)", r"(flask_retort\.[\w.]+\.)?([A-Z]|View)"),
    ("py:class", r"(Any|Callable|Iterator|Sequence|Self|NoReturn|types\.EllipsisType)"),
    ("py:.*", r"(.*\.)?_\w+"),
    ("py:attr", "Query"),
]
