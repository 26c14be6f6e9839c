"""What goes wrong in the project's own files leaves as an error of ours, with file and line."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.migrations.env_files import ONE_DATABASE
from tests.migrations.projects import Project

from flask_retort import errors, migrations


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def broken(:\n", r"env\.py, line 1: SyntaxError"),
        ("import there_is_no_such_module\n", r"env\.py, line 1: ModuleNotFoundError"),
        ("x = 1\ny = 1 / 0\n", r"env\.py, line 2: ZeroDivisionError"),
        ("x = 1\nraise SystemExit(3)\n", r"env\.py, line 2: SystemExit: 3"),
        ("x = 1\n", r"env\.py has ended without a call of context\.run_migrations\(\)"),
        ("from alembic import context\ncontext.run_migrations()\n", r"env\.py, line 2: "),
        (
            "from alembic import context\ncontext.configure(url='sqlite://')\n"
            "context.run_migrations()\n",
            "no connection",
        ),
    ],
)
def test_an_env_py_that_fails_is_named_with_its_line(
    project: Project, code: str, told: str
) -> None:
    project.write("r1")
    project.write_env(code)
    with pytest.raises(errors.BrokenRevision, match=told):
        migrations.upgrade()
    assert project.versions() == []


def test_a_database_that_refuses_is_an_error_of_ours(project: Project) -> None:
    project.write("r1")
    project.write_env(
        """
        import sqlalchemy as sa

        sa.create_engine("sqlite:////there/is/no/such/folder/x.db").connect()
        """
    )
    with pytest.raises(errors.MigrationError, match="unable to open database file"):
        migrations.upgrade()


def test_an_error_while_comparing_is_an_error_of_ours(project: Project) -> None:
    project.add_table("posts", sa.Column("user_id", sa.ForeignKey("nowhere.id")))
    project.write_env(ONE_DATABASE)
    project.write("r1")
    migrations.stamp()
    with pytest.raises(errors.MigrationError, match=r"can't be compared .*nowhere") as refusal:
        migrations.check()
    assert not isinstance(refusal.value, errors.BrokenRevision)
