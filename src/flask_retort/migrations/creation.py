"""Makes a new folder of revisions from a template."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from alembic.util import CommandError, template_to_file

from flask_retort.checks import nearest
from flask_retort.errors import MigrationError

from .folder import TEMPLATES, Folder

SINGLE, MULTIPLE = "flask", "flask-multidb"


def templates() -> dict[str, str]:
    """The names of the templates, each with the first line of its README."""
    return {
        folder.name: (folder / "README").read_text(encoding="utf-8").partition("\n")[0].strip()
        for folder in sorted(TEMPLATES.iterdir())
        if (folder / "README").is_file()
    }


def create(folder: Folder, template: str, *, package: bool) -> list[Path]:
    """Make the folder, whole or not at all, and return what was made.

    :param template: a name of :func:`templates`, or the path of a folder.
    :param package: whether the folder and its ``versions`` are Python packages.
    :raises MigrationError: there is something in it already, or it can't be written.
    """
    source = _source(template)
    was_there = _is_empty_folder(folder)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        shutil.copytree(
            source, folder.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        _render_ini(folder)
        folder.path.joinpath("versions").mkdir(exist_ok=True)
        for place in ("", "versions") if package else ():
            folder.path.joinpath(place, "__init__.py").touch()
    except BaseException as error:
        _remove(folder.path, itself=not was_there)
        if isinstance(error, (OSError, CommandError)):
            raise MigrationError(
                f"The folder '{folder.name}' can't be made: {error}. Nothing is left of it."
            ) from error
        raise
    return sorted(folder.path.rglob("*"))


def _source(template: str) -> Path:
    named = TEMPLATES / template
    if template in templates():
        return named
    if Path(template).is_dir():
        return Path(template)
    known = templates()
    raise MigrationError(
        f"There is no template '{template}'. The nearest name is '{nearest(template, known)}';"
        f" there are {', '.join(known)}, and the path of a folder can be given. 'flask db"
        " list-templates' shows them."
    )


def _is_empty_folder(folder: Folder) -> bool:
    """Whether the folder is there and empty.

    :raises MigrationError: something is in it, or in its place.
    """
    if not os.path.lexists(folder.path):
        return False
    if folder.path.is_dir() and not any(folder.path.iterdir()):
        return True
    what = "is not empty" if folder.path.is_dir() else "is not a folder"
    raise MigrationError(
        f"'{folder.name}' exists and {what}; nothing was written. If the project has its revisions"
        " there, go on with 'flask db migrate'. For another folder write --directory NAME."
    )


def _render_ini(folder: Folder) -> None:
    template = folder.path / "alembic.ini.mako"
    if template.is_file():
        template_to_file(
            template, folder.path / "alembic.ini", "utf-8", script_location=folder.name
        )
        template.unlink()


def _remove(path: Path, *, itself: bool) -> None:
    if itself:
        shutil.rmtree(path, ignore_errors=True)
        return
    for child in path.iterdir():
        if child.is_dir():
            shutil.rmtree(child, ignore_errors=True)
        else:
            child.unlink(missing_ok=True)
