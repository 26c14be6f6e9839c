"""A program: processes that buy, cancel and are killed; the test beside it reads what they noted.

``python buyers.py URL LOG SECONDS``. Each line of the log is one JSON object, written at once and
only after the shop has answered, so that a process that is killed leaves no half.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask.testing import FlaskClient

from shop import config, create_app
from shop.db import db
from shop.models import Product, User

WORKERS = 8
KILL_EVERY = 3.0


def main() -> None:
    url, path, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    app = create_app(config.Testing(url))
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with app.app_context():
        buyers = list(db.session.scalars(sa.select(User.id).where(User.active)))
        products = list(db.session.scalars(sa.select(Product.id)))
        db.session.remove()
        db.engine.dispose()
    end = time.monotonic() + seconds

    def start(number: int, last: dict[str, Any] | None = None) -> int:
        if pid := os.fork():
            return pid
        status = 1
        try:
            buyer = Buyer(app.test_client(), path, buyers[number % len(buyers)], products)
            buyer.buy(end, last)
            status = 0
        finally:
            os._exit(status)

    workers = [start(number) for number in range(WORKERS)]
    interval = min(KILL_EVERY, seconds / 2)
    while time.monotonic() + interval < end:
        time.sleep(interval)
        number = random.randrange(WORKERS)
        os.kill(workers[number], signal.SIGKILL)
        os.waitpid(workers[number], 0)
        note(path, did="kill")
        workers[number] = start(number, last_attempt(path, workers[number]))
    statuses = [os.waitpid(pid, 0)[1] for pid in workers]
    sys.exit(any(statuses))


class Buyer:
    """One process's customer."""

    def __init__(self, client: FlaskClient, path: Path, user_id: int, products: list[int]) -> None:
        self.client, self.path, self.user_id, self.products = client, path, user_id, products
        self.random = random.Random(os.getpid())
        self.numbers: list[str] = []

    def buy(self, end: float, last: dict[str, Any] | None) -> None:
        """Buy until the end; first what the killed one before may or may not have bought."""
        if last is not None:
            self.place(last["key"], last["body"])
        count = 0
        while time.monotonic() < end:
            count += 1
            key, body = f"{os.getpid()}-{count}", {"user_id": self.user_id, "items": self.cart()}
            for _ in range(2 if self.random.random() < 0.1 else 1):
                self.place(key, body)
            if self.numbers and self.random.random() < 0.1:
                self.cancel(self.random.choice(self.numbers))

    def cart(self) -> list[dict[str, int]]:
        """Three to five products in random order."""
        chosen = self.random.sample(self.products, self.random.randint(3, 5))
        return [{"product_id": p, "quantity": self.random.randint(1, 3)} for p in chosen]

    def place(self, key: str, body: dict[str, Any]) -> None:
        note(self.path, did="try", key=key, body=body)
        headers = {"Idempotency-Key": key}
        answer = self.client.post("/api/v1/orders", json=body, headers=headers)
        problem = answer.get_json(force=True)
        if answer.status_code == 201:
            self.numbers.append(problem["number"])
            note(self.path, did="place", key=key, number=problem["number"])
        elif answer.status_code != 409:
            note(self.path, did="fail", status=answer.status_code, text=answer.text)

    def cancel(self, number: str) -> None:
        answer = self.client.post(f"/api/v1/orders/{number}/cancellation")
        if answer.status_code == 200:
            note(self.path, did="cancel", number=number)
        else:
            note(self.path, did="fail", status=answer.status_code, text=answer.text)


def note(path: Path, **what: Any) -> None:
    """Add a line, whole or not at all."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, json.dumps({"pid": os.getpid(), **what}).encode() + b"\n")
    os.close(file)


def last_attempt(path: Path, pid: int) -> dict[str, Any] | None:
    """What the process tried last."""
    notes = [json.loads(line) for line in path.read_text().splitlines()]
    tries = [one for one in notes if one["pid"] == pid and one["did"] == "try"]
    return tries[-1] if tries else None


if __name__ == "__main__":
    main()
