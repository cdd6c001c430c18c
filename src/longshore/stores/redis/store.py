"""The store in Redis or Valkey: how operations are driven over it.

Each operation is one script, so that it happens wholly or not at all. A connection that breaks is
opened anew and the operation repeated, which is safe: a repeated request is answered, not done
twice. What the server refuses for a moment only is waited out; only after seconds it is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Final, TypeVar

from longshore.core.durations import seconds
from longshore.core.facts import Facts
from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.core.store import Operation, Retention, adrive, drive
from longshore.core.store_url import StoreURL
from longshore.core.wording import did_you_mean
from longshore.errors import ConfigurationError, InvalidOption
from longshore.stores.clock import Clock
from longshore.stores.deadlines import ANSWER
from longshore.stores.redis.bundles import Bundling
from longshore.stores.redis.facts import facts_of
from longshore.stores.redis.inspect import Inspecting
from longshore.stores.redis.links import Links, aanswered, answered
from longshore.stores.redis.meeting import Meeting, Question, begun, loading, schema_of, welcome
from longshore.stores.redis.operations import Consuming, Maintaining
from longshore.stores.redis.patience import PATIENCE, Patience
from longshore.stores.redis.schedules import Scheduling
from longshore.stores.redis.scripts import SCRIPTS, Call, Steps
from longshore.stores.redis.watch import RedisWatch
from longshore.stores.redis.wire import (
    AsyncLink,
    Link,
    Lost,
    Place,
    Refused,
    Unreplicated,
    checked,
    pack,
)

T = TypeVar("T")

#: How often scripts are loaded again for one call: somebody may flush them meanwhile.
LOADS: Final = 3

#: What may not be lost after it was acknowledged. The rest repeats itself: a job whose end is lost
#: runs again, a lost claim or sign of life is made anew.
REPLICATED: Final = frozenset(
    {
        *("insert", "save", "cancel", "retry", "delete", "move", "set_queue"),
        *("declare", "fire", "set_schedule"),
    }
)


def open_redis(
    address: StoreURL,
    *,
    retention: Retention,
    prefix: str,
    durability: str,
    clock: Clock | None = None,
) -> RedisStore:
    """Make the store for ``redis://[user:password@]host[:port][/database][?option=value]``.

    With ``rediss://`` the connection is encrypted; ``redis+cluster://`` names any server of a
    cluster. Options: ``replicas`` and ``wait`` with the durability ``replicated``, ``evicting``,
    and with ``rediss`` the files ``ca``, ``cert`` and ``key``, or ``tls=yes`` on a cluster.

    Raises:
        ConfigurationError: an option or a durability that Redis does not have.
    """
    query = address.query
    for option in query:
        if option not in _OPTIONS:
            raise ConfigurationError(
                f"store: {address} has the option {option}, which Redis does not."
                f"{did_you_mean(option, _OPTIONS)} Options: {', '.join(_OPTIONS)}."
            )
    if durability not in _DURABILITIES:
        raise ConfigurationError(
            f"store: Redis has no durability {durability!r}. Use full, normal, or replicated, with"
            " which what is acknowledged is on a replica too."
        )
    cluster = address.scheme == "redis+cluster"
    if not (address.path.isdigit() or address.path == "") or (cluster and address.path):
        raise ConfigurationError(
            f"store: {address}: after the host comes the number of a database, as in"
            " redis://localhost/0, and nothing for a cluster."
        )
    replicas = query.get("replicas", "1")
    if not replicas.isdigit() or replicas == "0":
        raise ConfigurationError(f"store: {address}: replicas must be a number from 1.")
    try:
        wait = seconds(query.get("wait", "1s"), field="wait", minimum=0.001, maximum=ANSWER / 2)
    except InvalidOption as error:
        raise ConfigurationError(f"store: {address}: {error}") from error
    return RedisStore(
        _place(address),
        cluster=cluster,
        retention=retention,
        prefix=prefix,
        replicas=int(replicas) if durability == "replicated" else 0,
        replica_wait=wait,
        keeps=durability == "full",
        evicting=query.get("evicting") == "yes",
        clock=clock,
    )


def _place(address: StoreURL) -> Place:
    query = address.query
    place = Place(
        host=address.host or "localhost",
        port=address.port or 6379,
        user=address.user or None,
        password=None if address.password is None else address.password.reveal(),
        database=int(address.path or 0),
        tls=address.scheme == "rediss" or query.get("tls") == "yes",
        ca=query.get("ca"),
        cert=query.get("cert"),
        key=query.get("key"),
    )
    files = " and ".join(f"{name}={query[name]}" for name in ("ca", "cert", "key") if name in query)
    try:
        # Looked at once here: a server that is tried again and again does not mend a missing file.
        place.context()
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigurationError(f"store: {address}: {files} cannot be used: {why}.") from error
    return place


_OPTIONS: Final = ("replicas", "wait", "evicting", "tls", "ca", "cert", "key")
_DURABILITIES: Final = ("full", "normal", "replicated")


class RedisStore(Bundling, Consuming, Maintaining, Inspecting, Scheduling):
    """Jobs in Redis (6.2 or newer) or Valkey; see :class:`longshore.core.store.Store`.

    Args:
        place: the server.
        cluster: whether it is one of a Redis Cluster; the store is in one slot of it.
        retention: how long ended jobs stay.
        prefix: the hash tag with which all keys begin.
        replicas: how many replicas must have what was acknowledged, 0 for none.
        replica_wait: how long to wait for them, seconds.
        keeps: whether the application wants its jobs on disk; a server that keeps nothing there
            is then told of.
        evicting: accept a server that may throw away any key when its memory is full.
        clock: what decides leases and what is due; ``None`` for the server's own.
        patience: how long to wait for a server that is away for a moment, seconds.
        on_statement: called before each statement with the operation's name and the statement's
            number from 1, and with 0 before anything is sent that lasts; what it raises undoes the
            operation. For tests.
    """

    name = "redis"
    shared = True

    def __init__(
        self,
        place: Place,
        *,
        cluster: bool = False,
        retention: Retention | None = None,
        prefix: str = "longshore_",
        replicas: int = 0,
        replica_wait: float = 1.0,
        keeps: bool = False,
        evicting: bool = False,
        clock: Clock | None = None,
        patience: float = PATIENCE,
        on_statement: Callable[[str, int], None] | None = None,
    ) -> None:
        super().__init__(retention or Retention())
        scheme = "redis+cluster" if cluster else "rediss" if place.tls else "redis"
        database = f"/{place.database}" if place.database else ""
        self.address = f"{scheme}://{place.host}:{place.port}{database}"
        self.base = f"{{{prefix}}}".encode()
        self.clock = clock
        self._meeting = Meeting(self.address, keeps=keeps, evicting=evicting)
        self._replicas = replicas
        self._wait = pack(("WAIT", replicas, max(1, round(replica_wait * 1000))))
        self.patience = patience
        self._on_statement = on_statement
        self._links = Links(place, cluster=cluster)
        self._ready = False
        self._kept = " ".join(
            "-" if kept is None else str(kept)
            for kept in (self.retention.succeeded, self.retention.cancelled, self.retention.dead)
        )
        self._watches: tuple[RedisWatch, ...] = ()
        self._lock = threading.Lock()
        #: Whether a thread claims: a watch that waits in such a one waits for work.
        self._claiming = threading.local()

    # --- driving ---

    def run(self, op: Operation[T], /) -> T:
        """Drive an operation and block until the server has done it."""
        if op.name in _CLAIMS:
            self._claiming.here = True
        return self._patiently(self._attempt, op)

    async def arun(self, op: Operation[T], /) -> T:
        """Drive an operation without blocking the event loop."""
        import asyncio  # noqa: PLC0415 - 40 ms that only who awaits pays

        loop = asyncio.get_running_loop()
        began = time.monotonic()
        patience: Patience | None = None
        while True:
            link: AsyncLink | None = None
            try:
                link = await self._links.atake(loop)
                answer = await self._aattempt(link, op)
            except (Lost, Refused, Unreplicated) as error:
                if link is not None and isinstance(error, Lost):
                    link.close()
                elif link is not None:
                    self._links.agive_back(link, loop)
                patience = patience or Patience(self, began, known=self._ready)
                pause = patience.after(error)
            except BaseException:
                # Cancelled in the middle of an answer, maybe: nobody else may read the rest.
                if link is not None:
                    link.close()
                raise
            else:
                self._links.agive_back(link, loop)
                return answer
            await asyncio.sleep(pause)

    def watch(self) -> RedisWatch:
        """A watch that hears of jobs that have come, and of jobs that have ended."""
        watch = RedisWatch(self._links, self.base, self)
        with self._lock:
            self._watches = (*self._watches, watch)
        return watch

    def schema(self) -> SchemaStatus:
        """Whether this release can work with the keys; there is nothing to migrate."""

        def ask() -> Steps[SchemaStatus]:
            return schema_of((yield SCRIPTS["schema"]()))

        op = Operation("schema", ask, writes=False)
        return self._patiently(self._loaded, op)

    def migrate(self) -> tuple[str, ...]:
        """Begin a store that was never used; there is nothing to migrate."""
        op = Operation("migrate", begun, writes=True)
        self._patiently(self._loaded, op)
        return ()

    def script(self) -> tuple[Migration, ...]:
        """Nothing to migrate."""
        return ()

    def verify(self) -> tuple[Difference, ...]:
        """No tables that could differ."""
        return ()

    def facts(self) -> tuple[Facts, ...]:
        """What the server says of itself, also one that is not used."""
        meeting = self._meeting
        meeting.tell_no_more()

        def ask(link: Link, _: Operation[Any]) -> Facts:
            return answered(
                link, facts_of(self.address, keeps=meeting.keeps, forced=meeting.evicting)
            )

        op: Operation[Any] = Operation("facts", begun, writes=False)
        return (self._patiently(ask, op),)

    def close(self) -> None:
        """Close the connections; later operations are refused."""
        self._links.close()
        with self._lock:
            watches, self._watches = self._watches, ()
        for watch in watches:
            watch.close()

    # --- helpers ---

    def _patiently(self, work: Callable[[Link, Operation[T]], T], op: Operation[T]) -> T:
        links = self._links
        began = time.monotonic()
        patience: Patience | None = None
        while True:
            link: Link | None = None
            try:
                link = links.take()
                answer = work(link, op)
            except (Lost, Refused, Unreplicated) as error:
                if link is not None and isinstance(error, Lost):
                    link.close()
                elif link is not None:
                    links.give_back(link)
                op.before()  # others may have to wait for long
                patience = patience or Patience(self, began, known=self._ready)
                pause = patience.after(error)
            except BaseException:
                # Interrupted in the middle of an answer, maybe: nobody else may read the rest.
                if link is not None:
                    link.close()
                raise
            else:
                links.give_back(link)
                return answer
            links.closed.wait(pause)

    def _attempt(self, link: Link, op: Operation[T]) -> T:
        if not self._ready:
            answered(link, self._preparing())
        return self._driven(link, op)

    def _driven(self, link: Link, op: Operation[T]) -> T:
        told = self._teller(op)
        wait, meanwhile = self._replicas and op.name in REPLICATED, op.meanwhile

        def execute(call: Call) -> Any:
            if told is not None:
                told()
            packed = self._packed(call)
            if wait:
                packed += self._wait
            if meanwhile is None:
                reply = link.answer(packed)
            else:
                link.send(packed)
                meanwhile()
                reply = link.reply()
            for _ in range(LOADS):
                if not _is_unknown(reply):
                    break
                if wait:
                    link.reply()
                answered(link, loading())
                reply = link.answer(packed)
            return self._confirmed(reply, link.reply()) if wait else checked(reply)

        return drive(op, execute)

    async def _aattempt(self, link: AsyncLink, op: Operation[T]) -> T:
        if not self._ready:
            await aanswered(link, self._preparing())
        told = self._teller(op)
        wait = self._replicas and op.name in REPLICATED

        async def execute(call: Call) -> Any:
            if told is not None:
                told()
            packed = self._packed(call) + (self._wait if wait else b"")
            replies = await link.ask(packed, 2 if wait else 1)
            for _ in range(LOADS):
                if not _is_unknown(replies[0]):
                    break
                await aanswered(link, loading())
                replies = await link.ask(packed, 2 if wait else 1)
            return self._confirmed(*replies) if wait else checked(replies[0])

        return await adrive(op, execute)

    def _loaded(self, link: Link, op: Operation[T]) -> T:
        """Drive an operation on keys that may not be up to date."""
        if not self._meeting.met:
            answered(link, welcome(self._meeting, self._links))
        return self._driven(link, op)

    def _preparing(self) -> Generator[Question, list[Any], None]:
        """Look at the server and the keys once, and begin in a store that was never used."""
        yield from welcome(self._meeting, self._links)
        yield from self._meeting.checked_schema(self._packed)
        self._ready = True

    def _teller(self, op: Operation[Any]) -> Callable[[], None] | None:
        hook = self._on_statement
        if hook is None:
            return None
        number = 0

        def told() -> None:
            nonlocal number
            number += 1
            hook(op.name, number)
            if op.writes:
                # Before anything is sent: a script is its own commit.
                hook(op.name, 0)

        return told

    def _packed(self, call: Call) -> bytes:
        now = "" if self.clock is None else str(self.clock.wall_us())
        return pack(
            (
                b"EVALSHA",
                call.script.sha,
                b"1",
                self.base,
                now,
                self._meeting.epoch,
                self._kept,
                *call.args,
            )
        )

    def _confirmed(self, reply: Any, replicas: Any) -> Any:
        """The answer of a write, if enough replicas have it."""
        answer = checked(reply)
        if checked(replicas) < self._replicas:
            raise Unreplicated(f"only {replicas} of {self._replicas} replicas confirmed it in time")
        return answer

    def begin_anew(self) -> None:
        """Its keys or scripts are gone: look at the server again before the next operation."""
        self._ready = False
        self._meeting.met = False

    def seek(self, error: Lost | Refused) -> None:
        """Find the server that serves this store now."""
        if isinstance(error, Refused) and error.code == "MOVED":
            self._links.moved(error)
        else:
            self._links.seek()

    # --- for its watches ---

    def is_claiming(self) -> bool:
        """Whether this thread claims jobs."""
        return getattr(self._claiming, "here", False)

    def standing(self, call: Call) -> bytes | None:
        """A claim as it is sent; nothing where one cannot be left with the server."""
        return self._packed(call) if self._ready else None

    def forget(self, watch: RedisWatch) -> None:
        """A watch is over."""
        with self._lock:
            self._watches = tuple(other for other in self._watches if other is not watch)
        self.heard(watch.id, work=False)

    def heard(self, ear: str, *, work: bool) -> None:
        """A watch waits for work, or not any more: claims that find little tell the server."""
        with self._lock:
            others = tuple(other for other in self.ears if other != ear)
            self.ears = (*others, ear) if work else others


_CLAIMS: Final = frozenset({"claim", "exchange"})


def _is_unknown(reply: Any) -> bool:
    """Whether the server has lost its scripts, or another one answers here now."""
    return isinstance(reply, Refused) and reply.code == "NOSCRIPT"
