"""Many processes deploy at once: one migrates, the others wait for it, all succeed."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.migrations.deployed import Deployment, ended, events
from tests.migrations.scripts import contents, engine_for

PROCESSES = 8

FIRST = """
    op.create_table(
        "users",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50)),
    )
    users = sa.table("users", sa.column("id"), sa.column("name"))
    op.bulk_insert(users, [{"id": n, "name": f"user {n}"} for n in range(1, 1001)])
"""
SECOND = """
    op.add_column("users", sa.Column("nick", sa.String(50)))
    op.execute("UPDATE users SET nick = name")
"""
CONCURRENT_INDEX = """
    with op.get_context().autocommit_block():
        op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)
"""


@pytest.mark.parametrize("third", [CONCURRENT_INDEX, ""], ids=["concurrent index", "plain"])
def test_eight_upgrades_from_empty(database_url: sa.URL, tmp_path: Path, third: str) -> None:
    """All exit with 0, and each revision was made once, by one of them."""
    deployment = Deployment(tmp_path / "app", database_url)
    revisions = [
        deployment.history.add(body)
        for body in (FIRST, SECOND, third or 'op.create_index("ix_users_name", "users", ["name"])')
    ]
    processes = [deployment.start("upgrade", "--json") for _ in range(PROCESSES)]
    runs = [ended(process) for process in processes]
    assert [run.returncode for run in runs] == [0] * PROCESSES, [run.stderr for run in runs]
    made = [
        [event["revision"] for event in events(run) if event["event"] == "revision-finished"]
        for run in runs
    ]
    assert sorted(made) == [[]] * (PROCESSES - 1) + [revisions]
    engine = engine_for(database_url)
    found = contents(engine)
    engine.dispose()
    assert {*found} - {"sqlite_master"} == {"alembic_version", "users"}
    assert found["users"]["indexes"] == [("ix_users_name", ("name",), False)]
    assert len(found["users"]["rows"]) == 1000
