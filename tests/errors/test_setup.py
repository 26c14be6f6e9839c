"""Errors of configuration and contexts."""

from __future__ import annotations

import pytest
from sqlalchemy import exc

from flask_retort import errors


def test_a_missing_database_is_told_in_the_contract_s_words() -> None:
    """The predecessor's text is kept to the letter, so it carries no code."""
    error = errors.MissingDatabase("Set it.")
    assert str(error) == "Set it."
    assert isinstance(error, RuntimeError)


@pytest.mark.parametrize("kind", [errors.UnknownBind, errors.MixedDatabases])
def test_choosing_a_database_fails_as_in_sqlalchemy(kind: type[errors.RetortError]) -> None:
    """Handlers of SQLAlchemy's own class catch it; the text ends in our code."""
    error = kind("Which?")
    assert isinstance(error, exc.UnboundExecutionError)
    assert str(error) == f"Which? [retort:{kind.code}]"


def test_a_missing_context_says_what_to_do() -> None:
    """The text names both usual cases: a script, and a streamed response."""
    text = str(errors.NoAppContext())
    assert "app.app_context()" in text
    assert "stream_with_context" in text
