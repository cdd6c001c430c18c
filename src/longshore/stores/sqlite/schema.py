"""The tables of a SQLite file: made, brought up to date, written out and compared."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.errors import SchemaMismatch
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
from longshore.stores.sqlite.file import is_busy


def schema_of(
    connection: sqlite3.Connection, queries: Queries, known: Mapping[str, Known]
) -> SchemaStatus:
    """Which migrations a file has had. The caller is in a transaction."""
    there = connection.execute(queries["migration_table_there"].text).fetchall()
    rows = connection.execute(queries["migrations"].text).fetchall() if there else []
    return status_of(((name, bool(additive), True) for name, additive in rows), known)


def migrate_next(
    connection: sqlite3.Connection, queries: Queries, known: Mapping[str, Known], now: int
) -> tuple[str, ...]:
    """Run the migrations that are next, if any; the caller is in a write transaction."""
    names = next_of(schema_of(connection, queries, known))
    for name in names:
        _migrate(connection, queries, known[name], now)
    return names


def script_of(queries: Queries, known: Mapping[str, Known]) -> tuple[Migration, ...]:
    """Each migration as a script for the sqlite3 shell."""
    return tuple(
        Migration(
            migration.name,
            migration.additive,
            "begin immediate;\n"
            f"{queries['migration_table'].text};\n\n"
            f"{migration.text.strip()}\n\n"
            f"{_noted(queries, migration)};\n"
            "commit;\n",
        )
        for migration in known.values()
    )


def verify(
    connection: sqlite3.Connection, queries: Queries, known: Mapping[str, Known], prefix: str
) -> tuple[Difference, ...]:
    """Compare a file with one that the same migrations have made."""
    status = schema_of(connection, queries, known)
    model = sqlite3.connect(":memory:", isolation_level=None)
    try:
        model.execute(queries["migration_table"].text)
        for migration in due_shape(status, known):
            _run(model, migration)
        expected = _shape(model, prefix)
    finally:
        model.close()
    return differences(expected, _shape(connection, prefix), newer=bool(status.unknown))


def _migrate(connection: sqlite3.Connection, queries: Queries, migration: Known, now: int) -> None:
    connection.execute(queries["migration_table"].text)
    try:
        _run(connection, migration)
    except sqlite3.OperationalError as error:
        if is_busy(error):
            raise
        raise SchemaMismatch(
            f"migration {migration.name} does not fit the tables that are there ({error}); nothing"
            " was changed. They are not Longshore's, or half of an older copy: use another file,"
            " or another prefix= for the tables."
        ) from error
    connection.execute(
        queries["migrated"].text,
        {"name": migration.name, "additive": int(migration.additive), "now": now},
    )


def _run(connection: sqlite3.Connection, migration: Known) -> None:
    # Not executescript: it would end our transaction.
    for statement in split(migration.text):
        connection.execute(statement)


def _noted(queries: Queries, migration: Known) -> str:
    """The row that says a migration has run, with its values written in."""
    values = {
        ":name": f"'{migration.name}'",
        ":additive": str(int(migration.additive)),
        ":now": "strftime('%s', 'now') * 1000000",
    }
    text = queries["migrated"].text
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _shape(connection: sqlite3.Connection, prefix: str) -> Shape:
    rows = connection.execute(
        "select name, wr, strict from pragma_table_list where schema = 'main' and type = 'table'"
    ).fetchall()
    options = {name: (bool(without), bool(strict)) for name, without, strict in rows}
    return {
        table: {
            "options": _options(*options[table]),
            **dict(_columns(connection, table)),
            **dict(_indexes(connection, table)),
        }
        for table in own_tables(prefix, options)
    }


def _options(without: bool, strict: bool) -> str:  # noqa: FBT001 - two columns of one row
    return " ".join((("without rowid",) if without else ()) + (("strict",) if strict else ()))


def _columns(connection: sqlite3.Connection, table: str) -> Iterable[tuple[str, str]]:
    rows = connection.execute(
        'select name, type, "notnull", dflt_value, pk from pragma_table_info(?)', (table,)
    )
    for name, kind, required, default, key in rows.fetchall():
        parts = [kind.lower()]
        if required:
            parts.append("not null")
        if default is not None:
            parts.append(f"default {default}")
        if key:
            parts.append(f"primary key {key}")
        yield f"column {name}", " ".join(parts)


def _indexes(connection: sqlite3.Connection, table: str) -> Iterable[tuple[str, str]]:
    # An index that a constraint made has no text: its columns tell of it.
    rows = connection.execute(
        "select name, sql from sqlite_schema where type = 'index' and tbl_name = ?", (table,)
    )
    for name, text in rows.fetchall():
        if text is not None:
            yield f"index {name}", " ".join(text.split()).lower()
