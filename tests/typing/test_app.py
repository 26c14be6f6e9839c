"""The typed application works: what the checkers accept is a real program."""

from __future__ import annotations

from tests.typing.app import Author, create_app, db


def test_typed_application_serves_pages_and_404() -> None:
    """What type checkers accept runs: a page of books, an author, a new book and an unknown one."""
    app = create_app("sqlite://")
    with app.app_context():
        db.create_all()
        db.session.add(Author(name="Ursula"))
        db.session.commit()
    client = app.test_client()
    book = {"title": "The Dispossessed", "year": None, "author": "Ursula"}
    assert client.post("/authors/Ursula/books", data={"title": book["title"]}).json == book
    assert client.get("/books").json == {"books": [book], "total": 1}
    shown = {"name": "Ursula", "books": [book["title"]], "newest": None}
    assert client.get("/authors/1").json == shown
    assert client.get("/authors/2").status_code == 404
    with app.app_context():
        db.engine.dispose()
