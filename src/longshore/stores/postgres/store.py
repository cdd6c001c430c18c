"""The store in a PostgreSQL database: how operations are driven over it.

An operation that writes is one transaction, or one statement that is a transaction by itself. After
a deadlock, or when the connection is lost, it begins afresh with the same request, for seconds;
only then does it say so.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import psycopg

from longshore.core.facts import Facts
from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.core.store import Operation, Retention, Watch, adrive
from longshore.core.store_url import StoreURL, parse_url
from longshore.core.wording import did_you_mean
from longshore.errors import ConfigurationError
from longshore.stores.clock import Clock
from longshore.stores.deadlines import ANSWER, CONNECT
from longshore.stores.postgres import schema
from longshore.stores.postgres.execute import (
    Cursor,
    OnStatement,
    idle,
    transacted,
)
from longshore.stores.postgres.facts import facts_of
from longshore.stores.postgres.listen import PostgresWatch
from longshore.stores.postgres.operations import (
    PostgresConsuming,
    PostgresInspecting,
    PostgresMaintaining,
    PostgresProducing,
)
from longshore.stores.postgres.pool import AsyncLink, Link, Pool
from longshore.stores.postgres.problems import Patience, is_lost, is_unprepared
from longshore.stores.sql.joining import Joining
from longshore.stores.sql.schedules import Scheduling
from longshore.stores.sql.schema import looked_at, read

T = TypeVar("T")

#: For how long a call goes on when the server is away or others are in the way, seconds.
PATIENCE: Final = 5.0
#: How many connections one process holds for blocking calls, and each event loop for others.
CONNECTIONS: Final = 4

_SYNCHRONOUS = ("full", "normal")
_CLAIMS: Final = frozenset({"claim", "exchange"})
#: What an address may say to the driver.
_DRIVERS = (
    *("application_name", "connect_timeout", "options", "target_session_attrs", "sslmode"),
    *("sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation", "channel_binding"),
    *("gssencmode", "passfile", "service", "keepalives", "keepalives_idle", "tcp_user_timeout"),
)
_OPTIONS = ("synchronous", "pgbouncer", "connections", *_DRIVERS)


def open_postgres(
    address: StoreURL,
    *,
    retention: Retention,
    prefix: str,
    durability: str,
    clock: Clock | None = None,
) -> PostgresStore:
    """Make the store for ``postgresql://user:password@host:port/database[?option=value]``.

    Raises:
        ConfigurationError: an option or a durability that PostgreSQL does not have.
    """
    return PostgresStore(
        address, retention=retention, prefix=prefix, durability=durability, clock=clock
    )


class PostgresOperations(
    PostgresProducing,
    PostgresConsuming,
    PostgresMaintaining,
    PostgresInspecting,
    Scheduling,
    Joining,
):
    """Every operation, whoever drives it."""


class PostgresStore(PostgresOperations):
    """Jobs in one PostgreSQL database; see :class:`longshore.core.store.Store`.

    Args:
        address: ``postgresql://...``. Of its options ``synchronous=normal`` lets a commit not wait
            for the disk, ``pgbouncer=1`` says that something in between shares its connections
            (found out otherwise), ``connections`` how many one process may hold; the others are
            the driver's.
        retention: how long ended jobs stay.
        prefix: what the names of tables begin with.
        durability: ``full`` or ``normal``, unless the address says.
        clock: what decides leases and what is due; the server's unless given.
        patience: for how long to try again, seconds.
        answer: how long to wait for the answer to a statement, seconds.
        on_statement: called before each statement with the operation's name and the statement's
            number from 1, and before the commit of a write with 0; what it raises undoes the
            operation. For tests.
    """

    name = "postgres"
    shared = True

    def __init__(
        self,
        address: StoreURL | str,
        *,
        retention: Retention | None = None,
        prefix: str = "longshore_",
        durability: str = "full",
        clock: Clock | None = None,
        patience: float = PATIENCE,
        answer: float = ANSWER,
        on_statement: Callable[[str, int], None] | None = None,
    ) -> None:
        self._retention = retention or Retention()
        self._joined: PostgresOperations | None = None
        super().__init__(self._retention, clock, prefix)
        url = parse_url(address) if isinstance(address, str) else address
        options = _options(url, durability)
        self.address = str(url)
        self._prefix = prefix
        self._patience = patience
        self._relaxed = options["synchronous"] == "normal"
        self._on_statement: OnStatement | None = on_statement
        self._migrations = read("postgres", prefix)
        self._pool = Pool(
            _parameters(url),
            limit=int(options["connections"]),
            pooled=options["pgbouncer"] == "1",
            relaxed=self._relaxed,
            answer=answer,
        )
        self._ready = False
        self._look_again = 0.0
        #: Whether a thread claims: a watch that waits in such a one need not hear of plain ends.
        self._claiming = threading.local()

    # --- driving ---

    def run(self, op: Operation[T], /) -> T:
        """Drive an operation and block until it is committed."""
        if op.name in _CLAIMS:
            self._claiming.here = True
        meanwhile = op.meanwhile
        if self._pool.limit == 1:
            # It may ask this store itself, and would wait for the connection that waits for it.
            op.before()
            meanwhile = None
        began = time.monotonic()
        if began >= self._look_again:
            self._prepare()

        return self._patiently(
            lambda link, repeated: link.driven(self._whole(op, link, repeated=repeated), meanwhile),
            began,
            op.before,
        )

    async def arun(self, op: Operation[T], /) -> T:
        """Drive an operation without blocking the event loop."""
        began = time.monotonic()
        if began >= self._look_again:
            await asyncio.to_thread(self._prepare)
        patience: Patience | None = None
        while True:
            try:
                repeated = patience is not None and patience.repeated
                return await self._aonce(op, repeated=repeated)
            except psycopg.Error as error:
                patience = patience or Patience(self.address, self._patience, began)
                pause = patience.after(error)
            await asyncio.sleep(pause)

    def watch(self) -> Watch:
        """A watch that hears of jobs that arrive or end, where the connection allows it."""
        return PostgresWatch(
            self._listening, self.channel, self.ear, self._is_claiming, answer=self._pool.answer
        )

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection, in no transaction, for the work of one job; its user closes it."""
        connection = psycopg.connect(**self._pool.parameters)
        if self._pool.pooled:
            connection.prepare_threshold = None
        return connection

    async def aconnect(self) -> psycopg.AsyncConnection[Any]:
        """The awaiting twin of :meth:`connect`."""
        connection = await psycopg.AsyncConnection.connect(**self._pool.parameters)
        if self._pool.pooled:
            connection.prepare_threshold = None
        return connection

    @property
    def joined(self) -> PostgresOperations:
        """Operations over connections of others, in transactions that must survive them."""
        if self._joined is None:
            self._joined = PostgresOperations(
                self._retention, self.clock, self._prefix, quick=False
            )
        return self._joined

    # --- tables ---

    def schema(self) -> SchemaStatus:
        """Which migrations the database has had."""

        def look(link: Link, _: object) -> SchemaStatus:
            with link.deadline:
                return schema.schema_of(link.cursor, self.sql, self._migrations)

        return self._patiently(look, time.monotonic())

    def migrate(self) -> tuple[str, ...]:
        """Bring tables up to date, those of a new database in one transaction."""
        now = time.time_ns() // 1000 if self.clock is None else self.clock.wall_us()
        done: list[str] = []
        while True:
            names = self._with_cursor(
                lambda cursor: schema.migrate_next(
                    cursor, self.sql, self._migrations, self._prefix, now
                )
            )
            if not names:
                break
            done += names
        self._with_cursor(lambda cursor: schema.keep_days(cursor, self.sql, self._prefix, now))
        return tuple(done)

    def script(self) -> tuple[Migration, ...]:
        """Every migration of this release, for psql."""
        return schema.script_of(self.sql, self._migrations)

    def verify(self) -> tuple[Difference, ...]:
        """Compare the tables with those that the same migrations make beside them."""
        return self._with_cursor(
            lambda cursor: schema.verify(cursor, self.sql, self._migrations, self._prefix)
        )

    def facts(self) -> tuple[Facts, ...]:
        """What the server says of itself."""
        return self._with_cursor(
            lambda cursor: (
                facts_of(
                    cursor,
                    self.sql,
                    address=self.address,
                    keeps=not self._relaxed,
                    pooled=self._pool.pooled,
                    each=self._pool.limit + 1,  # one more listens
                ),
            )
        )

    def close(self) -> None:
        """Close the connections; later operations are refused."""
        self._pool.close()

    # --- helpers ---

    def _prepare(self) -> None:
        self._look_again = looked_at(self, first=not self._ready)
        self._ready = True

    def _whole(self, op: Operation[T], link: Link | AsyncLink, *, repeated: bool) -> Operation[T]:
        return transacted(
            op,
            self._on_statement,
            repeated=repeated,
            alone=link.alone,
            relaxed=self._relaxed and link.relaxed,
        )

    def _patiently(
        self,
        work: Callable[[Link, bool], T],
        began: float,
        before: Callable[[], None] = lambda: None,
    ) -> T:
        """Run work on a connection, again while the server is away or others are in the way.

        ``before`` one waits for long this is done.
        """
        patience: Patience | None = None
        while True:
            try:
                return self._once(work, repeated=patience is not None and patience.repeated)
            except psycopg.Error as error:
                before()
                patience = patience or Patience(self.address, self._patience, began)
                pause = patience.after(error)
            self._pool.closed.wait(pause)

    def _once(self, work: Callable[[Link, bool], T], *, repeated: bool) -> T:
        link = self._pool.take()
        healthy = True
        try:
            return work(link, repeated)
        except BaseException as error:
            if isinstance(error, psycopg.Error) and self._is_gone(error):
                healthy = False
                self._pool.discard()
            elif not idle(link.connection):
                healthy = _undone(link)
            raise
        finally:
            self._pool.give_back(link, healthy=healthy)

    async def _aonce(self, op: Operation[T], *, repeated: bool) -> T:
        link = await self._pool.atake()
        healthy = False
        try:
            whole = self._whole(op, link, repeated=repeated)
            answer = await adrive(whole, link.execute)
            healthy = True
        except Exception as error:
            if isinstance(error, psycopg.Error) and self._is_gone(error):
                await self._pool.adiscard()
            else:
                healthy = idle(link.connection) or await _aundone(link)
            raise
        finally:
            # After a cancellation as well: what became of the statement is not known then.
            await self._pool.agive_back(link, healthy=healthy)
        return answer

    @property
    def heard(self) -> bool:
        """Whether anybody may listen: not where connections are shared."""
        return not self._pool.pooled

    def _is_claiming(self) -> bool:
        return getattr(self._claiming, "here", False)

    def _is_gone(self, error: psycopg.Error) -> bool:
        if is_unprepared(error):
            self._pool.pooled = True
        return is_lost(error)

    def _with_cursor(self, work: Callable[[Cursor], T]) -> T:
        return self._patiently(lambda link, _: work(link.cursor), time.monotonic())

    def _listening(self) -> psycopg.Connection[Any] | None:
        # Where connections are shared nobody hears what is meant for him.
        return None if self._pool.pooled else self._pool.connect()


def _undone(link: Link) -> bool:
    try:
        with link.deadline:
            link.connection.rollback()
    except psycopg.Error:
        return False
    return True


async def _aundone(link: AsyncLink) -> bool:
    try:
        with link.deadline:
            await link.connection.rollback()
    except psycopg.Error:
        return False
    return True


def _options(url: StoreURL, durability: str) -> Mapping[str, str]:
    for option in url.query:
        if option not in _OPTIONS:
            raise ConfigurationError(
                f"store: {url} has the option {option}, which PostgreSQL's store does not."
                f"{did_you_mean(option, _OPTIONS)} Options: {', '.join(_OPTIONS)}."
            )
    given = {
        "synchronous": durability,
        "pgbouncer": "0",
        "connections": str(CONNECTIONS),
        **url.query,
    }
    if given["synchronous"] not in _SYNCHRONOUS:
        raise ConfigurationError(
            f"store: PostgreSQL's store has no durability {given['synchronous']!r}. Use full, or"
            " normal, with which a crash of the server may lose the last moments."
        )
    if given["pgbouncer"] not in ("0", "1"):
        raise ConfigurationError(f"store: {url}: pgbouncer is 0 or 1.")
    number = given["connections"]
    if not number.isdecimal() or not 1 <= int(number) <= 1000:
        raise ConfigurationError(f"store: {url}: connections is a number from 1 to 1000.")
    return given


def _parameters(url: StoreURL) -> dict[str, Any]:
    """What the driver is told; a server that does not answer is not waited for for minutes."""
    parameters: dict[str, Any] = {
        "application_name": "longshore",
        "connect_timeout": str(round(CONNECT)),
        "keepalives_idle": "20",
        "tcp_user_timeout": "10000",
        "client_encoding": "utf8",
        **{name: value for name, value in url.query.items() if name in _DRIVERS},
        "host": url.host,
        "port": url.port,
        "user": url.user,
        "password": None if url.password is None else url.password.reveal(),
        "dbname": url.path or None,
    }
    return {name: value for name, value in parameters.items() if value is not None}
