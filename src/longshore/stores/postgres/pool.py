"""Open connections to one PostgreSQL database: held, never shared, never carried over a fork.

A blocking connection serves one thread at a time and is kept for the next; an awaiting one belongs
to its event loop. On a connection that leads straight to the server, plans are steered and
statements prepared; where something shares its connections among many (PgBouncer and the like),
nothing is asked of a session.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

import psycopg

from longshore.core.store import Operation, drive
from longshore.errors import ClientClosed
from longshore.stores.deadlines import ANSWER, Deadline
from longshore.stores.postgres.execute import AsyncCursor, Cursor, aexecute, execute
from longshore.stores.postgres.meanwhile import Connection
from longshore.stores.sql.statements import Statement

T = TypeVar("T")

#: On a connection of our own. The tables are small at times and large at others: a plan that reads
#: all of one is right for a moment only. Nothing here is worth compiling, and most of it not even
#: planning again: to plan a claim takes longer than to carry it out.
_STEER: Final = (
    "select set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false),"
    " set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false),"
    " set_config('plan_cache_mode', 'force_generic_plan', false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    " set_config('idle_in_transaction_session_timeout', '3s', false)"  # FORSAKEN
)
_RELAX: Final = "select set_config('synchronous_commit', 'off', false)"
#: Something in between gives out a number of its own.
_LOOK: Final = "select pg_backend_pid(), current_setting('default_transaction_isolation')"


class Link:
    """A connection with its cursor, and what may be asked of it."""

    __slots__ = ("alone", "connection", "cursor", "deadline", "relaxed")

    def __init__(
        self,
        connection: Connection,
        deadline: Deadline,
        *,
        direct: bool,
        plain: bool,
    ) -> None:
        self.connection = connection
        self.deadline = deadline
        self.cursor: Cursor = connection.cursor()
        #: Whether a statement may be a transaction by itself.
        self.alone = direct or plain
        #: Whether transactions have to say by themselves that they need not wait for the disk.
        self.relaxed = not direct

    def execute(self, statement: Statement) -> Any:
        """Run a statement as :func:`execute` does, for so long and no longer."""
        deadline = self.deadline
        deadline.number += 1
        deadline.busy = True
        try:
            return execute(self.cursor, statement)
        finally:
            deadline.busy = False

    def driven(self, op: Operation[T], meanwhile: Callable[[], None] | None) -> T:
        """Drive an operation, and do this while the server works."""
        self.connection.meanwhile = meanwhile
        try:
            return drive(op, self.execute)
        finally:
            self.connection.meanwhile = None

    def close(self) -> None:
        """Close the connection."""
        self.deadline.close()
        self.connection.close()


class AsyncLink:
    """The same of an awaiting connection."""

    __slots__ = ("alone", "connection", "cursor", "deadline", "relaxed")

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        deadline: Deadline,
        *,
        direct: bool,
        plain: bool,
    ) -> None:
        self.connection = connection
        self.deadline = deadline
        self.cursor: AsyncCursor = connection.cursor()
        self.alone = direct or plain
        self.relaxed = not direct

    async def execute(self, statement: Statement) -> Any:
        """Run a statement as :func:`aexecute` does, for so long and no longer."""
        deadline = self.deadline
        deadline.number += 1
        deadline.busy = True
        try:
            return await aexecute(self.cursor, statement)
        finally:
            deadline.busy = False

    async def close(self) -> None:
        """Close the connection."""
        self.deadline.close()
        await self.connection.close()


class Loop:
    """The connections of one event loop, and how many more there may be."""

    def __init__(self, limit: int) -> None:
        self.idle: list[AsyncLink] = []
        self.room = asyncio.Semaphore(limit)

    def close(self) -> None:
        """Close what is idle. The event loop may be gone: this needs none."""
        while self.idle:
            link = self.idle.pop()
            link.deadline.close()
            link.connection.pgconn.finish()


class Pool:
    """Connections that nobody uses just now; who finds ``limit`` of them in use waits for one."""

    def __init__(
        self,
        parameters: dict[str, Any],
        *,
        limit: int,
        pooled: bool,
        relaxed: bool,
        answer: float = ANSWER,
    ) -> None:
        self.parameters = parameters
        #: How long to wait for an answer, seconds.
        self.answer = answer
        #: How many a process holds for blocking calls, and an event loop for others.
        self.limit = limit
        self._room = threading.Semaphore(limit)
        #: Whether something in between shares its connections; found out where it was not said.
        self.pooled = pooled
        self._relaxed = relaxed
        self.closed = threading.Event()
        self._lock = threading.Lock()
        self._idle: list[Link] = []
        self._loops = dict[asyncio.AbstractEventLoop, Loop]()
        _pools.add(self)

    # --- blocking ---

    def take(self) -> Link:
        """A connection for this thread.

        Raises:
            ClientClosed: after :meth:`close`.
            psycopg.Error: there is none to be had.
        """
        self._room.acquire()
        try:
            self._refuse_closed()
            with self._lock:
                if self._idle:
                    return self._idle.pop()
            return self._connect()
        except BaseException:
            self._room.release()
            raise

    def give_back(self, link: Link, *, healthy: bool) -> None:
        """Keep a connection for the next, or close one that failed."""
        keep = healthy and not self.closed.is_set()
        if keep:
            with self._lock:
                self._idle.append(link)
        else:
            link.close()
        self._room.release()

    def discard(self) -> None:
        """Close what is idle: one that led to the same server was lost.

        Not where a new one was refused. What a process has may be all that it gets.
        """
        with self._lock:
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()

    def connect(self) -> Connection:
        """A connection that nobody else will use."""
        return Connection.connect(**self.parameters, autocommit=True)

    def _connect(self) -> Link:
        connection = self.connect()
        deadline = Deadline(connection.fileno(), self.answer)
        try:
            with deadline, connection.cursor() as cursor:
                row = cursor.execute(_LOOK, prepare=False).fetchone()
                direct, plain = self._judged(connection.pgconn.backend_pid, row)
                if direct:
                    cursor.execute(_STEER, prepare=False)
                    if self._relaxed:
                        cursor.execute(_RELAX, prepare=False)
                else:
                    connection.prepare_threshold = None
        except BaseException:
            deadline.close()
            connection.close()
            raise
        return Link(connection, deadline, direct=direct, plain=plain)

    # --- awaiting ---

    async def atake(self) -> AsyncLink:
        """A connection for this task, one of its event loop."""
        mine = self._mine()
        await mine.room.acquire()
        try:
            self._refuse_closed()
            return mine.idle.pop() if mine.idle else await self._aconnect()
        except BaseException:
            mine.room.release()
            raise

    async def agive_back(self, link: AsyncLink, *, healthy: bool) -> None:
        """Keep a connection for the next task, or close one that failed."""
        mine = self._mine()
        try:
            if healthy and not self.closed.is_set():
                mine.idle.append(link)
            else:
                await link.close()
        finally:
            mine.room.release()

    async def adiscard(self) -> None:
        """Close what is idle on this event loop: the server that it led to has gone."""
        mine = self._mine()
        idle, mine.idle = mine.idle, []
        for link in idle:
            await link.close()

    def _mine(self) -> Loop:
        running = asyncio.get_running_loop()
        with self._lock:
            mine = self._loops.get(running)
            if mine is None:
                for over in [loop for loop in self._loops if loop.is_closed()]:
                    self._loops.pop(over).close()
                mine = self._loops[running] = Loop(self.limit)
            return mine

    async def _aconnect(self) -> AsyncLink:
        connection = await psycopg.AsyncConnection.connect(**self.parameters, autocommit=True)
        deadline = Deadline(connection.fileno(), self.answer)
        try:
            with deadline:
                cursor = connection.cursor()
                await cursor.execute(_LOOK, prepare=False)
                row = await cursor.fetchone()
                direct, plain = self._judged(connection.pgconn.backend_pid, row)
                if direct:
                    await cursor.execute(_STEER, prepare=False)
                    if self._relaxed:
                        await cursor.execute(_RELAX, prepare=False)
                else:
                    connection.prepare_threshold = None
        except BaseException:
            deadline.close()
            await connection.close()
            raise
        return AsyncLink(connection, deadline, direct=direct, plain=plain)

    # --- both ---

    def close(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        self.closed.set()
        with self._lock:
            idle, self._idle = self._idle, []
            loops = list(self._loops.values())
        for link in idle:
            link.close()
        for loop in loops:
            loop.close()

    def forget(self) -> None:
        """In a child after a fork: the connections are the parent's, and so is their end."""
        self._lock = threading.Lock()
        self._room = threading.Semaphore(self.limit)
        self._idle = []
        self._loops = {}

    def __del__(self) -> None:
        self.close()

    def _refuse_closed(self) -> None:
        if self.closed.is_set():
            raise ClientClosed("This Longshore object was closed; make a new one to go on.")

    def _judged(self, pid: int, row: tuple[Any, ...] | None) -> tuple[bool, bool]:
        """Whether this leads straight to the server, and whether a statement alone is as good."""
        if row is None or row[0] != pid:
            self.pooled = True
        plain = row is not None and row[1] == "read committed" and not self._relaxed
        return not self.pooled, plain


_pools = weakref.WeakSet[Pool]()


def _after_fork_in_child() -> None:
    for pool in tuple(_pools):
        pool.forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
