"""What one session of MySQL or MariaDB sees of another: how far it is, and who keeps it waiting."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from . import Observed, own

_MARIADB_WORKER = """
    SELECT state AS state, stage AS stage, max_stage AS stages, progress AS progress, db AS db
    FROM information_schema.processlist WHERE id = :worker
"""
_MYSQL_WORKER = """
    SELECT state AS state, 0 AS stage, 0 AS stages, 0 AS progress, db AS db
    FROM information_schema.processlist WHERE id = :worker
"""
_ONLINE_PROGRESS = """
    SELECT variable_value / 100 FROM information_schema.global_status
    WHERE variable_name = 'INNODB_ONLINEDDL_PCT_PROGRESS'
"""

_SESSION = (
    "SELECT user AS user, host AS host FROM information_schema.processlist WHERE id = :number"
)

_MARIADB_ROW_LOCKS = """
    SELECT DISTINCT b.trx_mysql_thread_id AS id, p.user AS user, p.host AS host,
           TIMESTAMPDIFF(SECOND, b.trx_started, NOW()) AS age
    FROM information_schema.innodb_trx AS r
    JOIN information_schema.innodb_lock_waits AS w ON w.requesting_trx_id = r.trx_id
    JOIN information_schema.innodb_trx AS b ON b.trx_id = w.blocking_trx_id
    LEFT JOIN information_schema.processlist AS p ON p.id = b.trx_mysql_thread_id
    WHERE r.trx_mysql_thread_id = :worker
"""
_MYSQL_ROW_LOCKS = """
    SELECT DISTINCT b.trx_mysql_thread_id AS id, p.user AS user, p.host AS host,
           TIMESTAMPDIFF(SECOND, b.trx_started, NOW()) AS age
    FROM information_schema.innodb_trx AS r
    JOIN performance_schema.data_lock_waits AS w
        ON w.requesting_engine_transaction_id = r.trx_id
    JOIN information_schema.innodb_trx AS b ON b.trx_id = w.blocking_engine_transaction_id
    LEFT JOIN information_schema.processlist AS p ON p.id = b.trx_mysql_thread_id
    WHERE r.trx_mysql_thread_id = :worker
"""

_LOCK_TABLE = """
    SELECT DISTINCT t.processlist_id AS id, p.user AS user, p.host AS host,
           TIMESTAMPDIFF(SECOND, x.trx_started, NOW()) AS age
    FROM performance_schema.threads AS me
    JOIN performance_schema.metadata_locks AS mine
        ON mine.owner_thread_id = me.thread_id AND mine.lock_status = 'PENDING'
    JOIN performance_schema.metadata_locks AS theirs
        ON theirs.object_type = mine.object_type
        AND theirs.object_schema <=> mine.object_schema
        AND theirs.object_name <=> mine.object_name
        AND theirs.lock_status = 'GRANTED'
        AND theirs.lock_type <> 'INTENTION_EXCLUSIVE'
        AND theirs.owner_thread_id <> mine.owner_thread_id
    JOIN performance_schema.threads AS t ON t.thread_id = theirs.owner_thread_id
    LEFT JOIN information_schema.processlist AS p ON p.id = t.processlist_id
    LEFT JOIN information_schema.innodb_trx AS x ON x.trx_mysql_thread_id = t.processlist_id
    WHERE me.processlist_id = :worker
"""
_LOCK_PLUGIN = """
    SELECT DISTINCT theirs.thread_id AS id, p.user AS user, p.host AS host,
           TIMESTAMPDIFF(SECOND, x.trx_started, NOW()) AS age
    FROM information_schema.metadata_lock_info AS mine
    JOIN information_schema.metadata_lock_info AS theirs
        ON theirs.lock_type = mine.lock_type AND theirs.table_schema = mine.table_schema
        AND theirs.table_name = mine.table_name AND theirs.thread_id <> mine.thread_id
    LEFT JOIN information_schema.processlist AS p ON p.id = theirs.thread_id
    LEFT JOIN information_schema.innodb_trx AS x ON x.trx_mysql_thread_id = theirs.thread_id
    WHERE mine.thread_id = :worker AND mine.lock_type = 'Table metadata lock'
"""
_OPEN_TRANSACTIONS = """
    SELECT x.trx_mysql_thread_id AS id, p.user AS user, p.host AS host,
           TIMESTAMPDIFF(SECOND, x.trx_started, NOW()) AS age
    FROM information_schema.innodb_trx AS x
    LEFT JOIN information_schema.processlist AS p ON p.id = x.trx_mysql_thread_id
    WHERE x.trx_mysql_thread_id <> :worker
    ORDER BY p.db <=> :database DESC, x.trx_started, x.trx_mysql_thread_id
    LIMIT 3
"""

_NOT_TO_BE_HAD = (1044, 1109, 1142, 1146, 1227)
"""No privilege, or the server has no such table."""

_UNSEEN = (
    "another session's transaction or query ('GRANT PROCESS ON *.* TO' the database's user, and the"
    " next run can name it)"
)
_WITHOUT_TRANSACTION = "a session without an open transaction: a long query, or LOCK TABLES"


class Observer:
    """Looks at a worker through a connection beside it, and remembers what it may not ask.

    Never reads the text of a statement: it can hold what nobody else should see. InnoDB shows open
    transactions from a copy that is made anew where nobody has asked for 0.1 s.
    """

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def observed(self, connection: sa.Connection, worker: int) -> Observed:
        """How far the worker is, or who keeps it waiting. Costs two or three round trips."""
        mariadb = is_mariadb(connection)
        query = _MARIADB_WORKER if mariadb else _MYSQL_WORKER
        row = own(connection, query, {"worker": worker}).first()
        if row is None:
            return Observed(detail="its connection is gone from the server")
        if re.fullmatch("Waiting for .* lock", row.state or ""):
            return Observed(self._holders(connection, worker, row.db))
        if row.state == "altering table" and mariadb:
            return Observed(detail=_online_progress(connection))
        if row.stages:
            stage = f"stage {row.stage} of {row.stages}"
            return Observed(detail=f"{row.state}: {stage}, {row.progress:.0f} %")
        row_locks = _MARIADB_ROW_LOCKS if mariadb else _MYSQL_ROW_LOCKS
        return Observed(self._blockers(connection, row_locks, {"worker": worker}))

    def _holders(
        self, connection: sa.Connection, worker: int, database: str | None
    ) -> tuple[str, ...]:
        """Who can have the metadata lock: exactly, where the server tells that."""
        for query in (_LOCK_TABLE, _LOCK_PLUGIN):
            if exact := self._blockers(connection, query, {"worker": worker}):
                return exact
        parameters = {"worker": worker, "database": database}
        candidates = self._blockers(connection, _OPEN_TRANSACTIONS, parameters)
        if candidates:
            return tuple(f"probably {candidate}" for candidate in candidates)
        return (_UNSEEN if _OPEN_TRANSACTIONS in self._refused else _WITHOUT_TRANSACTION,)

    def _blockers(
        self, connection: sa.Connection, query: str, parameters: dict[str, Any]
    ) -> tuple[str, ...]:
        """The sessions that a query finds, in words; none where it may not be asked."""
        if query in self._refused:
            return ()
        try:
            rows = own(connection, query, parameters).all()
        except exc.DBAPIError as error:
            if error.orig is None or error.orig.args[0] not in _NOT_TO_BE_HAD:
                raise
            self._refused.add(query)
            return ()
        return tuple(_in_words(row.id, row.user, row.host, row.age) for row in rows)


def session_in_words(connection: sa.Connection, number: int) -> str:
    """A session as "connection 123 of user app from 10.0.0.4:5543", as far as one may see it."""
    row = own(connection, _SESSION, {"number": number}).first()
    return _in_words(number, row.user, row.host) if row else _in_words(number)


def is_mariadb(connection: sa.Connection) -> bool:
    """Whether it is MariaDB, whatever the URL says. Known once the engine has connected."""
    return bool(getattr(connection.dialect, "is_mariadb", False))


def _in_words(
    number: int, user: str | None = None, host: str | None = None, seconds: int | None = None
) -> str:
    if number == 0:
        return "a prepared XA transaction (see XA RECOVER)"
    words = f"connection {number}"
    if user:
        words += f" of user {user} from {host}"
    if seconds is not None:
        words += f", transaction open for {seconds} s"
    return words


def _online_progress(connection: sa.Connection) -> str:
    """InnoDB tells this of the server's last online ALTER, which is nearly always this one."""
    progress = own(connection, _ONLINE_PROGRESS).scalar()
    return f"altering table: {progress:.0f} %" if progress is not None else ""
