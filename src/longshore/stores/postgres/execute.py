"""One statement over one psycopg cursor, blocking or awaiting, and what stands around statements.

:func:`execute` and :func:`aexecute` are all that an operation needs of a driver, so that one can
also be driven over a connection that the caller has opened. :func:`transacted` puts around an
operation what begins and ends its transaction, for connections that are the store's own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, TypeGuard, TypeVar

import psycopg
from psycopg import pq

from longshore.core.store import Operation
from longshore.stores.postgres.arrays import array
from longshore.stores.postgres.core import Alone, Copy, Refused
from longshore.stores.sql.statements import ONE_LOOK, REPEATED, UNDO, Query, Statement

T = TypeVar("T")

OnStatement = Callable[[str, int], None]
Cursor = psycopg.Cursor[tuple[Any, ...]]
AsyncCursor = psycopg.AsyncCursor[tuple[Any, ...]]

BEGIN: Final = Statement(Query("begin", "begin isolation level read committed"))
#: Several looks at one moment: no job is met twice, or missed, on its way between two tables.
BEGIN_READ: Final = Statement(Query("begin", "begin isolation level repeatable read, read only"))
#: Operations of which a good plan depends on what is asked for, and that are worth planning.
FITTED: Final = frozenset({"count", "find", "prune"})
FIT: Final = "; set local plan_cache_mode = auto"
BEGIN_FITTED: Final = Statement(Query("begin", BEGIN.query.text + FIT))
BEGIN_READ_FITTED: Final = Statement(Query("begin", BEGIN_READ.query.text + FIT))
RELAXED: Final = Statement(Query("relaxed", "set local synchronous_commit = off"))
COMMIT: Final = Statement(Query("commit", "commit"))
ROLLBACK: Final = Statement(Query("rollback", "rollback"))

_REFUSAL: Final = "longshore: "


def execute(cursor: Cursor, statement: Statement) -> Any:
    """Run a statement; its rows, or for one without rows the number of those that it wrote.

    Raises:
        Refused: an alone statement has found that it cannot be all.
        psycopg.Error: whatever the driver says.
    """
    text = statement.query.text.encode()
    if isinstance(statement, Copy):
        with cursor.copy(text) as copy:
            for row in statement.params:
                copy.write_row(row)
        return cursor.rowcount
    try:
        cursor.execute(text, _parameters(statement))
    except psycopg.DataError as error:
        raise _refusal(error) or error from None
    return cursor.rowcount if cursor.description is None else cursor.fetchall()


async def aexecute(cursor: AsyncCursor, statement: Statement) -> Any:
    """Run a statement as :func:`execute` does, awaiting."""
    text = statement.query.text.encode()
    if isinstance(statement, Copy):
        async with cursor.copy(text) as copy:
            for row in statement.params:
                await copy.write_row(row)
        return cursor.rowcount
    try:
        await cursor.execute(text, _parameters(statement))
    except psycopg.DataError as error:
        raise _refusal(error) or error from None
    return cursor.rowcount if cursor.description is None else await cursor.fetchall()


def transacted(
    op: Operation[T],
    hook: OnStatement | None,
    *,
    repeated: bool,
    alone: bool,
    relaxed: bool,
) -> Operation[T]:
    """An operation with its transaction around it.

    ``repeated``: an earlier try may have been committed. ``alone``: statements that are all that
    their operation writes may be sent without a transaction. ``relaxed``: a commit need not wait
    for the disk.
    """
    return Operation(
        op.name,
        lambda: _Transaction(op, hook, alone=alone, relaxed=relaxed).steps(repeated=repeated),
        writes=op.writes,
    )


class _Transaction:
    def __init__(
        self, op: Operation[Any], hook: OnStatement | None, *, alone: bool, relaxed: bool
    ) -> None:
        self._op = op
        self._hook = hook
        self._alone = alone or not op.writes
        self._fitted = op.name in FITTED
        self._one_look = op.name in ONE_LOOK
        self._relaxed = relaxed and op.writes
        self._begun = False
        self._number = 0

    def steps(self, *, repeated: bool) -> Generator[Statement, Any, Any]:
        """Statements to execute; the answer is the operation's."""
        body = self._op.start()
        try:
            statement = next(body)
            while True:
                if statement is REPEATED:
                    statement = body.send(repeated)
                    continue
                try:
                    reply = yield from self._one(statement)
                except Exception as error:  # noqa: BLE001 - the operation may know what to do
                    statement = body.throw(error)
                else:
                    statement = body.send(reply)
        except StopIteration as done:
            if self._begun:
                self._told(0)
                yield COMMIT
            return done.value

    def _one(self, statement: Statement) -> Generator[Statement, Any, Any]:
        if statement is UNDO:
            yield ROLLBACK
            yield from self._begin()
            return None
        seen = statement.whole and not self._op.writes
        plain = not (self._begun or self._fitted)
        sole = plain and (seen or isinstance(statement, Alone))
        if not (self._begun or self._one_look or (sole and self._alone)):
            yield from self._begin()
        self._number += 1
        self._told(self._number)
        if sole and self._alone:
            self._told(0)
        try:
            return (yield statement)
        except Refused:
            if self._begun:  # a transaction that had an error goes on with nothing else
                yield ROLLBACK
                yield from self._begin()
            raise

    def _begin(self) -> Generator[Statement, Any, None]:
        self._begun = True
        if self._op.writes:
            yield BEGIN_FITTED if self._fitted else BEGIN
        else:
            yield BEGIN_READ_FITTED if self._fitted else BEGIN_READ
        if self._relaxed:
            yield RELAXED

    def _told(self, number: int) -> None:
        # A commit that writes nothing can do no harm when it fails.
        if self._hook is not None and (number or self._op.writes):
            self._hook(self._op.name, number)


def idle(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Whether a connection is open and in no transaction."""
    status = connection.pgconn.transaction_status
    return status == pq.TransactionStatus.IDLE


def _parameters(statement: Statement) -> Any:
    if statement.many:
        columns = (_column(values) for values in zip(*statement.params, strict=True))
        return {f"c{number}": array(column) for number, column in enumerate(columns)}
    params: Mapping[str, Any] = statement.params
    if not params:
        return None
    return {name: array(value) if _is_list(value) else value for name, value in params.items()}


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _column(values: tuple[Any, ...]) -> list[Any]:
    """A column of rows; JSON, which is bytes here, is text in the database."""
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def _refusal(error: psycopg.DataError) -> Refused | None:
    message = error.diag.message_primary or ""
    return Refused(message) if _REFUSAL in message else None
