"""What ``flask shell`` starts with."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from flask_retort import SQLAlchemy


@pytest.mark.parametrize("wanted", [True, False])
def test_flask_shell_has_the_models_unless_not_wanted(make_app: Any, wanted: bool) -> None:
    """The shell's context holds db and every model, or neither with add_models_to_shell=False."""
    app: Flask = make_app()
    db = SQLAlchemy(app, add_models_to_shell=wanted)

    class Note(db.Model):  # type: ignore[name-defined, misc]
        id = sa.Column(sa.Integer, primary_key=True)

    with app.app_context():
        context = app.make_shell_context()
    assert ("db" in context, context.get("Note") is Note) == (wanted, wanted)
