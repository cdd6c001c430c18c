"""The tables of a PostgreSQL store: made, brought up to date, written out and compared."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

import psycopg

from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.errors import SchemaMismatch, StoreError
from longshore.stores.postgres.core import DAY, literal
from longshore.stores.postgres.execute import Cursor
from longshore.stores.sql.schema import (
    Known,
    Shape,
    differences,
    due_shape,
    next_of,
    own_tables,
    split,
    status_of,
)
from longshore.stores.sql.statements import Queries

#: Partitions are made by hand for so many days ahead.
AHEAD_BY_HAND: Final = 10

_PARTITION: Final = re.compile(r"_ended_d[0-9]+$")
#: What says that tables of these names are there, made by somebody else or half of them.
_MISFITS: Final = (
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.WrongObjectType,
)


def schema_of(cursor: Cursor, queries: Queries, known: Mapping[str, Known]) -> SchemaStatus:
    """Which migrations a database has had."""
    rows: list[Any] = []
    if _first(cursor, queries, "migration_table_there"):
        rows = _all(cursor, queries, "migrations")
    return status_of(((name, bool(additive), True) for name, additive in rows), known)


def migrate_next(
    cursor: Cursor, queries: Queries, known: Mapping[str, Known], prefix: str, now: int
) -> tuple[str, ...]:
    """Run the migrations that are next, if any, in one transaction.

    Raises:
        SchemaMismatch: it does not fit the tables that are there.
        StoreError: this database cannot hold every text.
    """
    with cursor.connection.transaction():
        _alone(cursor, prefix)
        # Whoever waited for the lock may remember that there were no tables, and forgets it only
        # when another table is opened.
        cursor.execute("select from pg_catalog.pg_class limit 0")
        names = next_of(schema_of(cursor, queries, known))
        encoding = cursor.connection.info.parameter_status("server_encoding")
        if names and encoding not in ("UTF8", None):
            raise StoreError(
                f"this database keeps text as {encoding}, which cannot hold every text. Make one"
                " with `encoding 'UTF8'` for the jobs."
            )
        for name in names:
            _migrate(cursor, queries, known[name], now)
        return names


def keep_days(cursor: Cursor, queries: Queries, prefix: str, now: int) -> None:
    """Make the partitions of the days to come and drop those that are over, if this role may.

    Whoever prunes does so too; where workers have no right to, this is done by hand, once a week.
    """
    today = now // DAY
    with cursor.connection.transaction():
        _alone(cursor, prefix)
        if not _first(cursor, queries, "may_partition"):
            return
        there = [day for day, _ in _all(cursor, queries, "days")]
        for day in range(today, today + AHEAD_BY_HAND):
            if day not in there:
                for name in ("make_day", "make_day_index", "attach_day"):
                    cursor.execute(literal(queries[name], day=day).text.encode())
        for day in there:
            values = {"day": day, "now": now}
            if day < today - 2 and not _first(cursor, queries, "day_kept", values):
                cursor.execute(literal(queries["drop_day"], day=day).text.encode())
                cursor.execute(_text(queries, "forget_day"), values)


def script_of(queries: Queries, known: Mapping[str, Known]) -> tuple[Migration, ...]:
    """Each migration as a script for psql."""
    return tuple(
        Migration(
            migration.name,
            migration.additive,
            "begin;\n"
            f"{queries['migration_table'].text};\n\n"
            f"{migration.text.strip()}\n\n"
            f"{_noted(queries, migration)};\n"
            "commit;\n",
        )
        for migration in known.values()
    )


def verify(
    cursor: Cursor, queries: Queries, known: Mapping[str, Known], prefix: str
) -> tuple[Difference, ...]:
    """Compare a database with what the same migrations make in a schema that is given up again."""
    status = schema_of(cursor, queries, known)
    actual = _shape(cursor, queries, prefix)
    with cursor.connection.transaction(force_rollback=True):
        cursor.execute("create schema longshore_verify")
        cursor.execute("set local search_path = longshore_verify")
        cursor.execute(_text(queries, "migration_table"))
        for migration in due_shape(status, known):
            for statement in split(migration.text):
                cursor.execute(statement.encode())
        expected = _shape(cursor, queries, prefix)
    return differences(expected, actual, newer=bool(status.unknown))


def _migrate(cursor: Cursor, queries: Queries, migration: Known, now: int) -> None:
    cursor.execute(_text(queries, "migration_table"))
    try:
        for statement in split(migration.text):
            cursor.execute(statement.encode())
    except _MISFITS as error:
        raise SchemaMismatch(
            f"migration {migration.name} does not fit the tables that are there ({error}); nothing"
            " was changed. They are not Longshore's, or half of an older copy: use another"
            " database, or another prefix= for the tables."
        ) from error
    values = {"name": migration.name, "additive": migration.additive, "now": now}
    cursor.execute(_text(queries, "migrated"), values)


def _shape(cursor: Cursor, queries: Queries, prefix: str) -> Shape:
    tables: dict[str, dict[str, str]] = {}
    for table, what, detail in _all(cursor, queries, "shape"):
        tables.setdefault(table, {})[what] = detail
    mine = own_tables(prefix, tables)
    return {table: tables[table] for table in mine if _PARTITION.search(table) is None}


def _noted(queries: Queries, migration: Known) -> str:
    """The row that says a migration has run, with its values written in."""
    values = {
        "%(name)s": f"'{migration.name}'",
        "%(additive)s": str(migration.additive).lower(),
        "%(now)s": "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
    }
    text = queries["migrated"].text
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _alone(cursor: Cursor, prefix: str) -> None:
    """Of several that come at once one changes tables.

    The lock ends with the transaction, so that it holds where connections are shared, too.
    """
    keys = tuple(zlib.crc32(text.encode()) >> 1 for text in ("longshore", prefix))
    cursor.execute("select pg_advisory_xact_lock(%s, %s)", keys)


def _text(queries: Queries, name: str) -> bytes:
    return queries[name].text.encode()


def _all(cursor: Cursor, queries: Queries, name: str) -> list[Any]:
    return cursor.execute(_text(queries, name)).fetchall()


def _first(cursor: Cursor, queries: Queries, name: str, values: Any = None) -> Any:
    row = cursor.execute(_text(queries, name), values).fetchone()
    return row[0] if row else None
