"""The tables of a database: made, brought up to date and written out.

This server ends a transaction at every change of a table, so a migration that stops half-way has
done what it had done. How far each has come is noted after every statement; the next ``up`` goes on
from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from longshore.core.schema import Migration, SchemaStatus
from longshore.errors import SchemaMismatch, StoreBusy
from longshore.stores.mysql.driver import Connection, Cursor, Driver, number_of
from longshore.stores.sql.schema import Known, split, status_of
from longshore.stores.sql.statements import Queries

#: How long to wait for somebody else's ``up``, seconds.
PATIENCE = 60
#: How long who comes meanwhile waits for the first tables to be made, seconds.
FIRST = 30

_NO_TABLE = 1146
_NOT_ALLOWED = frozenset({1044, 1142, 1227})
#: A table, a column or an index is there already, or gone.
_DONE = frozenset({1050, 1060, 1061, 1091})


def schema_of(
    driver: Driver,
    connection: Connection,
    queries: Queries,
    known: Mapping[str, Known],
    prefix: str,
) -> SchemaStatus:
    """Which migrations have run or begun.

    The first tables are made by whoever comes first; who comes while some are missing waits.
    """
    rows = _noted(driver, connection, queries)
    there = {name for name, _, done, _ in rows if done}
    if rows and any(name not in there for name in known):
        _await_first(connection, prefix)
        rows = _noted(driver, connection, queries)
    return status_of(
        ((name, bool(additive), bool(done)) for name, additive, done, _ in rows), known
    )


def migrate(
    driver: Driver,
    connection: Connection,
    queries: Queries,
    known: Mapping[str, Known],
    prefix: str,
) -> tuple[str, ...]:
    """Run the pending migrations, one caller at a time; the connection commits by itself."""
    cursor = connection.cursor()
    try:
        with _alone(cursor, prefix):
            return _migrate(driver, connection, cursor, queries, known)
    except driver.Error as error:
        if number_of(error) in _NOT_ALLOWED:
            raise SchemaMismatch(
                f"tables are missing, and this user may not make them ({error}). Run `longshore"
                " db up` with an address whose user owns the tables."
            ) from error
        raise
    finally:
        cursor.close()


def script_of(queries: Queries, known: Mapping[str, Known]) -> tuple[Migration, ...]:
    """Each migration as a script for the mysql shell."""
    return tuple(
        Migration(
            migration.name,
            migration.additive,
            f"{queries['migration_table'].text};\n"
            f"{_written(queries['migration_begun'].text, migration)};\n\n"
            f"{migration.text.strip()}\n\n"
            f"{_written(queries['migration_step'].text, migration)};\n"
            f"{_written(queries['migrated'].text, migration)};\n",
        )
        for migration in known.values()
    )


def _migrate(
    driver: Driver,
    connection: Connection,
    cursor: Cursor,
    queries: Queries,
    known: Mapping[str, Known],
) -> tuple[str, ...]:
    noted = {name: (done, steps) for name, _, done, steps in _noted(driver, connection, queries)}
    ran: list[str] = []
    for migration in known.values():
        done, steps = noted.get(migration.name, (False, None))
        if done:
            continue
        if not noted and not ran:
            cursor.execute(queries["migration_table"].text)
        _run(driver, cursor, queries, migration, steps)
        ran.append(migration.name)
    return tuple(ran)


def _run(
    driver: Driver, cursor: Cursor, queries: Queries, migration: Known, steps: int | None
) -> None:
    """Run a migration; ``steps``: how many of its statements have run before, if it has begun."""
    name = {"name": migration.name}
    if steps is None:
        cursor.execute(
            queries["migration_begun"].text, {**name, "additive": int(migration.additive)}
        )
    for number, statement in enumerate(split(migration.text), 1):
        if number <= (steps or 0):
            continue
        try:
            cursor.execute(statement)
        except driver.Error as error:
            # Whoever stopped half-way may have run this one and not noted it.
            if number_of(error) not in _DONE:
                raise
            if steps is None or number > steps + 1:
                if number == 1:
                    cursor.execute(queries["migration_undone"].text, name)
                raise SchemaMismatch(
                    f"migration {migration.name} does not fit the tables that are there ({error})."
                    " They are not Longshore's, or half of an older copy: use another database, or"
                    " another prefix= for the tables."
                ) from error
        cursor.execute(queries["migration_step"].text, {**name, "steps": number})
    cursor.execute(queries["migrated"].text, name)


def _noted(
    driver: Driver, connection: Connection, queries: Queries
) -> list[tuple[str, int, int, int]]:
    """Name, additive, done and steps of each migration in the version table, if there is one."""
    cursor = connection.cursor()
    try:
        cursor.execute(queries["migrations"].text)
    except driver.Error as error:
        if number_of(error) == _NO_TABLE:
            return []
        raise
    else:
        return [(name, additive, done, steps) for name, additive, done, steps in cursor.fetchall()]
    finally:
        cursor.close()


@contextmanager
def _alone(cursor: Cursor, prefix: str) -> Generator[None]:
    """Keep others from changing the same tables; the lock goes with the connection."""
    name = _lock_of(cursor, prefix)
    if not _locked(cursor, name, PATIENCE):
        raise StoreBusy(
            f"somebody else has been changing the tables for more than {PATIENCE} seconds; nothing"
            " was changed. Try again when that has ended."
        )
    try:
        yield
    finally:
        _unlock(cursor, name)


def _await_first(connection: Connection, prefix: str) -> None:
    """Until nobody makes tables; where nobody does, and they are half made, at once."""
    cursor = connection.cursor()
    try:
        name = _lock_of(cursor, prefix)
        if _locked(cursor, name, FIRST):
            _unlock(cursor, name)
    finally:
        cursor.close()


def _lock_of(cursor: Cursor, prefix: str) -> str:
    """Such locks are the whole server's, and their names short."""
    cursor.execute("select database()")
    place = f"{cursor.fetchall()[0][0]} {prefix}"
    return f"longshore {hashlib.sha256(place.encode()).hexdigest()[:32]}"


def _locked(cursor: Cursor, name: str, patience: int) -> bool:
    cursor.execute("select get_lock(%s, %s)", (name, patience))
    return bool(cursor.fetchall()[0][0] == 1)


def _unlock(cursor: Cursor, name: str) -> None:
    cursor.execute("select release_lock(%s)", (name,))
    cursor.fetchall()


def _written(text: str, migration: Known) -> str:
    """The text of a query with its values written in."""
    return text % {
        "name": f"'{migration.name}'",
        "additive": int(migration.additive),
        "steps": len(split(migration.text)),
    }
