"""``python -m shop``: a shop with data in it, served, from nothing."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

import click
from flask import Flask
from werkzeug.serving import make_server

from flask_retort.migrations.report import TextReport
from shop import create_app
from shop.cli import file_option, import_cdnow
from shop.config import Development, Production
from shop.db import db
from shop.errors import ShopError
from shop.services import schema


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=5000, show_default=True, help="0 takes any free port.")
@click.option("--production", is_flag=True, help="Serve by gunicorn, with production settings.")
@click.option("--no-serve", is_flag=True, help="Set the database up, and end.")
@file_option
def main(host: str, port: int, production: bool, no_serve: bool, file: Path | None) -> None:
    """Upgrade the database, import real purchases into an empty one, and serve the shop.

    SHOP_DATABASE_URL names the database; without it, it is a SQLite file in the instance folder.
    """
    app = create_app(Production() if production else Development())
    listening = None if no_serve else _bind(host, port)
    with app.app_context():
        _set_up(file)
    if listening is not None:
        # Only now: until the data is in, a load balancer finds nobody here.
        listening.listen()
        _say_where_to_look(listening)
        if production:
            _serve_by_gunicorn(listening)
        _serve(app, listening)


def _bind(host: str, port: int) -> socket.socket:
    # Before the import: a port that is taken should not cost anybody a wait.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise ShopError(
                f"Port {port} on {host} is in use by another program; choose one with --port."
            ) from None
        raise ShopError(f"Can't listen on {host}, port {port}: {error.strerror}.") from error
    return listening


def _set_up(file: Path | None) -> None:
    click.echo(f"Database: {schema.shown(db.engine.url)}")
    _upgrade()
    if schema.is_empty():
        import_cdnow(file)
    db.session.remove()
    # Server processes open connections of their own.
    db.engine.dispose()


def _upgrade() -> None:
    report = TextReport(sys.stdout, goal="head")
    try:
        schema.upgrade(report)
    finally:
        report.close()


def _say_where_to_look(listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    root = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    click.echo("Look at:")
    for path in ("/", "/api/v1/products", "/api/v1/users", "/api/v1/users/1/orders", "/health"):
        click.echo(f"  {root}{path}")
    click.echo("Stop with Ctrl+C.")
    sys.stdout.flush()


def _serve(app: Flask, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    make_server(host, port, app, threaded=True, fd=listening.fileno()).serve_forever()


def _serve_by_gunicorn(listening: socket.socket) -> NoReturn:
    listening.set_inheritable(True)
    os.environ["SHOP_ENV"] = "production"
    workers = str(os.cpu_count() or 1)
    gunicorn = [sys.executable, "-m", "gunicorn", "--bind", f"fd://{listening.fileno()}"]
    threads = ["--worker-class", "gthread", "--workers", workers, "--threads", "4"]
    # S606: every word of the command stands in this file.
    os.execv(sys.executable, [*gunicorn, *threads, "shop:create_app()"])  # noqa: S606


if __name__ == "__main__":
    main(prog_name="python -m shop")
