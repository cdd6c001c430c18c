"""Sending one statement over a connection: the store's own, or one of the caller's.

Nothing here begins, commits or tries again, and errors of the driver pass unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from longshore.stores.mysql.driver import Connection, Cursor, number_of
from longshore.stores.mysql.text import InsertQuery, Rows
from longshore.stores.sql.statements import Row, Statement

#: The server's number for a key that is there.
DUPLICATE = 1062


def execute_on(connection: Connection, statement: Statement) -> Any:
    """Run one statement over a connection of PyMySQL or mysqlclient.

    Returns its rows, or how many it wrote. An insert of a key that is there writes nothing more.
    """
    cursor = connection.cursor()
    try:
        return execute(cursor, statement)
    finally:
        cursor.close()


def execute(cursor: Cursor, statement: Statement) -> Any:
    """Run one statement with a cursor, as :func:`execute_on`."""
    if isinstance(statement, Rows):
        return _rows(cursor, statement)
    if statement.many:
        cursor.executemany(statement.query.text, statement.params)
        return cursor.rowcount
    cursor.execute(statement.query.text, statement.params or None)
    if cursor.description is None:
        return cursor.rowcount
    rows: Sequence[Row] = cursor.fetchall()
    return list(rows)


def _rows(cursor: Cursor, statement: Rows) -> int:
    written = 0
    for text, values in statement.texts():
        try:
            cursor.execute(text, values)
        except Exception as error:
            # A statement that fails has written nothing; who asked compares the numbers.
            if isinstance(statement.query, InsertQuery) and number_of(error) == DUPLICATE:
                return written
            raise
        if isinstance(statement.query, InsertQuery) or text == statement.steps[-1]:
            written += cursor.rowcount
    return written
