"""Fixtures of the tests that run commands on a small application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import sqlalchemy as sa
from tests.migrations.projects import Project

MakeProject = Callable[..., Project]


@pytest.fixture
def make_project(make_app: Callable[..., flask.Flask], tmp_path: Path) -> Iterator[MakeProject]:
    """Makes a project in the test's folder, and enters its application context.

    ``make_project(url, binds={...}, **arguments_of_migrate)``
    """
    contexts: list[Any] = []

    def make(url: sa.URL | str | None, **kwargs: Any) -> Project:
        project = Project(make_app, tmp_path / "migrations", url, **kwargs)
        context = project.app.app_context()
        context.push()
        contexts.append(context)
        return project

    yield make
    for context in contexts[::-1]:
        context.pop()


@pytest.fixture
def project(make_project: MakeProject, tmp_path: Path) -> Project:
    """A project on a SQLite file."""
    return make_project(f"sqlite:///{tmp_path / 'test.db'}")
