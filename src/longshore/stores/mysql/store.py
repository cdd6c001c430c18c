"""The store in a MariaDB or MySQL database: how operations are driven over it.

An operation that writes is one transaction at READ COMMITTED, which locks the rows it names and no
gaps between them. Whoever meets a deadlock or waits too long for a lock begins the operation afresh
after a random moment. Whoever loses the connection does too: requests are answered when repeated.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from longshore.core.facts import Facts
from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.core.store import Operation, Retention, Watch, drive
from longshore.core.store_url import StoreURL
from longshore.core.wording import did_you_mean
from longshore.errors import ConfigurationError, StoreFull
from longshore.stores.clock import Clock
from longshore.stores.deadlines import CONNECT, is_late
from longshore.stores.mysql.core import MySQLInspecting
from longshore.stores.mysql.driver import (
    TOO_LARGE,
    Connection,
    Driver,
    Fault,
    Place,
    explained,
    fault,
)
from longshore.stores.mysql.execute import execute
from longshore.stores.mysql.facts import facts_of
from longshore.stores.mysql.finish import MySQLConsuming
from longshore.stores.mysql.operations import MySQLMaintaining, MySQLProducing
from longshore.stores.mysql.pool import Pool, close_quietly
from longshore.stores.mysql.schema import migrate, schema_of, script_of
from longshore.stores.mysql.text import Rows
from longshore.stores.mysql.verify import verify
from longshore.stores.mysql.watch import MySQLWatch
from longshore.stores.sql.joining import Joining
from longshore.stores.sql.schedules import Scheduling
from longshore.stores.sql.schema import looked_at, read
from longshore.stores.sql.statements import ONE_LOOK, REPEATED, UNDO, Row, Statement

T = TypeVar("T")

#: How long others may be in the way or the server away, seconds; the longest pause between tries.
PATIENCE = 5.0
LONGEST_PAUSE = 0.1

PORT = 3306

#: ``get`` as well: one statement finds a job wherever it is.
_ONE_LOOK = ONE_LOOK | {"get"}

_OPTIONS = ("unix_socket", "ssl_ca", "connect_timeout")


def open_mysql(
    address: StoreURL,
    *,
    retention: Retention,
    prefix: str,
    durability: str,
    clock: Clock | None = None,
) -> MySQLStore:
    """Make the store for ``mysql://user:password@host[:3306]/database[?ssl_ca=...]``.

    Raises:
        ConfigurationError: an option or a durability that MySQL does not have, no database, no
            driver.
    """
    for option in address.query:
        if option not in _OPTIONS:
            raise ConfigurationError(
                f"store: {address} has the option {option}, which MySQL does not."
                f"{did_you_mean(option, _OPTIONS)} Options: {', '.join(_OPTIONS)}."
            )
    if durability != "full":
        raise ConfigurationError(
            f"store: MySQL has no durability {durability!r}. Use full; what a power cut may lose is"
            " the server's setting innodb_flush_log_at_trx_commit."
        )
    if not address.path or "/" in address.path:
        raise ConfigurationError(
            f"store: {address} names no database: write mysql://user:password@host/database."
        )
    timeout = address.query.get("connect_timeout", str(round(CONNECT)))
    if not (timeout.isdecimal() and 1 <= int(timeout) <= 3600):
        raise ConfigurationError(
            f"store: connect_timeout={timeout!r} is not a number of seconds from 1 to 3600."
        )
    place = Place(
        host=address.host or "localhost",
        port=address.port or PORT,
        user=address.user,
        password=address.password.reveal() if address.password else None,
        database=address.path,
        unix_socket=address.query.get("unix_socket"),
        ssl_ca=address.query.get("ssl_ca"),
        connect_timeout=int(timeout),
    )
    return MySQLStore(place, retention=retention, prefix=prefix, clock=clock)


class MySQLStore(
    MySQLConsuming, MySQLProducing, MySQLMaintaining, MySQLInspecting, Scheduling, Joining
):
    """Jobs in a MariaDB or MySQL database; see :class:`longshore.core.store.Store`.

    Args:
        place: where the server is and who asks.
        retention: how long ended jobs stay.
        prefix: what the names of tables begin with.
        clock: what decides leases and what is due; the server's own unless given.
        patience: how long others may be in the way, or the server away, seconds.
        on_statement: called before each statement with the operation's name and the statement's
            number from 1, and before the commit of a write with 0; what it raises undoes the
            operation. For tests.
    """

    name = "mysql"
    shared = True

    def __init__(
        self,
        place: Place,
        *,
        retention: Retention | None = None,
        prefix: str = "longshore_",
        clock: Clock | None = None,
        patience: float = PATIENCE,
        on_statement: Callable[[str, int], None] | None = None,
    ) -> None:
        super().__init__(retention or Retention(), clock, prefix)
        self.address = place.shown
        self._place = place
        self._driver = Driver()
        self._patience = patience
        self._on_statement = on_statement
        self._prefix = prefix
        self._migrations = read("mysql", prefix)
        self._pool = Pool(self._open)
        #: For what may take its time: changes of tables.
        self._patient = Pool(self._open_patient)
        self._ready = False
        self._look_again = 0.0

    # --- driving ---

    def run(self, op: Operation[T], /) -> T:
        """Drive an operation and block until it is committed."""
        op.before()
        if time.monotonic() >= self._look_again:
            self._prepare()
        return self._patiently(lambda connection, again: self._attempt(connection, op, again=again))

    async def arun(self, op: Operation[T], /) -> T:
        """Drive an operation in a thread: these drivers block."""
        import asyncio  # noqa: PLC0415 - blocking programs need not load it

        return await asyncio.to_thread(self.run, op)

    def watch(self) -> Watch:
        """A watch that looks often while something goes on, and ten times a second otherwise."""
        return MySQLWatch(self._seen)

    def schema(self) -> SchemaStatus:
        """Which migrations the database has had."""
        return self._patiently(
            lambda connection, _: schema_of(
                self._driver, connection, self.sql, self._migrations, self._prefix
            )
        )

    def migrate(self) -> tuple[str, ...]:
        """Bring tables up to date; goes on where a migration has stopped half-way."""
        return self._patiently(
            lambda connection, _: migrate(
                self._driver, connection, self.sql, self._migrations, self._prefix
            ),
            self._patient,
        )

    def script(self) -> tuple[Migration, ...]:
        """Every migration of this release, for the mysql shell."""
        return script_of(self.sql, self._migrations)

    def verify(self) -> tuple[Difference, ...]:
        """Compare the tables with temporary ones that the same migrations make."""
        status = self.schema()
        return self._patiently(
            lambda connection, _: verify(
                self._driver, connection.cursor(), self._migrations, self._prefix, status
            ),
            self._patient,
        )

    def facts(self) -> tuple[Facts, ...]:
        """What the server says of itself."""
        return self._patiently(
            lambda connection, _: (facts_of(self._driver, connection, self.sql, self.address),)
        )

    def connect(self) -> Connection:
        """A new connection, in no transaction, for the work of one job; its user closes it."""
        return self._connect(autocommit=False, patient=True)

    def close(self) -> None:
        """Close the connections; later operations are refused."""
        self._pool.close()
        self._patient.close()

    # --- helpers ---

    def _open(self) -> Connection:
        return self._connect(autocommit=True)

    def _open_patient(self) -> Connection:
        return self._connect(autocommit=True, patient=True)

    def _connect(self, *, autocommit: bool, patient: bool = False) -> Connection:
        # The server says that a lock was not to be had before its answer is given up.
        lock_wait = max(1, min(round(self._patience), int(self._place.answer) - 1))
        return self._driver.connect(
            self._place, lock_wait=lock_wait, autocommit=autocommit, patient=patient
        )

    def _prepare(self) -> None:
        self._look_again = looked_at(self, first=not self._ready)
        self._ready = True

    def _seen(self) -> Row | None:
        """What a watch looks at; nothing while the server is away."""
        if self._pool.closed.is_set():
            return None
        try:
            connection = self._pool.take()
        except self._driver.Error:
            return None
        healthy = False
        try:
            cursor = connection.cursor()
            cursor.execute(self.sql["watch"].text)
            row = cursor.fetchall()[0]
            cursor.close()
            healthy = True
        except self._driver.Error:
            return None
        else:
            return row
        finally:
            self._pool.give_back(connection, healthy=healthy)

    def _patiently(self, work: Callable[[Connection, bool], T], pool: Pool | None = None) -> T:
        """Run work on a connection; again while others are in the way or the server is away.

        The work is told whether an earlier try may have been committed, its reply lost.
        """
        pool = pool or self._pool
        began = tried = time.monotonic()
        give_up = 0.0
        pause = 0.001
        again = False
        while True:
            try:
                return self._once(work, pool, again=again)
            except self._driver.Error as error:
                what = fault(error)
                now = time.monotonic()
                give_up = give_up or now + self._patience
                late = what is Fault.LOST and is_late(now, tried, began, self._patience)
                if what is Fault.FINAL or late or now >= give_up:
                    raise explained(error, self.address) from error
                again = again or what is Fault.LOST
            # Random, so that those who were in each other's way do not meet again.
            pool.closed.wait(random.uniform(pause / 4, pause))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)
            tried = time.monotonic()

    def _once(self, work: Callable[[Connection, bool], T], pool: Pool, *, again: bool) -> T:
        connection = pool.take()
        healthy = False
        try:
            answer = work(connection, again)
            healthy = True
        except self._driver.Error as error:
            if fault(error) is Fault.LOST:
                pool.close_idle()
            else:
                healthy = _rolled_back(connection)
            raise
        except BaseException:
            healthy = _rolled_back(connection)
            raise
        else:
            return answer
        finally:
            pool.give_back(connection, healthy=healthy)

    def _attempt(self, connection: Connection, op: Operation[T], *, again: bool) -> T:
        attempt = Attempt(connection, op, self._on_statement, again=again)

        def run(statement: Statement) -> Any:
            # The server would end the connection and not say why.
            if isinstance(statement, Rows) and not statement.fits(self._driver.packet):
                raise StoreFull(f"{self.address}: {TOO_LARGE}")
            return attempt.run(statement)

        answer = drive(op, run)
        attempt.end()
        return answer


class Attempt:
    """One try of an operation: its transaction, begun by the first statement that needs one."""

    def __init__(
        self,
        connection: Connection,
        op: Operation[Any],
        hook: Callable[[str, int], None] | None,
        *,
        again: bool,
    ) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._op = op
        self._hook = hook
        self._again = again
        self._number = 0
        self._begun = False

    def run(self, statement: Statement) -> Any:
        """Send one statement of the operation."""
        if statement is REPEATED:
            return self._again
        if self._hook is not None:
            self._number += 1
            self._hook(self._op.name, self._number)
        if statement is UNDO:
            if self._begun:
                self._connection.rollback()
            self._begin()
            return None
        if not self._begun and not self._by_itself(statement):
            self._begin()
        return execute(self._cursor, statement)

    def end(self) -> None:
        """Commit, if there is something to commit."""
        if self._hook is not None and self._op.writes:
            self._hook(self._op.name, 0)
        if self._begun:
            self._connection.commit()
        self._cursor.close()

    def _by_itself(self, statement: Statement) -> bool:
        """Whether a statement stands by itself, and needs no transaction around it."""
        if self._op.name in _ONE_LOOK or (statement.whole and not self._op.writes):
            return True
        # One that travels in pieces does, and one that an earlier try may have written.
        # Who counts statements can make each of them fail, so that they need one as well.
        return self._hook is None and not self._again and _single(statement)

    def _begin(self) -> None:
        if not self._op.writes:
            # Several looks of one reader see one state.
            self._cursor.execute("set transaction isolation level repeatable read")
        self._cursor.execute("start transaction")
        self._begun = True


def _single(statement: Statement) -> bool:
    return statement.whole and not (isinstance(statement, Rows) and len(statement.pieces) > 1)


def _rolled_back(connection: Connection) -> bool:
    """Undo what a connection has done; whether it can be used again."""
    try:
        connection.rollback()
    except Exception:  # noqa: BLE001 - each driver has errors of its own for what is closed
        close_quietly(connection)
        return False
    return True
