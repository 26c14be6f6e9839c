"""A project that the real Flask-Migrate made, taken over by ours with no file of it changed.

Each tool runs in processes of its own. Ours stands under the name ``flask_migrate``, since the
project's files are not changed; its ``db`` is the real Flask-SQLAlchemy's, or with RETORT_ALIAS=1
ours.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests import servers
from tests.interop.flask_migrate_projects import LONGER_NAMES, Project, Tool, fill, new_project

TAGS = LONGER_NAMES + 1
"""The stage after that of the revisions: the models have a table and a column more."""

Made = dict[tuple[str, str], Project]
NewDatabases = Callable[[], dict[str, sa.URL]]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.server),
        pytest.param("mariadb", marks=pytest.mark.server),
    ]
)
def engine(request: pytest.FixtureRequest) -> str:
    """The kind of databases that the project has."""
    return str(request.param)


@pytest.fixture(params=["single", "multidb"])
def template(request: pytest.FixtureRequest) -> str:
    """Whether the project has one database or two."""
    return str(request.param)


@pytest.fixture
def new_databases(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str, template: str
) -> Iterator[NewDatabases]:
    """Makes the project's databases, empty; they are dropped after the test."""
    numbers = itertools.count()
    with ExitStack() as stack:

        def one() -> sa.URL:
            if engine == "sqlite":
                return sa.URL.create("sqlite", database=str(tmp_path / f"{next(numbers)}.db"))
            server, drop = {
                "postgresql": ("postgresql_server", "DROP DATABASE {name} WITH (FORCE)"),
                "mariadb": ("mysql_server", "DROP DATABASE {name}"),
            }[engine]
            return stack.enter_context(servers.new_database(request.getfixturevalue(server), drop))

        yield lambda: {key: one() for key in ("", "far")[: 1 if template == "single" else 2]}


@pytest.fixture(scope="module")
def made() -> Made:
    """The projects that were made so far, by engine and template."""
    return {}


@pytest.fixture(scope="module")
def tools() -> Iterator[dict[str, Tool]]:
    """The real tool, and ours."""
    found = {name: Tool(name) for name in ("theirs", "ours")}
    yield found
    for tool in found.values():
        tool.end()


@pytest.fixture
def project(
    made: Made,
    tools: dict[str, Tool],
    new_databases: NewDatabases,
    engine: str,
    template: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    """The project of four revisions; its databases are at the second, with rows."""
    if (engine, template) not in made:
        folder = tmp_path_factory.mktemp("made") / "project"
        made[engine, template] = new_project(folder, new_databases(), tools)
    return at_the_second(made[engine, template].copy(tmp_path / "project", new_databases()))


@pytest.fixture
def twin(project: Project, new_databases: NewDatabases, tmp_path: Path) -> Project:
    """The same project with databases of its own, for the real tool."""
    return at_the_second(project.copy(tmp_path / "twin", new_databases()))


def at_the_second(project: Project) -> Project:
    """The project, upgraded half-way by the real tool."""
    project.succeed("theirs", LONGER_NAMES, "upgrade", "b2")
    fill(project)
    return project


def test_ours_does_what_theirs_does(project: Project, twin: Project) -> None:
    """From half-way up, down and up again: schema, rows and versions are the same at each stop."""
    files = project.hashes()
    for command in (
        ("upgrade",),
        ("downgrade", "b2"),
        ("upgrade", "+1"),
        ("downgrade",),
        ("upgrade", "d4"),
        ("downgrade", "base"),
        ("upgrade",),
    ):
        project.succeed("ours", LONGER_NAMES, *command)
        twin.succeed("theirs", LONGER_NAMES, *command)
        assert project.contents() == twin.contents(), command
    assert project.hashes() == files
    assert all(version == ["d4"] for version in project.versions().values())


def test_rows_are_kept_by_a_table_that_is_rebuilt(project: Project) -> None:
    """Half-way to the head and back, people and notes are those from before."""
    before = project.contents()
    project.succeed("ours", LONGER_NAMES, "upgrade")
    emails = project.execute("", "SELECT email FROM person ORDER BY id")
    assert emails == [(f"person {n}",) for n in range(1, 6)]
    project.succeed("ours", LONGER_NAMES, "downgrade", "b2")
    after = project.contents()
    assert {name: table["rows"] for name, table in after.items()} == {
        name: table["rows"] for name, table in before.items()
    }


def test_each_goes_on_where_the_other_stopped(project: Project) -> None:
    """Revision by revision in turn, up and down."""
    tools = itertools.cycle(["ours", "theirs"])
    for way, stops in (("upgrade", ["c3", "d4"]), ("downgrade", ["c3", "b2", "a1"])):
        for stop in stops:
            project.succeed(next(tools), LONGER_NAMES, way, stop)
            assert set(itertools.chain(*project.versions().values())) == {stop}


def test_a_revision_of_ours_is_one_of_theirs(project: Project) -> None:
    """Our ``migrate`` adds a file and changes none, leaves nothing to do, and theirs goes on."""
    project.succeed("ours", LONGER_NAMES, "upgrade")
    project.succeed("ours", LONGER_NAMES, "check")
    files = project.hashes()
    project.succeed("ours", TAGS, "migrate", "-m", "tags", "--rev-id", "e5")
    project.succeed("ours", TAGS, "upgrade")
    project.succeed("ours", TAGS, "check")
    assert files.items() <= project.hashes().items()
    added = project.hashes().keys() - files.keys()
    assert [Path(name).name for name in added] == ["e5_tags.py"]
    assert project.revisions() == ["a1", "b2", "c3", "d4", "e5"]
    at_head = project.contents()
    for command in ("check", "downgrade", "upgrade"):
        project.succeed("theirs", TAGS, command)
    assert project.contents() == at_head


def test_a_revision_of_theirs_is_one_of_ours(project: Project, engine: str) -> None:
    """What the real tool's ``migrate`` writes later, ours applies, and takes back if it can be."""
    project.succeed("ours", LONGER_NAMES, "upgrade")
    project.succeed("theirs", TAGS, "migrate", "-m", "tags", "--rev-id", "e5")
    project.succeed("ours", TAGS, "upgrade")
    project.succeed("ours", TAGS, "check")
    if engine == "mariadb":
        go_on_after_a_correction(project)
    else:
        project.succeed("ours", TAGS, "downgrade", "d4")
    assert set(itertools.chain(*project.versions().values())) == {"d4"}


def go_on_after_a_correction(project: Project) -> None:
    """The script drops an index that a foreign key needs, which MariaDB refuses half-way.

    The real tool is stuck there: what was dropped can't be dropped again. With ours, one corrects
    the script and runs the command again.
    """
    result = project.run("ours", TAGS, "downgrade", "d4")
    assert result["exit_code"] == 1
    assert "needed in a foreign key" in result["stderr"]
    assert "[retort:revision-failed]" in result["stderr"]
    (path,) = project.folder.glob("migrations/versions/e5_*.py")
    text, count = re.subn(
        r"    with op.batch_alter_table\('tag'.*\n.*drop_index.*\n", "", path.read_text("utf-8")
    )
    assert count == 1
    path.write_text(text, "utf-8")
    project.succeed("ours", TAGS, "downgrade", "d4")


def test_the_same_changes_are_found(project: Project, twin: Project) -> None:
    """Our ``migrate`` makes the tables that theirs makes; it names the constraints, too."""
    for one, tool in ((project, "ours"), (twin, "theirs")):
        one.succeed(tool, LONGER_NAMES, "upgrade")
        one.succeed(tool, TAGS, "migrate", "--rev-id", "e5")
        one.succeed(tool, TAGS, "upgrade")
    ours, theirs = project.contents(), twin.contents()
    assert ours.keys() == theirs.keys()
    for table in ours:
        for what in ("columns", "rows"):
            assert ours[table][what] == theirs[table][what], (table, what)


def test_check_tells_a_change(project: Project) -> None:
    """``check`` fails where the models have changed, and says what is missing."""
    project.succeed("ours", LONGER_NAMES, "upgrade")
    result = project.run("ours", TAGS, "check")
    assert result["exit_code"] == 1
    assert "[retort:schema-differs]" in result["stderr"]
    assert "tag" in result["stderr"]
    assert not result["traceback"]


def test_stamps_are_read_by_both(project: Project) -> None:
    """What one tool writes into the version table, the other one finds there."""
    for writer, reader in (("ours", "theirs"), ("theirs", "ours")):
        for revision in ("a1", "d4", "b2"):
            project.succeed(writer, LONGER_NAMES, "stamp", revision)
            found = project.succeed(reader, LONGER_NAMES, "current")["stdout"]
            databases = len(project.databases)
            assert re.findall(r"\b[abcd]\d\b", found) == [revision] * databases
        project.succeed(writer, LONGER_NAMES, "stamp", "base")
        assert set(itertools.chain(*project.versions().values())) == set()


@pytest.mark.parametrize("engine", ["sqlite"])  # what is read are the project's files
def test_what_is_read_is_the_same(project: Project, engine: str) -> None:
    """The commands that show revisions print what theirs print, to the letter."""
    for words in (
        ("history",),
        ("history", "-v"),
        ("history", "-r", "a1:c3"),
        ("heads",),
        ("heads", "-v"),
        ("show",),
        ("show", "b2"),
        ("branches",),
    ):
        ours, theirs = (project.succeed(tool, 3, *words)["stdout"] for tool in ("ours", "theirs"))
        assert ours == theirs, words


def test_the_sql_is_the_same(project: Project, engine: str) -> None:
    """``--sql`` writes the statements that theirs writes, but for where transactions begin."""
    # In SQLite a table can't be rebuilt without being read.
    last = "b2" if engine == "sqlite" else "d4"
    before = project.contents()
    for words in (("upgrade", "--sql", f"base:{last}"), ("downgrade", "--sql", f"{last}:base")):
        ours, theirs = (
            statements(
                project.succeed(tool, LONGER_NAMES, *words)["stdout"] + files_of_sql(project)
            )
            for tool in ("ours", "theirs")
        )
        assert ours == theirs
        assert any("person" in statement for statement in ours)
    assert project.contents() == before


def files_of_sql(project: Project) -> str:
    """What the template for several databases writes into a file for each; they are deleted."""
    files = sorted(path for path in project.folder.iterdir() if path.name.endswith(".sql"))
    text = "".join(f"-- {path.name}\n{path.read_text('utf-8')}" for path in files)
    for path in files:
        path.unlink()
    return text


def statements(script: str) -> list[str]:
    """The statements of a script in one line each, without comments and transactions."""
    text = re.sub(r"^--.*$", "", script, flags=re.MULTILINE)
    found = [" ".join(part.split()) for part in text.split(";")]
    return [part for part in found if part not in ("", "BEGIN", "COMMIT", "START TRANSACTION")]


def test_logging_is_left_alone(project: Project) -> None:
    """The project's ``env.py`` configures logging; with ours, the program's own stays as it is."""
    for command in ("upgrade", "current", "check", "downgrade"):
        assert project.succeed("ours", LONGER_NAMES, command)["keeps_logging"]
    assert not project.succeed("theirs", LONGER_NAMES, "current")["keeps_logging"]
