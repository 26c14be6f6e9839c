"""Where the user's code is, in words that one can search for."""

from __future__ import annotations

import functools
import inspect
from multiprocessing.pool import ThreadPool
from pathlib import Path

import flask

from flask_retort.guards import places
from flask_retort.guards.places import Place, Places

from .collection import Shop

HERE = Path(__file__)


def test_a_call_site_is_the_innermost_line_of_the_application(shop: Shop) -> None:
    """Calls that the application makes of a framework's code are not where it is."""

    @shop.app.get("/")
    def home() -> str:
        return str(Places(__name__, str(HERE.parent)).call_site())

    line = inspect.getsourcelines(home)[1] + 2
    name = home.__qualname__.replace("<locals>.", "")
    assert shop.client.get("/").text == f"guards/test_places.py:{line} ({name})"


def test_code_of_another_package_beside_the_application_is_not_its_own() -> None:
    """Where the application has nothing on the stack, the nearest code of no framework is named."""
    place = Places("elsewhere", str(HERE.parent / "elsewhere")).call_site()
    assert place is not None
    assert place.module == __name__


def test_a_line_of_the_standard_library_is_nobodys() -> None:
    """Where nothing else is on the stack, no place is better than one the user never wrote."""
    with ThreadPool(1) as pool:
        assert pool.apply(Places("elsewhere", str(HERE.parent / "elsewhere")).call_site) is None


def test_a_file_that_lies_elsewhere_is_named_in_full() -> None:
    """Neither beside the application nor below the current folder."""
    place = Places("app", str(HERE.root)).definition(inspect.unwrap)
    assert place is not None
    assert Path(place.shown).name == "inspect.py"


def test_a_lambda_is_named_after_its_function() -> None:
    """Its own name says nothing."""
    place = (lambda: Places(__name__).call_site())()
    assert place is not None
    assert place.function == "test_a_lambda_is_named_after_its_function"


def test_a_definition_is_found_below_decorators() -> None:
    """As long as they are made with functools.wraps; what is not in Python has none."""
    found = Places(__name__, str(HERE.parent))

    own = test_a_call_site_is_the_innermost_line_of_the_application

    @functools.wraps(own)
    def decorated() -> None: ...

    place = found.definition(decorated)
    assert place is not None
    assert place.function == own.__name__
    assert found.definition(len) is None
    assert found.definition(None) is None


def test_a_route_is_the_rule(shop: Shop) -> None:
    """One name for all orders; HEAD is a GET without a body; what matches nothing has no path."""

    @shop.app.get("/orders/<int:order_id>")
    def show(order_id: int) -> str:
        return places.route(places.current_request())

    @shop.app.errorhandler(404)
    def missing(error: Exception) -> str:
        return places.route(places.current_request())

    assert shop.client.get("/orders/1").text == "GET /orders/<int:order_id>"
    assert shop.client.get("/nothing/1").text == "GET (no route)"
    with shop.app.test_request_context("/orders/1", method="HEAD"):
        assert places.route(places.current_request()) == "GET /orders/<int:order_id>"


def test_a_command_is_named_as_one_calls_it(shop: Shop) -> None:
    """With its groups."""
    named = []

    @shop.app.cli.group("users")
    def users() -> None: ...

    @users.command("import")
    def import_users() -> None:
        command = places.command()
        assert command is not None
        named.append(command[0])

    shop.flask("users", "import")
    assert named == ["flask users import"]
    assert places.command() is None


def test_what_is_running(shop: Shop) -> None:
    """A request that is only pushed is not dispatched."""
    dispatch = flask.Flask.full_dispatch_request

    @shop.app.get("/")
    def home() -> str:
        return str(places.is_running(dispatch))

    assert shop.client.get("/").text == "True"
    with shop.app.test_request_context():
        assert not places.is_running(dispatch)


def test_tests_are_known_by_their_names() -> None:
    """pytest's default names, and its plug-ins."""

    def place(module: str) -> Place:
        return Place("f.py", "f.py", 1, module, "f")

    names = ["test_x", "a.tests.test_x", "a.x_test", "tests.conftest", "pytest_flask.plugin"]
    assert [name for name in names if not places.is_test(place(name))] == []
    assert not places.is_test(place("shop.latest"))
    assert not places.is_test(place("tests.factories"))


def test_helpers_of_tests_are_known_by_their_folder() -> None:
    """A base class of tests beside the application; not what the application keeps there itself."""
    root = Path.cwd() / "shop"

    def place(file: Path, module: str) -> Place:
        return Place(str(file), file.relative_to(Path.cwd()).as_posix(), 1, module, "tearDown")

    helper = place(Path.cwd() / "tests" / "base.py", "tests.base")
    assert Places("shop", str(root)).is_test(helper)
    assert not Places("tests", str(root)).is_test(helper)
    assert not Places("shop", str(root)).is_test(place(root / "tests" / "jobs.py", "shop.jobs"))
    assert not Places("shop", str(root)).is_test(place(Path.cwd() / "jobs" / "base.py", "base"))


def test_a_test_itself_is_neither_its_request_nor_its_threads(shop: Shop) -> None:
    """In these, its code stands for the application's."""
    found = Places("elsewhere", str(HERE.parent / "elsewhere"))
    shop.app.get("/")(lambda: str(found.is_test_itself()))
    assert found.is_test_itself()
    assert shop.client.get("/").text == "False"
    with ThreadPool(1) as pool:
        assert not pool.apply(lambda: found.is_test_itself())
