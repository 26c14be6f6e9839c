"""Which statements a context records, and what it says of each."""

from __future__ import annotations

import gc
import threading
import weakref
from types import CodeType
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, g

from flask_retort import record_queries
from flask_retort.record_queries import get_recorded_queries

ONE = sa.text("SELECT 1")


@pytest.fixture
def engine(database_url: sa.URL, disposed: Any) -> sa.Engine:
    """An engine on each back end."""
    engine: sa.Engine = disposed(sa.create_engine(database_url))
    return engine


@pytest.fixture
def app(engine: sa.Engine) -> Flask:
    """An application, of this module's import package, that records the engine."""
    app = Flask(__name__)
    record_queries.record(app, {"words": engine})
    return app


def execute(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        connection.execute(ONE)


def test_statements_are_recorded_in_order(app: Flask, engine: sa.Engine) -> None:
    """The list has every statement of the context, with its parameters, times and place."""
    with app.app_context(), engine.connect() as connection:
        connection.execute(ONE)
        connection.execute(sa.select(sa.literal(5)))
        first, second = get_recorded_queries()
    assert first.statement == "SELECT 1"
    assert second.statement.startswith("SELECT ")
    assert first.start_time <= first.end_time <= second.start_time
    assert second.duration == second.end_time - second.start_time
    [values] = second.parameters
    assert 5 in (values.values() if isinstance(values, dict) else values)
    assert second.location.startswith(f"{__file__}:")
    assert second.location.endswith("(test_statements_are_recorded_in_order)")
    assert second.bind_key == "words"
    assert second.endpoint is None


def test_the_list_lives_in_g_and_ends_with_the_context(app: Flask, engine: sa.Engine) -> None:
    """The list is ``g._sqlalchemy_queries``; the next context starts without one."""
    with app.app_context():
        execute(engine)
        assert g._sqlalchemy_queries is get_recorded_queries()
        assert len(g._sqlalchemy_queries) == 1
    with app.app_context():
        assert get_recorded_queries() == []


def test_nothing_is_recorded_outside_the_applications_context(
    app: Flask, engine: sa.Engine
) -> None:
    """Without a context, or in another application's, statements run and are not recorded."""
    execute(engine)
    assert get_recorded_queries() == []
    with Flask("other").app_context():
        execute(engine)
        assert get_recorded_queries() == []
        assert "_sqlalchemy_queries" not in g


def test_a_thread_records_into_its_own_context(app: Flask, engine: sa.Engine) -> None:
    """Contexts that run at the same time do not see one another's statements."""
    both = threading.Barrier(2)
    counted: dict[int, int] = {}

    def work(statements: int) -> None:
        with app.app_context():
            both.wait()
            for _ in range(statements):
                execute(engine)
            counted[statements] = len(get_recorded_queries())

    threads = [threading.Thread(target=work, args=(number,)) for number in (3, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted == {3: 3, 7: 7}


def test_a_request_names_its_endpoint(app: Flask, engine: sa.Engine) -> None:
    """A statement of a request has the endpoint's name, and the view as its place."""

    @app.route("/")
    def words_view() -> list[str | None]:
        execute(engine)
        [query] = get_recorded_queries()
        return [query.endpoint, query.location]

    recorded: Any = app.test_client().get("/").json
    endpoint, location = recorded
    assert endpoint == "words_view"
    assert location.endswith("(execute)")


def call_as(name: str, function: Any) -> Any:
    """Call the function from a module of that name."""
    module: dict[str, Any] = {"__name__": name, "function": function}
    code: CodeType = compile("def call():\n    return function()\n", f"/{name}.py", "exec")
    exec(code, module)
    return module["call"]()


@pytest.mark.parametrize(
    ("import_name", "module", "belongs"),
    [
        ("shop", "shop", True),
        ("shop", "shop.views", True),
        ("shop.app", "shop.views", True),
        ("shop", "shopping", False),
        ("shop", "flask_shop.shop", False),
        ("__main__", "__main__", True),
    ],
)
def test_the_place_is_in_the_applications_package(
    import_name: str, module: str, belongs: bool, disposed: Any
) -> None:
    """The place is the innermost call from the top package that the import name lies in."""
    engine = disposed(sa.create_engine("sqlite://"))
    app = Flask(import_name)
    record_queries.record(app, {None: engine})

    def query() -> str:
        with app.app_context():
            execute(engine)
            return get_recorded_queries()[0].location

    expected = f"/{module}.py:2 (call)" if belongs else "<unknown>"
    assert call_as(module, query) == expected


def test_the_innermost_place_wins(disposed: Any) -> None:
    """When views call services of the same package, the service's line is named."""
    engine = disposed(sa.create_engine("sqlite://"))
    app = Flask("shop")
    record_queries.record(app, {None: engine})
    with app.app_context():
        call_as("shop.views", lambda: call_as("shop.services", lambda: execute(engine)))
        assert get_recorded_queries()[0].location == "/shop.services.py:2 (call)"


def test_an_application_is_not_kept_alive_by_its_engine(disposed: Any) -> None:
    """Recording does not hold on to the application, whose end disposes the engines."""
    engine = disposed(sa.create_engine("sqlite://"))
    app = Flask("shop")
    record_queries.record(app, {None: engine})
    alive = weakref.ref(app)
    del app
    gc.collect()
    assert alive() is None
    execute(engine)
