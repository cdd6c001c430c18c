"""Whether the tables of a database are those that their migrations make.

The same migrations make temporary tables under other names, which this connection alone sees; what
the server then says of both is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from longshore.core.schema import Difference, SchemaStatus
from longshore.errors import StoreUnwritable
from longshore.stores.mysql.driver import Cursor, Driver, number_of
from longshore.stores.sql.schema import (
    Known,
    Parts,
    Shape,
    differences,
    due_shape,
    own_tables,
    split,
)
from longshore.stores.sql.statements import Queries

#: What the temporary tables are called.
MODEL: Final = "longshore_model_"

_CREATE: Final = re.compile(r"create table\b", re.IGNORECASE)
_CREATED: Final = re.compile(r"create (?:temporary )?table (?:if not exists )?(\w+)", re.IGNORECASE)
_COUNTER: Final = re.compile(r" AUTO_INCREMENT=\d+")
#: A line of what the server says of a table, and what it tells of.
_LINE: Final = re.compile(
    r"`(?P<column>\w+)` (?P<is>.+)"
    r"|(?P<unique>UNIQUE |FULLTEXT |SPATIAL )?KEY `(?P<index>\w+)` (?P<of>.+)"
    r"|PRIMARY KEY (?P<primary>.+)"
    r"|CONSTRAINT `(?P<constraint>\w+)` (?P<holds>.+)"
    r"|\) (?P<options>.+)"
)
_NOT_ALLOWED: Final = frozenset({1044, 1142, 1227})


def verify(
    driver: Driver, cursor: Cursor, known: Mapping[str, Known], prefix: str, status: SchemaStatus
) -> tuple[Difference, ...]:
    """Compare; the connection commits by itself.

    Raises:
        StoreUnwritable: this user may not make temporary tables.
    """
    cursor.execute(
        "select table_name from information_schema.tables where table_schema = database()"
    )
    tables = own_tables(prefix, [name for (name,) in cursor.fetchall()])
    actual = {table: _parts(cursor, table) for table in tables}
    try:
        expected = _expected(cursor, due_shape(status, known), prefix)
    except driver.Error as error:
        if number_of(error) in _NOT_ALLOWED:
            raise StoreUnwritable(
                f"comparing tables needs temporary ones, which this user may not make ({error})."
                " Run it with the address of the tables' owner, or `grant create temporary tables`."
            ) from error
        raise
    return differences(expected, actual, newer=bool(status.unknown))


def _expected(cursor: Cursor, migrations: Iterable[Known], prefix: str) -> Shape:
    texts = [Queries("mysql", MODEL)["migration_table"].text]
    texts += [text for one in migrations for text in split(_renamed(one, prefix))]
    made: list[str] = []
    try:
        for text in texts:
            cursor.execute(_CREATE.sub("create temporary table", text, count=1))
            found = _CREATED.match(text)
            if found is not None:
                made.append(found[1])
        return {
            prefix + table.removeprefix(MODEL): {
                what.replace(MODEL, prefix): detail.replace(MODEL, prefix)
                for what, detail in _parts(cursor, table).items()
            }
            for table in made
        }
    finally:
        for table in made:
            cursor.execute(f"drop temporary table if exists {table}")


def _renamed(migration: Known, prefix: str) -> str:
    """A migration for the other names."""
    return re.sub(rf"\b{prefix}(?=\w)", MODEL, migration.text)


def _parts(cursor: Cursor, table: str) -> Parts:
    """A table as the server itself writes it, line by line."""
    cursor.execute(f"show create table {table}")
    text: str = cursor.fetchall()[0][1]
    parts: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        found = _LINE.match(_COUNTER.sub("", line.strip().rstrip(",")))
        if found is None:
            parts[f"line {line.strip()}"] = "there"
        elif found["column"]:
            parts[f"column {found['column']}"] = found["is"]
        elif found["index"]:
            parts[f"index {found['index']}"] = f"{found['unique'] or ''}{found['of']}".lower()
        elif found["primary"]:
            parts["primary key"] = found["primary"]
        elif found["constraint"]:
            parts[f"constraint {found['constraint']}"] = found["holds"]
        else:
            parts["options"] = found["options"]
    return parts
