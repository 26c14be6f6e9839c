"""The old import names, each case in a process of its own: it changes what an import means."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flask_retort import compat


def run(program: str, *, path: Path | None = None) -> str:
    """What a program prints; its error text if it fails."""
    preamble = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    result = subprocess.run(
        [sys.executable, "-c", preamble + textwrap.dedent(program)], capture_output=True, text=True
    )
    return result.stdout + result.stderr


@pytest.fixture
def real_package(tmp_path: Path) -> Path:
    """A folder with packages of the old names that are not ours."""
    for name, public in {"flask_sqlalchemy": "SQLAlchemy", "flask_migrate": "Migrate"}.items():
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(f"class {public}: ...\n")
    return tmp_path


def test_the_old_name_gives_our_class_even_beside_the_real_package(real_package: Path) -> None:
    """Installed first, the alias hides an installed real package, submodules included."""
    printed = run(
        """
        import flask_retort
        flask_retort.install_as_flask_sqlalchemy()
        import flask_sqlalchemy
        from flask_sqlalchemy.model import Model
        assert flask_sqlalchemy.SQLAlchemy is flask_retort.SQLAlchemy
        assert Model is flask_retort.model.Model
        print(flask_sqlalchemy.__version__)
        """,
        path=real_package,
    )
    assert printed == f"{compat.FLASK_SQLALCHEMY.version}\n"


@pytest.mark.parametrize("name", compat.FLASK_SQLALCHEMY.submodules)
def test_each_submodule_is_importable_under_the_old_name(name: str) -> None:
    """flask_sqlalchemy.X is flask_retort.X."""
    program = f"""
        import flask_retort
        flask_retort.install_as_flask_sqlalchemy()
        import flask_sqlalchemy.{name}, flask_retort.{name}
        print(flask_sqlalchemy.{name} is flask_retort.{name})
        """
    assert run(program) == "True\n"


def test_a_submodule_that_never_was_is_not_found() -> None:
    """Importing another submodule of the old name is Python's usual error."""
    program = """
        import flask_retort
        flask_retort.install_as_flask_sqlalchemy()
        import flask_sqlalchemy.migrate
        """
    assert "ModuleNotFoundError: No module named 'flask_sqlalchemy.migrate'" in run(program)


def test_installing_twice_is_installing_once() -> None:
    """The second call changes nothing."""
    program = """
        import sys, flask_retort
        flask_retort.install_as_flask_sqlalchemy()
        first = sys.modules["flask_sqlalchemy"]
        flask_retort.install_as_flask_sqlalchemy()
        print(sys.modules["flask_sqlalchemy"] is first)
        """
    assert run(program) == "True\n"


def test_tools_that_look_for_the_package_find_it() -> None:
    """importlib.util.find_spec answers for the alias as for a package."""
    program = """
        import importlib.util, flask_retort
        flask_retort.install_as_flask_sqlalchemy()
        print(importlib.util.find_spec("flask_sqlalchemy").name)
        """
    assert run(program) == "flask_sqlalchemy\n"


def test_it_is_refused_after_the_real_package_was_imported(real_package: Path) -> None:
    """The error says from where the real one came, and where to put the call."""
    printed = run(
        """
        import flask_sqlalchemy, flask_retort
        real = flask_sqlalchemy.SQLAlchemy
        try:
            flask_retort.install_as_flask_sqlalchemy()
        except RuntimeError as error:
            print(error)
        print(sys.modules["flask_sqlalchemy"].SQLAlchemy is real)
        print("flask_sqlalchemy.model" in sys.modules)
        """,
        path=real_package,
    )
    assert "already imported" in printed
    assert str(real_package) in printed
    assert "first lines of your application's module" in printed
    assert printed.endswith("True\nFalse\n")


def test_the_migrations_answer_to_the_predecessors_name(real_package: Path) -> None:
    """Every public name of ours, and the command line's module, under flask_migrate."""
    printed = run(
        """
        from flask_retort import compat, migrations
        compat.install_as_flask_migrate()
        import flask_migrate
        import flask_migrate.cli
        from flask_migrate import Config, Migrate, alembic_version, upgrade
        from alembic.config import Config as AlembicConfig
        assert issubclass(Config, AlembicConfig)
        assert flask_migrate.cli is migrations.cli
        assert all(
            getattr(flask_migrate, name) is getattr(migrations, name)
            for name in migrations.__all__
        )
        assert len(alembic_version) == 3 and Migrate.__module__.startswith("flask_retort")
        compat.install_as_flask_migrate()
        print(sys.modules["flask_migrate"] is flask_migrate, flask_migrate.__version__)
        """,
        path=real_package,
    )
    assert printed == f"True {compat.FLASK_MIGRATE.version}\n"


def test_the_migrations_are_refused_after_the_real_package_was_imported(
    real_package: Path,
) -> None:
    """Both predecessors' refusals name their own package and their own call."""
    printed = run(
        """
        import flask_migrate
        from flask_retort import compat
        compat.install_as_flask_migrate()
        """,
        path=real_package,
    )
    assert "The real Flask-Migrate is already imported" in printed
    assert "install_as_flask_migrate()" in printed
