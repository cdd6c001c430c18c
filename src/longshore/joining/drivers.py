"""Plain driver connections: sqlite3, psycopg and PyMySQL.

The caller may have told his connection to give rows of another form; ours are read by a cursor of
our own that gives tuples.
"""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any, ClassVar

from longshore.joining.through import Statement, Through, memory_of, pieces, ran

_IN_TRANSACTION = 1  # MySQL's SERVER_STATUS_IN_TRANS
_IDLE = 0  # psycopg's TransactionStatus.IDLE


class ThroughSQLite(Through):
    """A ``sqlite3.Connection``."""

    noun: ClassVar[str] = "a sqlite3 connection"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def database(self) -> str:
        return "sqlite"

    def execute(self, statement: Statement) -> Any:
        connection = self._connection
        cursor = connection.cursor()
        cursor.row_factory = None
        kept, connection.text_factory = connection.text_factory, str
        try:
            return ran(cursor, statement)
        finally:
            connection.text_factory = kept
            cursor.close()

    def commits_at_once(self) -> bool:
        connection = self._connection
        # Since Python 3.12 `autocommit` may be True or False; the old way, it is -1.
        new_way = getattr(connection, "autocommit", -1)
        at_once = connection.isolation_level is None if new_way == -1 else bool(new_way)
        return at_once and not connection.in_transaction


class ThroughPsycopg(Through):
    """A ``psycopg.Connection``."""

    noun: ClassVar[str] = "a psycopg connection"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def database(self) -> str:
        return "postgres"

    def execute(self, statement: Statement) -> Any:
        with self._connection.cursor(row_factory=_tuple_row()) as cursor:
            return ran(cursor, statement)

    def commits_at_once(self) -> bool:
        connection = self._connection
        return bool(connection.autocommit) and connection.info.transaction_status == _IDLE

    def memory(self) -> MutableMapping[Any, Any] | None:
        return memory_of(self._connection)


class ThroughAsyncPsycopg(ThroughPsycopg):
    """A ``psycopg.AsyncConnection``."""

    noun: ClassVar[str] = "an async psycopg connection"
    awaits: ClassVar[bool] = True

    async def aexecute(self, statement: Statement) -> Any:
        async with self._connection.cursor(row_factory=_tuple_row()) as cursor:
            rows = 0
            for text, params, many in pieces(statement):
                await (cursor.executemany if many else cursor.execute)(text, params)
                if cursor.description is not None:
                    return await cursor.fetchall()
                rows += cursor.rowcount
            return rows


class ThroughMySQL(Through):
    """A connection of PyMySQL, or of a driver with the same interface."""

    noun: ClassVar[str] = "a MySQL connection"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def database(self) -> str:
        return "mysql"

    def execute(self, statement: Statement) -> Any:
        with self._connection.cursor(_plain_cursor(self._connection)) as cursor:
            return ran(cursor, statement)

    def commits_at_once(self) -> bool:
        connection = self._connection
        begun = getattr(connection, "server_status", 0) & _IN_TRANSACTION
        return bool(connection.get_autocommit()) and not begun

    def memory(self) -> MutableMapping[Any, Any] | None:
        return memory_of(self._connection)


def _tuple_row() -> Any:
    # Loaded, since there is a connection of it.
    return sys.modules["psycopg.rows"].tuple_row


def _plain_cursor(connection: Any) -> Any:
    package = type(connection).__module__.partition(".")[0]
    for base in type(connection).__mro__:
        package = base.__module__.partition(".")[0]
        if package in ("pymysql", "MySQLdb"):
            break
    return sys.modules[f"{package}.cursors"].Cursor
