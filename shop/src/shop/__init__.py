"""A shop, built on the public interface of Flask-Retort alone."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from flask_retort.errors import ConfigurationError
from flask_retort.migrations import Migrate
from shop import api, cli, config
from shop.db import db
from shop.errors import ShopError

__all__ = ["create_app"]


def create_app(configuration: config.Configuration | None = None) -> Flask:
    """A Flask application with its routes and commands; makes engines, but no connection yet.

    :param configuration: an instance of one of the classes in :mod:`shop.config`; without it
        ``SHOP_ENV`` chooses: ``development`` (the default) or ``production``.
    :raises shop.errors.ShopError: a setting is absent or wrong.
    """
    app = Flask("shop", instance_path=os.environ.get("SHOP_INSTANCE"))
    app.config.from_object(configuration or config.from_environment())
    try:
        db.init_app(app)
    except ConfigurationError as error:
        raise ShopError(str(error)) from error
    # Beside the code, so that an installed shop can bring its database up to date.
    Migrate(app, db, directory=Path(app.root_path) / "migrations")
    api.init_app(app)
    cli.init_app(app)
    return app
