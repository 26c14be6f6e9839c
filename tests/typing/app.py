"""A small typed application: it passes mypy and pyright in strict mode without an ignore."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from flask_retort import SQLAlchemy


class Base(MappedAsDataclass, DeclarativeBase):
    id: Mapped[int] = mapped_column(primary_key=True, init=False)


db = SQLAlchemy(model_class=Base)


class Author(db.Model):
    name: Mapped[str] = mapped_column(unique=True)
    books: Mapped[list[Book]] = relationship(back_populates="author", default_factory=list)


class Book(db.Model):
    title: Mapped[str]
    author: Mapped[Author] = relationship(back_populates="books")
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"), init=False)
    year: Mapped[int | None] = mapped_column(default=None)


def as_json(book: Book) -> dict[str, str | int | None]:
    return {"title": book.title, "year": book.year, "author": book.author.name}


def create_app(database_uri: str) -> Flask:
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = database_uri
    db.init_app(app)

    @app.get("/books")
    def list_books() -> Response:
        page = db.paginate(select(Book).order_by(Book.title), per_page=10)
        return jsonify(books=[as_json(book) for book in page.items], total=page.total)

    @app.get("/authors/<int:author_id>")
    def show_author(author_id: int) -> Response:
        author = db.get_or_404(Author, author_id, description="No such author")
        newest = db.session.scalar(select(func.max(Book.year)).where(Book.author == author))
        return jsonify(name=author.name, books=[b.title for b in author.books], newest=newest)

    @app.post("/authors/<name>/books")
    def add_book(name: str) -> tuple[Response, int]:
        author = db.one_or_404(select(Author).where(Author.name == name))
        book = Book(title=request.form["title"], author=author)
        db.session.add(book)
        db.session.commit()
        return jsonify(as_json(book)), 201

    return app
