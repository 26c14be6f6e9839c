"""Units of work keep the types of what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from a_cycle_of_models import Author
from cycle_extensions import db

from flask_retort.errors import UniqueViolation
from flask_retort.session import Session
from flask_retort.transactions import Retry, transaction

with db.transaction() as session:
    assert_type(session, Session)

with db.read_only() as reading:
    assert_type(reading, Session)


@db.transaction(retry=Retry(times=5), isolation="serializable")
def count(name: str, *, since: int = 0) -> int:
    return len(name) + since


assert_type(count("Ursula", since=1), int)
function: Callable[[str], int] = count
assert_type(db.lock(Author, [1, 2]), dict[Any, Author])
db.on_commit(count, "Ursula", since=2)
db.on_commit(count, 1)  # reported: arg-type | reportArgumentType

with transaction(db.session()) as plain:
    plain.add(Author(name="Ursula"))

try:
    count("Ursula")
except UniqueViolation as error:
    assert_type(error.fields, tuple[str, ...])
    assert_type(error.model, type[Any] | None)
