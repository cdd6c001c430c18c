"""The store in one SQLite file: how operations are driven over it.

Every operation that writes is one ``BEGIN IMMEDIATE`` transaction. Whoever finds the file held by
another process tries again after a random moment, for seconds; only then does it say so. A
connection serves one thread at a time and is kept for the next; none is carried over a fork.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from longshore.core.facts import Facts
from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.core.store import Operation, Retention, Watch, drive
from longshore.core.store_url import StoreURL
from longshore.core.wording import did_you_mean
from longshore.errors import ConfigurationError
from longshore.stores.clock import Clock
from longshore.stores.sql.inspect import Inspecting
from longshore.stores.sql.joining import Joining
from longshore.stores.sql.operations import Maintaining
from longshore.stores.sql.schedules import Scheduling
from longshore.stores.sql.schema import looked_at, read
from longshore.stores.sql.statements import UNDO, Statement
from longshore.stores.sqlite.claim import SQLiteConsuming
from longshore.stores.sqlite.core import SQLiteCore
from longshore.stores.sqlite.facts import facts_of
from longshore.stores.sqlite.file import explained, is_busy, open_file, refuse_names, refuse_network
from longshore.stores.sqlite.pool import Pool, SQLiteWatch
from longshore.stores.sqlite.schema import migrate_next, schema_of, script_of, verify
from longshore.stores.sqlite.wal import Wal

T = TypeVar("T")

#: Operations that often find nothing to write: they read first and take the write lock, starting
#: anew, when they come to a statement that writes.
READ_FIRST = frozenset(
    {
        *("claim", "beat", "elect", "promote", "rescue", "prune", "outbox_take"),
        *("declare", "fire"),
    }
)

#: How long others may hold the file, seconds; and the longest pause between two tries.
PATIENCE = 5.0
LONGEST_PAUSE = 0.02

_SYNCHRONOUS = ("full", "normal")
_OPTIONS = ("synchronous", "network")


def open_sqlite(
    address: StoreURL,
    *,
    retention: Retention,
    prefix: str,
    durability: str,
    clock: Clock | None = None,
) -> SQLiteStore:
    """Make the store for ``sqlite:///path[?synchronous=full|normal&network=yes]``.

    Raises:
        ConfigurationError: an option or a durability that SQLite does not have.
    """
    for option in address.query:
        if option not in _OPTIONS:
            raise ConfigurationError(
                f"store: {address} has the option {option}, which SQLite does not."
                f"{did_you_mean(option, _OPTIONS)} Options: {', '.join(_OPTIONS)}."
            )
    synchronous = address.query.get("synchronous", durability)
    if synchronous not in _SYNCHRONOUS:
        raise ConfigurationError(
            f"store: SQLite has no durability {synchronous!r}. Use full, or normal, with which a"
            " power cut may lose the last moments."
        )
    return SQLiteStore(
        address.path,
        retention=retention,
        prefix=prefix,
        synchronous=synchronous,
        network=address.query.get("network") == "yes",
        clock=clock,
    )


class SQLiteStore(SQLiteCore, Scheduling, SQLiteConsuming, Maintaining, Inspecting, Joining):
    """Jobs in one SQLite file; see :class:`longshore.core.store.Store`.

    Args:
        path: the file; made at the first operation if it is not there.
        retention: how long ended jobs stay.
        prefix: what the names of tables begin with.
        synchronous: ``full``, or ``normal``, with which a power cut may lose the last moments.
        network: accept a file on a network file system.
        clock: what decides leases and what is due.
        patience: how long to wait for others that hold the file, seconds.
        on_statement: called before each statement with the operation's name and the statement's
            number from 1, and before the commit of a write with 0; what it raises undoes the
            operation. For tests.
    """

    name = "sqlite"
    shared = True

    def __init__(
        self,
        path: str,
        *,
        retention: Retention | None = None,
        prefix: str = "longshore_",
        synchronous: str = "full",
        network: bool = False,
        clock: Clock | None = None,
        patience: float = PATIENCE,
        on_statement: Callable[[str, int], None] | None = None,
    ) -> None:
        super().__init__(retention or Retention(), clock, prefix)
        self.address = os.path.abspath(path)  # noqa: PTH100 - a string, and no link followed
        self._synchronous = synchronous
        self._network = network
        self._patience = patience
        self._on_statement = on_statement
        self._prefix = prefix
        self._migrations = read("sqlite", prefix)
        self._pool = Pool(self._open, self.address)
        self._wal = Wal(self.address)
        self._ready = False
        self._look_again = 0.0

    # --- driving ---

    def run(self, op: Operation[T], /) -> T:
        """Drive an operation and block until it is committed."""
        op.before()
        if time.monotonic() >= self._look_again:
            self._prepare()
        write = op.writes and op.name not in READ_FIRST
        try:
            return self._drive(op, write=write)
        except _Upgrade:
            return self._drive(op, write=True)

    async def arun(self, op: Operation[T], /) -> T:
        """Drive an operation in a thread."""
        import asyncio  # noqa: PLC0415 - blocking programs need not load it

        return await asyncio.to_thread(self.run, op)

    def watch(self) -> Watch:
        """A watch that hears of every commit to the file, whoever made it."""
        return SQLiteWatch(self._pool)

    def schema(self) -> SchemaStatus:
        """Which migrations the file has had."""
        return self._patiently(
            lambda connection: _transaction(
                connection, lambda: schema_of(connection, self.sql, self._migrations), "begin"
            )
        )

    def migrate(self) -> tuple[str, ...]:
        """Bring tables up to date, those of a new file in one transaction."""
        done: list[str] = []
        while True:
            names = self._patiently(
                lambda connection: _transaction(
                    connection,
                    lambda: migrate_next(
                        connection, self.sql, self._migrations, self.machine.wall_us()
                    ),
                )
            )
            if not names:
                return tuple(done)
            done += names

    def script(self) -> tuple[Migration, ...]:
        """Every migration of this release, for the sqlite3 shell."""
        return script_of(self.sql, self._migrations)

    def verify(self) -> tuple[Difference, ...]:
        """Compare the tables with those that the same migrations make in memory."""
        return self._patiently(
            lambda connection: _transaction(
                connection,
                lambda: verify(connection, self.sql, self._migrations, self._prefix),
                "begin",
            )
        )

    def facts(self) -> tuple[Facts, ...]:
        """What there is to know of the file; it is not opened."""
        return (facts_of(self.address, synchronous=self._synchronous, forced=self._network),)

    def connect(self) -> sqlite3.Connection:
        """A new connection, in no transaction, for the work of one job; its user closes it."""
        try:
            connection = self._open()
        except sqlite3.Error as error:
            raise explained(error, self.address) from error
        connection.execute(f"pragma busy_timeout = {int(self._patience * 1000)}")
        return connection

    def close(self) -> None:
        """Close the connections; later operations are refused."""
        self._pool.close()

    # --- helpers ---

    def _open(self) -> sqlite3.Connection:
        if not self._network:
            refuse_network(self.address)
        if not self._ready:  # a link that somebody makes later ends no worker
            refuse_names(self.address)
        return open_file(self.address, synchronous=self._synchronous)

    def _prepare(self) -> None:
        self._look_again = looked_at(self, first=not self._ready)
        self._ready = True
        self._wal.look()

    def _drive(self, op: Operation[T], *, write: bool) -> T:
        """Run an operation; nearly always the first attempt is the only one."""
        pool = self._pool
        try:
            connection = pool.take()
        except sqlite3.Error as error:
            # To open the file may need its lock, as any statement may.
            if not is_busy(error):
                raise explained(error, self.address) from error
            return self._patiently(lambda again: self._attempt(again, op, write=write))
        healthy = False
        try:
            answer = self._attempt(connection, op, write=write)
            healthy = True
        except sqlite3.Error as error:
            healthy = is_busy(error)
            if not healthy:
                raise explained(error, self.address) from error
        except BaseException:
            healthy = True
            raise
        else:
            return answer
        finally:
            pool.give_back(connection, healthy=healthy and not connection.in_transaction)
        return self._patiently(lambda again: self._attempt(again, op, write=write))

    def _patiently(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work on a connection, again while others hold the file."""
        give_up = 0.0
        pause = 0.0005
        while True:
            try:
                return self._once(work)
            except sqlite3.Error as error:
                now = time.monotonic()
                give_up = give_up or now + self._patience
                if not is_busy(error) or now >= give_up:
                    raise explained(error, self.address) from error
            # Random, so that many who wait do not come back at the same moment for ever.
            self._pool.closed.wait(random.uniform(pause / 4, pause))  # noqa: S311
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._pool.take()
        healthy = True
        try:
            return work(connection)
        except sqlite3.Error as error:
            healthy = is_busy(error)
            raise
        finally:
            self._pool.give_back(connection, healthy=healthy and not connection.in_transaction)

    def _attempt(self, connection: sqlite3.Connection, op: Operation[T], *, write: bool) -> T:
        attempt = _Attempt(connection, op.name, self._on_statement, write=write)
        try:
            answer = drive(op, attempt.execute)
            attempt.commit()
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        return answer


class _Attempt:
    """One try of an operation on one connection: its transaction begins with the first statement.

    A statement that is the whole operation is its own transaction: two calls less.
    """

    __slots__ = ("_connection", "_hook", "_name", "_number", "_open", "_write")

    def __init__(
        self,
        connection: sqlite3.Connection,
        name: str,
        hook: Callable[[str, int], None] | None,
        *,
        write: bool,
    ) -> None:
        self._connection = connection
        self._name = name
        self._hook = hook
        self._write = write
        self._open = False
        self._number = 0

    def execute(self, statement: Statement) -> Any:
        """Run one statement and give its rows, or how many it wrote."""
        query, connection = statement.query, self._connection
        if query.writes and not self._write:
            raise _Upgrade
        alone = statement.whole and not self._open
        if not (alone or self._open):
            connection.execute("begin immediate" if self._write else "begin")
            self._open = True
        if self._hook is not None:
            self._number += 1
            self._hook(self._name, self._number)
        if alone:
            if self._hook is not None:
                self._hook(self._name, 0)
            return connection.execute(query.text, statement.params[0]).rowcount
        if statement.many:
            return connection.executemany(query.text, statement.params).rowcount
        if statement is UNDO:
            connection.execute("rollback")
            return connection.execute("begin immediate")
        cursor = connection.execute(query.text, statement.params)
        return cursor.rowcount if query.writes else cursor.fetchall()

    def commit(self) -> None:
        """End the transaction, if there is one."""
        if self._open:
            if self._hook is not None and self._write:
                self._hook(self._name, 0)
            self._connection.execute("commit")


def _transaction(
    connection: sqlite3.Connection, body: Callable[[], T], begin: str = "begin immediate"
) -> T:
    connection.execute(begin)
    try:
        answer = body()
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
    return answer


class _Upgrade(Exception):
    """Not an error: the operation has found something to write and begins again, to write."""
