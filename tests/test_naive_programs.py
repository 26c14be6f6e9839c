"""Programs as tutorials write them: each is right now, or is answered with the line to write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask, jsonify, request
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import DetachedInstanceError
from tests.conftest import MakeApp
from tests.servers import new_database

from flask_retort import SQLAlchemy
from flask_retort.errors import Deadlock, GuardError

Cart = list[tuple[int, int]]


class Tutorial:
    """The application that tutorials build, with one user who has a post, and two products."""

    def __init__(self, make_app: MakeApp, url: sa.URL, **config: object) -> None:
        self.app: Flask = make_app(SQLALCHEMY_DATABASE_URI=url, **config)
        self.db: Any = SQLAlchemy(self.app)
        db = self.db

        class User(db.Model):  # type: ignore[name-defined,misc] # the tutorials' untyped form
            id = db.Column(db.Integer, primary_key=True)
            username = db.Column(db.String(80), unique=True, nullable=False)
            visits = db.Column(db.Integer, default=0)
            posts = db.relationship("Post", backref="author", lazy=True)

        class Post(db.Model):  # type: ignore[name-defined,misc]
            id = db.Column(db.Integer, primary_key=True)
            title = db.Column(db.String(80), nullable=False)
            user_id = db.Column(db.Integer, db.ForeignKey("user.id"))

        class Product(db.Model):  # type: ignore[name-defined,misc]
            id = db.Column(db.Integer, primary_key=True)
            stock = db.Column(db.Integer, nullable=False)

        self.User, self.Product = User, Product
        with self.app.app_context():
            db.drop_all()
            db.create_all()
            db.session.add(User(username="ada", posts=[Post(title="On tea")]))
            db.session.add_all([Product(id=1, stock=10), Product(id=2, stock=10)])
            db.session.commit()

    @property
    def is_sqlite(self) -> bool:
        """It has one writer at a time, and no locks of rows."""
        with self.app.app_context():
            return bool(self.db.engine.dialect.name == "sqlite")

    def stocks(self) -> list[int]:
        """What is left of each product."""
        with self.app.app_context():
            return list(self.db.session.scalars(sa.select(self.Product.stock)))


@pytest.fixture(
    scope="module",
    params=[
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.server),
        pytest.param("mariadb", marks=pytest.mark.server),
    ],
)
def shared_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sa.URL]:
    """One database on each back end for all tests: most of their time would go into new ones."""
    if request.param == "sqlite":
        yield sa.URL.create("sqlite", database=str(tmp_path_factory.mktemp("naive") / "test.db"))
    elif request.param == "mariadb":
        with new_database(request.getfixturevalue("mysql_server"), "DROP DATABASE {name}") as url:
            yield url
    else:
        server = request.getfixturevalue("postgresql_server")
        with new_database(server, "DROP DATABASE {name} WITH (FORCE)") as url:
            # A deadlock is found at once.
            yield url.update_query_dict({"options": "-c deadlock_timeout=20ms"})


@pytest.fixture
def tutorial(make_app: MakeApp, shared_url: sa.URL) -> Tutorial:
    """The tutorials' application on each back end, under test: guards raise."""
    return Tutorial(make_app, shared_url)


def test_the_commit_is_forgotten(tutorial: Tutorial) -> None:
    """Answered: the write that would be lost is named, with the commit to write."""
    app, db, User = tutorial.app, tutorial.db, tutorial.User

    @app.post("/register")
    def register() -> str:
        user = User(username=request.form["username"])
        db.session.add(user)
        return "welcome"

    with pytest.raises(GuardError, match="POST /register ended without a commit") as raised:
        app.test_client().post("/register", data={"username": "bob"})
    assert "Write db.session.commit()" in str(raised.value)


def test_an_integrity_error_is_swallowed(tutorial: Tutorial) -> None:
    """Right: the failed transaction is rolled back by itself, and the next query works."""
    app, db, User = tutorial.app, tutorial.db, tutorial.User

    @app.post("/register")
    def register() -> str:
        try:
            db.session.add(User(username=request.form["username"]))
            db.session.commit()
        except IntegrityError:
            pass
        return f"{User.query.count()} users"

    client = app.test_client()
    assert client.post("/register", data={"username": "ada"}).text == "1 users"
    assert client.post("/register", data={"username": "bob"}).text == "2 users"


def test_a_get_request_commits(tutorial: Tutorial) -> None:
    """Answered: the route is named, with the method to use."""
    app, db, User = tutorial.app, tutorial.db, tutorial.User

    @app.get("/delete/<int:user_id>")
    def delete(user_id: int) -> str:
        db.session.execute(db.update(User).where(User.id == user_id).values(visits=0))
        db.session.commit()
        return "done"

    with pytest.raises(GuardError, match=r"GET /delete/<int:user_id> committed") as raised:
        app.test_client().get("/delete/1")
    assert "@app.post(...)" in str(raised.value)


def test_a_relationship_is_read_after_the_context(tutorial: Tutorial) -> None:
    """Answered: the option that loads it with its object is named."""
    with tutorial.app.app_context():
        user = tutorial.User.query.filter_by(username="ada").first()
    with pytest.raises(DetachedInstanceError) as raised:
        ", ".join(post.title for post in user.posts)
    assert "select(User).options(selectinload(User.posts))" in str(raised.value)


def test_a_column_is_read_after_commit_and_context(tutorial: Tutorial) -> None:
    """Answered: the setting that keeps committed values is named."""
    with tutorial.app.app_context():
        user = tutorial.User(username="bob")
        tutorial.db.session.add(user)
        tutorial.db.session.commit()
    with pytest.raises(DetachedInstanceError) as raised:
        user.username.title()
    assert "session_options={'expire_on_commit': False}" in str(raised.value)


def test_a_user_is_given_to_jsonify(tutorial: Tutorial) -> None:
    """Answered: the fields to name are written out."""
    app, db, User = tutorial.app, tutorial.db, tutorial.User

    @app.get("/users/<int:user_id>")
    def show(user_id: int) -> Any:
        return jsonify(db.get_or_404(User, user_id))

    with pytest.raises(GuardError) as raised:
        app.test_client().get("/users/1")
    assert "jsonify(id=user.id, username=user.username" in str(raised.value)


def take_in_cart_order(tutorial: Tutorial, *, meet: bool) -> Callable[[Cart], None]:
    """The tutorials' function: a lock for each line of the cart, as the lines come.

    :param meet: each thread waits for the other when it has its first lock.
    """
    Product = tutorial.Product
    barrier = threading.Barrier(2)
    local = threading.local()

    def take(cart: Cart) -> None:
        for product_id, quantity in cart:
            product = Product.query.filter_by(id=product_id).with_for_update().one()
            product.stock -= quantity
            if meet and not hasattr(local, "has_met"):
                local.has_met = True
                barrier.wait(timeout=10)

    return take


def order_at_once(tutorial: Tutorial, place_order: Callable[[Cart], str]) -> list[Any]:
    """What becomes of two opposite carts in two threads: what is returned or raised."""

    def run(cart: Cart) -> Any:
        with tutorial.app.app_context():
            try:
                return place_order(cart)
            except (GuardError, Deadlock) as error:
                tutorial.db.session.rollback()
                return error

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(run, [[(1, 1), (2, 1)], [(2, 1), (1, 1)]]))


def test_an_order_locks_in_cart_order(tutorial: Tutorial) -> None:
    """Answered: the thread that would make the deadlock is told before, the other goes on.

    SQLite can't deadlock: there the line is for the day when the application moves on.
    """
    take = take_in_cart_order(tutorial, meet=not tutorial.is_sqlite)

    def place_order(cart: Cart) -> str:
        take(cart)
        tutorial.db.session.commit()
        return "placed"

    forth, back = order_at_once(tutorial, place_order)
    assert forth == "placed"
    assert "Product 1 was locked after Product 2" in str(back)
    assert "rows = db.lock(Product, keys)" in str(back)
    assert tutorial.stocks() == [9, 9]


def test_an_order_that_locks_in_cart_order_is_retried(
    make_app: MakeApp, shared_url: sa.URL
) -> None:
    """Right: with ``retry`` a deadlock that both run into reaches neither caller."""
    tutorial = Tutorial(make_app, shared_url, RETORT_GUARDS={"lock-order": "off"})
    take = take_in_cart_order(tutorial, meet=not tutorial.is_sqlite)
    attempts: list[Cart] = []

    @tutorial.db.transaction(retry=3)  # type: ignore[untyped-decorator]
    def place_order(cart: Cart) -> str:
        attempts.append(cart)
        take(cart)
        return "placed"

    assert order_at_once(tutorial, place_order) == ["placed", "placed"]
    assert len(attempts) >= (2 if tutorial.is_sqlite else 3)
    assert tutorial.stocks() == [8, 8]
