"""The commands, as typed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from shop import config, create_app
from shop.db import db
from shop.models import OrderRequest
from shop.services.orders import place_order
from shop.services.placing.submission import Line


def test_db_upgrade_creates_the_tables(database_url: sa.URL) -> None:
    """``db upgrade`` makes every table, wherever it is started, and once."""
    app = create_app(config.Testing(database_url))
    runner = app.test_cli_runner()
    first, second = (runner.invoke(args=["db", "upgrade"]) for _ in range(2))
    assert first.exit_code == second.exit_code == 0, first.output + second.output
    assert "upgrade fc501b7699a5" in first.output
    assert "Nothing to do" in second.output
    with app.app_context():
        assert set(sa.inspect(db.engine).get_table_names()) > set(db.metadata.tables)
        db.engine.dispose()


def test_db_check_finds_no_difference(app: Flask) -> None:
    """``db check`` says that the models are what the revisions make."""
    result = app.test_cli_runner().invoke(args=["db", "check"])
    assert result.exit_code == 0, result.output


def test_import_tells_what_it_did(app: Flask, sample: Path) -> None:
    """import-cdnow reports progress and counts; a second run says that nothing is to do."""
    runner = app.test_cli_runner()
    first = runner.invoke(args=["import-cdnow", "--file", str(sample)])
    assert first.exit_code == 0, first.output
    assert "300 of 300" in first.output
    assert "Imported 300 purchases of" in first.output
    second = runner.invoke(args=["import-cdnow", "--file", str(sample)])
    assert second.exit_code == 0, second.output
    assert "nothing to do" in second.output


def test_import_names_bad_lines(app: Flask, sample: Path) -> None:
    """import-cdnow ends with exit code 1 and the numbers of the lines it can't read."""
    with sample.open("a", encoding="ascii") as text:
        text.write("nonsense\n")
    result = app.test_cli_runner().invoke(args=["import-cdnow", "--file", str(sample)])
    assert result.exit_code == 1
    assert "line 302" in result.output


def test_old_keys_are_forgotten(app: Flask, market: Any) -> None:
    """forget-keys frees the keys of old orders, leaves those of new ones, and keeps all orders."""
    lines = [Line(market.products[0], 1)]
    old, new = (place_order(market.ann, lines, key) for key in ("old", "new"))
    last_month = dt.datetime.now(dt.UTC) - dt.timedelta(days=31)
    of_old = sa.update(OrderRequest).where(OrderRequest.order_number == old.number)
    with db.engine.begin() as connection:
        connection.execute(of_old.values(created_at=last_month))
    runner = app.test_cli_runner()
    for said in ("Forgot 1 keys.\n", "Forgot 0 keys.\n"):
        result = runner.invoke(args=["forget-keys"])
        assert (result.exit_code, result.output) == (0, said)
    assert place_order(market.ann, lines, "new") == new
    assert place_order(market.ann, lines, "old").number != old.number
    market.audit()
