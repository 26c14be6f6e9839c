"""What the catalog holds of what a statement names, and so what became of a killed one."""

from __future__ import annotations

import enum
import hashlib
import json
import re
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from sqlalchemy import exc

from . import INTERNAL, own
from .mysql_observing import is_mariadb
from .mysql_statements import DEFINES, REPEATABLE, Statement

_NO_PROCESS_PRIVILEGE = 1227

_Trace = dict[str, str]
"""Kind and name of a thing, to the digest of its definition."""


class Outcome(enum.Enum):
    """What became of a statement that was running when its client was killed."""

    DONE = "done"
    NOT_DONE = "not done"
    PARTLY = "partly"
    """Some of the tables are dropped; MariaDB drops one after the other."""
    UNKNOWN = "unknown"
    """It leaves no trace, and a second run may do harm."""


def taken(connection: sa.Connection, text: str) -> str:
    """The definitions of everything that a statement names, as digests; costs some milliseconds.

    Names are read from the catalog and looked for in the statement, so nothing that exists and is
    named is missed, whatever the statement is. AUTO_INCREMENT and rows have no part in it, nor
    have things that are not named: others may change them meanwhile.

    :return: a JSON object; empty where the statement does not define anything.
    """
    statement = Statement(text)
    if statement.verb not in DEFINES or statement.is_several:
        return ""
    found = dict(_Catalog(connection, statement).found())
    return json.dumps({key: _digest(value) for key, value in found.items()}, sort_keys=True)


def outcome(connection: sa.Connection, text: str, fingerprint: str) -> Outcome:
    """What became of the statement before which this fingerprint was taken.

    A definition that is another than before says that it took effect: the servers carry out one
    statement wholly or not at all (MariaDB since 10.6, MySQL since 8), with the exceptions below.
    """
    statement = Statement(text)
    if statement.is_several or not (statement.verb in DEFINES or _is_repeatable(statement)):
        return Outcome.UNKNOWN
    if not fingerprint or statement.verb not in DEFINES:
        return Outcome.NOT_DONE
    then, now = _comparable(json.loads(fingerprint), json.loads(taken(connection, text)))
    if statement.verb == "DROP" and statement.object in ("TABLE", "VIEW", "SEQUENCE", "DATABASE"):
        return _dropped(statement, then, now)
    if statement.verb == "CREATE":
        # CREATE OR REPLACE TABLE may have dropped, and not yet created.
        done = any(then.get(key) != value for key, value in now.items())
    else:
        done = then != now
    if not done and _swaps_rows(statement) and not any(map(_is_number, then)):
        return Outcome.UNKNOWN
    return Outcome.DONE if done else Outcome.NOT_DONE


def _comparable(then: _Trace, now: _Trace) -> tuple[_Trace, _Trace]:
    """Without the numbers that only one of them could read; privileges may have changed."""
    known = then.keys() & now.keys()
    first, second = (
        {key: value for key, value in trace.items() if key in known or not _is_number(key)}
        for trace in (then, now)
    )
    return first, second


def _is_number(key: str) -> bool:
    return key.startswith("number ")


def _dropped(statement: Statement, then: _Trace, now: _Trace) -> Outcome:
    """DROP TABLE a, b is a statement for each table; DROP DATABASE too, and the database last."""
    kinds = ("schema ",) if statement.object == "DATABASE" else ("table ", "view ")
    were_there = {key for key in then if key.startswith(kinds)}
    left = were_there & now.keys()
    if not were_there or left == were_there:
        return Outcome.NOT_DONE
    return Outcome.PARTLY if left else Outcome.DONE


def _is_repeatable(statement: Statement) -> bool:
    if statement.verb == "BEGIN":
        return not statement.says("NOT", "ATOMIC")
    return statement.verb in REPEATABLE


def _swaps_rows(statement: Statement) -> bool:
    return statement.verb == "ALTER" and statement.says("EXCHANGE", "PARTITION")


def _needs_identity(statement: Statement) -> bool:
    """Whether it can change tables whose definitions stay as they are."""
    if statement.object != "TABLE":
        return False
    return (
        statement.verb in ("RENAME", "TRUNCATE")
        or statement.says("OR", "REPLACE")
        or statement.says("TRUNCATE", "PARTITION")
        or _swaps_rows(statement)
    )


def _digest(definition: str) -> str:
    return hashlib.sha256(definition.encode()).hexdigest()[:16]


class _Catalog:
    """Reads the definitions of what one statement names, in all the schemas that it can mean."""

    def __init__(self, connection: sa.Connection, statement: Statement) -> None:
        self._connection = connection
        self._statement = statement

    def found(self) -> Iterator[tuple[str, str]]:
        """Kind and name of each thing, and its definition."""
        readers: dict[str, Callable[[str], Iterator[tuple[str, str]]]] = {
            "TRIGGER": self._triggers,
            "PROCEDURE": self._routines,
            "FUNCTION": self._routines,
            "PACKAGE": self._routines,
            "EVENT": self._events,
            **dict.fromkeys(("TABLE", "VIEW", "INDEX", "SEQUENCE", "DATABASE"), self._tables),
        }
        reader = readers.get(self._statement.object)
        if reader is None:
            return
        current = own(self._connection, "SELECT DATABASE()").scalar()
        schemas = own(
            self._connection,
            "SELECT schema_name AS name, default_character_set_name AS charset,"
            " default_collation_name AS collation"
            " FROM information_schema.schemata",
        ).all()
        for schema in schemas:
            is_named = self._is_named(schema.name)
            if is_named and self._statement.object == "DATABASE":
                yield f"schema {schema.name}", f"{schema.charset} {schema.collation}"
            if is_named or schema.name == current:
                yield from reader(schema.name)

    def _tables(self, schema: str) -> Iterator[tuple[str, str]]:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = :schema"
        for name in self._named(query, schema):
            kind = self._row(
                "SELECT table_type FROM information_schema.tables"
                " WHERE table_schema = :schema AND table_name = :name",
                schema,
                name,
            )
            if kind == "VIEW":
                yield f"view {schema}.{name}", self._view(schema, name)
            elif kind == "SEQUENCE":
                yield f"table {schema}.{name}", self._shown("SEQUENCE", schema, name)
            elif kind not in ("", "TEMPORARY"):
                yield f"table {schema}.{name}", self._shown("TABLE", schema, name)
                if _needs_identity(self._statement):
                    yield from self._identity(schema, name)

    def _shown(self, kind: str, schema: str, name: str) -> str:
        quote = self._connection.dialect.identifier_preparer.quote_identifier
        shown = self._connection.exec_driver_sql(
            f"SHOW CREATE {kind} {quote(schema)}.{quote(name)}",
            execution_options={INTERNAL: True},
        )
        return re.sub(r" AUTO_INCREMENT=\d+", "", str(shown.one()[1]))

    def _view(self, schema: str, name: str) -> str:
        # SHOW CREATE VIEW needs a privilege that those who create views can lack.
        return self._row(
            "SELECT CONCAT_WS('|', view_definition, check_option, security_type, definer)"
            " FROM information_schema.views"
            " WHERE table_schema = :schema AND table_name = :name",
            schema,
            name,
        )

    def _triggers(self, schema: str) -> Iterator[tuple[str, str]]:
        query = (
            "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = :schema"
        )
        for name in self._named(query, schema):
            yield (
                f"trigger {schema}.{name}",
                self._row(
                    "SELECT CONCAT_WS('|', event_object_table, action_timing, event_manipulation,"
                    " action_order, definer, action_statement) FROM information_schema.triggers"
                    " WHERE trigger_schema = :schema AND trigger_name = :name",
                    schema,
                    name,
                ),
            )

    def _routines(self, schema: str) -> Iterator[tuple[str, str]]:
        query = (
            "SELECT routine_name FROM information_schema.routines WHERE routine_schema = :schema"
        )
        for name in self._named(query, schema):
            rows = own(
                self._connection,
                "SELECT routine_type AS kind, CONCAT_WS('|', dtd_identifier, is_deterministic,"
                " definer, sql_data_access, security_type, routine_comment, routine_definition)"
                " AS definition"
                " FROM information_schema.routines"
                " WHERE routine_schema = :schema AND routine_name = :name",
                {"schema": schema, "name": name},
            ).all()
            for row in rows:
                yield f"{row.kind.lower()} {schema}.{name}", str(row.definition)

    def _events(self, schema: str) -> Iterator[tuple[str, str]]:
        query = "SELECT event_name FROM information_schema.events WHERE event_schema = :schema"
        for name in self._named(query, schema):
            yield (
                f"event {schema}.{name}",
                self._row(
                    "SELECT CONCAT_WS('|', event_type, execute_at, interval_value, interval_field,"
                    " starts, ends, status, on_completion, event_comment, definer,"
                    " event_definition) FROM information_schema.events"
                    " WHERE event_schema = :schema AND event_name = :name",
                    schema,
                    name,
                ),
            )

    def _identity(self, schema: str, name: str) -> Iterator[tuple[str, str]]:
        """What is another after TRUNCATE or a swap: InnoDB's number of the table, if shown.

        That needs the PROCESS privilege. The time at which the table was made tells of RENAME too.
        """
        made = self._row(
            "SELECT create_time FROM information_schema.tables"
            " WHERE table_schema = :schema AND table_name = :name",
            schema,
            name,
        )
        yield f"made {schema}.{name}", made
        numbers = self._innodb_numbers(f"{_as_file(schema)}/{_as_file(name)}")
        if numbers:
            yield f"number {schema}.{name}", numbers

    def _innodb_numbers(self, name: str) -> str:
        view = "innodb_sys_tables" if is_mariadb(self._connection) else "innodb_tables"
        try:
            rows = own(
                self._connection,
                f"SELECT name AS name, table_id AS number FROM information_schema.{view}"  # noqa: S608 - one of two
                " WHERE name = :name OR LOCATE(:partition, name) = 1 ORDER BY name",
                {"name": name, "partition": f"{name}#P#"},
            ).all()
        except exc.OperationalError as error:
            if error.orig is None or error.orig.args[0] != _NO_PROCESS_PRIVILEGE:
                raise
            return ""
        return " ".join(f"{row.name}={row.number}" for row in rows)

    def _named(self, query: str, schema: str) -> list[str]:
        names = own(self._connection, query, {"schema": schema}).scalars()
        return sorted({name for name in names if self._is_named(name)})

    def _row(self, query: str, schema: str, name: str) -> str:
        """The only value of a query; empty where somebody dropped the thing meanwhile."""
        value = own(self._connection, query, {"schema": schema, "name": name}).scalar()
        return "" if value is None else str(value)

    def _is_named(self, name: str) -> bool:
        return name.casefold() in self._statement.names


def _as_file(name: str) -> str:
    """A name as InnoDB writes it; letters outside of ASCII have codes that are not made here."""
    return re.sub(r"[^\w]", lambda match: f"@{ord(match.group()):04x}", name)
