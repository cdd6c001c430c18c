"""The application's object: settings, declared jobs and one store. The only composition root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, Unpack

from longshore import config
from longshore.answers import Answers, Made
from longshore.callers import caller
from longshore.client import Client, Plan
from longshore.composing import Composing, one_for_all, place, together_in
from longshore.core.batches import Together
from longshore.core.codec import encode_literal
from longshore.core.durations import Duration
from longshore.core.model import NewJob
from longshore.core.registry import Declaration, Registry
from longshore.core.sealing import Sealer
from longshore.core.settings import Durability, Settings
from longshore.core.shards import Placing, ShardBy
from longshore.core.store import Store
from longshore.core.store_url import StoreURL
from longshore.core.wording import shown
from longshore.declare import new_job, read_push
from longshore.errors import (
    ArgsMismatch,
    EnqueueError,
    LongshoreError,
)
from longshore.handle import JobHandle
from longshore.job import BoundJob, JobDecorator
from longshore.joining.here import HERE, Transaction, joined
from longshore.middleware import Around, EventName, L, M
from longshore.schedule import Planned, ScheduleDecorator

if TYPE_CHECKING:
    from collections.abc import Callable

    from longshore.joining.enqueue import Joins
    from longshore.joining.kinds import DatabaseConnection, DatabaseSession, Proxy
    from longshore.joining.through import Through
    from longshore.query import JobQuery, Kind, Limits, Queues, Schedules
    from longshore.worker.embedded import Worker
    from longshore.worker.options import WorkerOptions

R = TypeVar("R")
C = TypeVar("C", bound="DatabaseConnection | DatabaseSession | Proxy")
S = TypeVar("S", bound="Callable[..., DatabaseSession]")


class SettingOptions(TypedDict, total=False):
    """Settings that may be given to :class:`Longshore`; they win over environment and file."""

    lease: Duration
    poll_interval: Duration
    shutdown_timeout: Duration
    keep_succeeded: Duration | None
    keep_cancelled: Duration | None
    keep_dead: Duration | None
    max_payload: int
    default_queue: str
    prefix: str
    durability: Durability
    outbox: str | None
    shards: Sequence[str] | int | None
    shard_by: ShardBy
    encryption_keys: Sequence[str] | str


class Longshore(Composing):
    """An application's jobs and the store they live in.

    Parameters: ``store``, a URL such as ``sqlite:///jobs.db``, ``memory://`` or ``env:NAME``;
    without it ``LONGSHORE_STORE``, ``[tool.longshore]`` in ``pyproject.toml``, then
    ``sqlite:///longshore.db``. The other settings are in the reference; an unknown one raises
    :class:`ConfigurationError`. Nothing is opened before the first use; :meth:`close` ends it.

    >>> from longshore import Longshore
    >>> jobs = Longshore("memory://")
    >>> @jobs.job(kind="add")
    ... def add(a: int, b: int) -> int:
    ...     return a + b
    >>> handle = add.enqueue(1, 2)
    >>> jobs.worker(threads=1).run(until_empty=True)
    >>> handle.result(timeout=5)
    3
    """

    def __init__(self, store: str | None = None, **settings: Unpack[SettingOptions]) -> None:
        level, names = caller()
        #: Name and file of the module that made this object; relative paths start beside it.
        self.module: Final[str] = names.get("__name__", "__main__")
        self.module_file: Final[str | None] = names.get("__file__")
        given: dict[str, object] = dict(settings)
        if store is not None:
            given["store"] = store
        self.settings: Final[Settings] = config.read(
            given, self.module_file, os.environ, stacklevel=level + 1
        )
        keys = self.settings.encryption_keys
        self.sealer: Final = Sealer(keys) if keys else None
        self.registry: Final = Registry(self.sealer.marks if self.sealer else ())
        self.around: Final = Around()
        self.client: Final = Client(partial(self._connect, self.settings.store))
        self._answers: Final = Answers(self)
        count, by = self.settings.shards, self.settings.shard_by
        self.placing: Final = Placing(count, by) if count else None
        self._place: Final = partial(place, self.sealer)
        outbox = self.settings.outbox
        #: Where jobs wait that join a transaction of another database than the store's.
        self.outbox: Final = None if outbox is None else Client(partial(self._connect, outbox))
        #: Declares a job: ``@jobs.job`` or ``@jobs.job(queue="mail")``.
        self.job: Final = JobDecorator(self)
        #: The schedules in the code, and what declares one: ``@jobs.schedule("0 5 * * *")``.
        self.planned: Final = Planned(self)
        self.schedule: Final = ScheduleDecorator(self)

    # --- declare ------------------------------------------------------------------------------

    def middleware(self, function: M) -> M:
        """Put a generator function with one ``yield`` around every job of this application."""
        return self.around.add(function)

    def on(self, name: EventName) -> Callable[[L], L]:
        """Call the decorated function after each such event, in the process that made it."""
        return self.around.listen(name)

    # --- enqueue ------------------------------------------------------------------------------

    def enqueue_many(self, bound: Iterable[BoundJob[R]]) -> list[JobHandle[R]]:
        """Store many jobs, all or none; every one is checked before the first is sent.

        Raises what ``bind`` raises, naming the item's place; then nothing was written. Over several
        shards it is all or none in each: :class:`PartlyEnqueued` has handles on what was stored.

        Example: ``jobs.enqueue_many(send_welcome.bind(i) for i in range(10_000))``
        """
        made, through = self._collect(bound)
        if not made:
            return []
        through = through or (joined(self._owners(), awaits=False) if HERE.get() else None)
        if through is not None:
            return self.enqueue_through(through, made)
        placed = self._placed(made)
        with self._answers.partly(placed):
            answer = self.client.insert([job for _, job in placed])
        return self._answers.many(placed, answer)

    async def aenqueue_many(self, bound: Iterable[BoundJob[R]]) -> list[JobHandle[R]]:
        """The awaitable twin of :meth:`enqueue_many`."""
        made, through = self._collect(bound)
        if not made:
            return []
        through = through or (joined(self._owners(), awaits=True) if HERE.get() else None)
        if through is not None:
            return await self.aenqueue_through(through, made)
        placed = self._placed(made)
        with self._answers.partly(placed):
            answer = await self.client.ainsert([job for _, job in placed])
        return self._answers.many(placed, answer)

    def push(self, job: Mapping[str, object]) -> JobHandle[Any]:
        """Store a job given as a plain dictionary; its code need not be importable here.

        Keys: ``kind``, ``args`` (a list) and ``kwargs``, and the options of ``using``. Values are
        plain JSON. Nothing is checked against the job's signature: a worker that cannot read the
        arguments parks the job.

        Example: ``jobs.push({"kind": "app.jobs.send_welcome", "args": [42], "queue": "mail"})``
        """
        declaration, new = self._pushed(job)
        return self.enqueue_one(declaration, new)

    async def apush(self, job: Mapping[str, object]) -> JobHandle[Any]:
        """The awaitable twin of :meth:`push`."""
        declaration, new = self._pushed(job)
        return await self.aenqueue_one(declaration, new)

    def enqueue_one(self, declaration: Declaration | None, job: NewJob) -> JobHandle[Any]:
        """Store one checked job; what ``enqueue`` of every kind of job ends in."""
        if HERE.get():
            through = joined(self._owners(), awaits=False)
            if through is not None:
                return self.enqueue_through(through, [(declaration, job)])[0]
        if self.placing is not None:
            job = self._place(self.placing, declaration, job)
        (answer,) = self.client.insert([job])
        return self._answers.one(declaration, job, answer)

    async def aenqueue_one(self, declaration: Declaration | None, job: NewJob) -> JobHandle[Any]:
        """The awaitable twin of :meth:`enqueue_one`."""
        if HERE.get():
            through = joined(self._owners(), awaits=True)
            if through is not None:
                return (await self.aenqueue_through(through, [(declaration, job)]))[0]
        if self.placing is not None:
            job = self._place(self.placing, declaration, job)
        (answer,) = await self.client.ainsert([job])
        return self._answers.one(declaration, job, answer)

    def enqueue_together(self, made: Made, together: Together) -> list[JobHandle[Any]]:
        """Store jobs that belong together with what they belong to, all or none."""
        jobs = [job for _, job in made]
        through = joined(self._owners(), awaits=False) if HERE.get() else None
        if through is None:
            return self._answers.many(made, self.client.insert(jobs, together))
        return self._answers.joined(through, made, self._joins.insert(through, jobs, together))

    async def aenqueue_together(self, made: Made, together: Together) -> list[JobHandle[Any]]:
        """The awaitable twin of :meth:`enqueue_together`."""
        jobs = [job for _, job in made]
        through = joined(self._owners(), awaits=True) if HERE.get() else None
        if through is None:
            return self._answers.many(made, await self.client.ainsert(jobs, together))
        return self._answers.joined(
            through, made, await self._joins.ainsert(through, jobs, together)
        )

    # --- in the caller's transaction ----------------------------------------------------------

    def transaction(self, connection: C) -> Transaction[C]:
        """Let everything that is enqueued inside the block join a transaction of yours.

        Parameters: ``connection``, of sqlite3, psycopg, PyMySQL, an SQLAlchemy engine or Django, or
        a session of SQLAlchemy. The block holds for this thread or task; it neither commits nor
        rolls back. What the connection raises is raised unchanged. Raises :class:`InvalidOption`
        for anything else, and inside :class:`StoreElsewhere` where it leads to another database
        and nothing tells of its commit.

        Example: ``with jobs.transaction(connection): send_welcome.enqueue(42)``
        """
        from longshore.joining.kinds import recognise  # noqa: PLC0415 - only who joins pays for it

        return Transaction(self, connection, recognise(connection))

    def attach(self, factory: S) -> S:
        """Let plain enqueues join the SQLAlchemy session that is in a transaction here.

        Parameters: ``factory``, a ``sessionmaker``, ``async_sessionmaker``, ``scoped_session`` or
        class of sessions; it is returned. A session counts from its first statement, or ``begin``,
        to its commit or rollback, in the thread or task in which it began. With two at once an
        enqueue raises :class:`EnqueueError`: say ``using(session=...)``.

        Example: ``Session = jobs.attach(sessionmaker(engine))``
        """
        from longshore.joining.attach import attach  # noqa: PLC0415 - only with SQLAlchemy

        attach(self, factory)
        return factory

    def enqueue_through(
        self, through: Through, made: Sequence[tuple[Declaration | None, NewJob]]
    ) -> list[JobHandle[Any]]:
        """Store checked jobs in the transaction of a caller's connection."""
        made = self._placed(made)
        answer = self._joins.insert(through, [job for _, job in made])
        return self._answers.joined(through, made, answer)

    async def aenqueue_through(
        self, through: Through, made: Sequence[tuple[Declaration | None, NewJob]]
    ) -> list[JobHandle[Any]]:
        """The awaitable twin of :meth:`enqueue_through`."""
        made = self._placed(made)
        answer = await self._joins.ainsert(through, [job for _, job in made])
        return self._answers.joined(through, made, answer)

    # --- follow -------------------------------------------------------------------------------

    def get(self, job_id: str) -> JobHandle[Any]:
        """A handle on a stored job; raises :class:`JobNotFound`."""
        return self.client.follow(self._get(job_id))

    async def aget(self, job_id: str) -> JobHandle[Any]:
        """The awaitable twin of :meth:`get`."""
        return await self.client.afollow(self._get(job_id))

    @property
    def query(self) -> JobQuery:
        """All jobs of the store, to be narrowed with ``filter``."""
        from longshore.query import JobQuery  # noqa: PLC0415 - only who asks pays for it

        return JobQuery(self)

    @property
    def queues(self) -> Queues:
        """The queues of the store by name: ``jobs.queues["mail"].pause()``."""
        from longshore.query import Queues  # noqa: PLC0415 - only who asks pays for it

        return Queues(self)

    @property
    def limits(self) -> Limits:
        """The limits of the store by name: ``jobs.limits.set("account", to=5)``."""
        from longshore.query import Limits  # noqa: PLC0415 - only who asks pays for it

        return Limits(self)

    @property
    def schedules(self) -> Schedules:
        """The schedules of the store by name: ``jobs.schedules.pause("nightly")``."""
        from longshore.query import Schedules  # noqa: PLC0415 - only who asks pays for it

        return Schedules(self)

    def pause(self, *, kind: Kind, reason: str | None = None, for_: Duration | None = None) -> None:
        """Start no more jobs of one kind, in any queue; what was claimed may still start.

        Parameters: ``kind``, a stored name, job function or job class; ``reason``, shown to
        people; ``for_``, a duration after which it resumes by itself.

        Example: ``jobs.pause(kind="app.sync", reason="provider down", for_="15m")``
        """
        from longshore.query.kinds import pause  # noqa: PLC0415 - only who asks pays for it

        self.client.follow(pause(self, kind, reason, for_))

    async def apause(
        self, *, kind: Kind, reason: str | None = None, for_: Duration | None = None
    ) -> None:
        """The awaitable twin of :meth:`pause`."""
        from longshore.query.kinds import pause  # noqa: PLC0415 - only who asks pays for it

        await self.client.afollow(pause(self, kind, reason, for_))

    def resume(self, *, kind: Kind) -> None:
        """Start jobs of this kind again."""
        from longshore.query.kinds import resume  # noqa: PLC0415 - only who asks pays for it

        self.client.follow(resume(self, kind))

    async def aresume(self, *, kind: Kind) -> None:
        """The awaitable twin of :meth:`resume`."""
        from longshore.query.kinds import resume  # noqa: PLC0415 - only who asks pays for it

        await self.client.afollow(resume(self, kind))

    # --- run ----------------------------------------------------------------------------------

    def worker(
        self,
        *,
        queues: Iterable[str] = ("*",),
        processes: int = 1,
        threads: int = 10,
        shutdown_timeout: Duration | None = None,
        name: str | None = None,
    ) -> Worker:
        """A worker for these queues; see :meth:`Worker.run` and :meth:`Worker.running`.

        Parameters: ``queues`` in strict order, ``"*"`` and ``"mail*"`` as wildcards, ``"-audit"``
        excluded; ``threads``, the slots of each process.
        """
        from longshore.worker.embedded import Worker  # noqa: PLC0415 - a web process has none
        from longshore.worker.options import names_of  # noqa: PLC0415 - as above

        return Worker(
            self,
            queues=names_of(queues),
            processes=processes,
            threads=threads,
            shutdown_timeout=shutdown_timeout,
            name=name,
            supervise=_supervise,
        )

    @property
    def store(self) -> Store:
        """The store, opened at the first use."""
        return self.client.store

    def migrate(self) -> tuple[str, ...]:
        """Bring the tables of the store, and of the outbox, up to date.

        Returns the names of the migrations that ran.
        """
        done = self.store.migrate()
        return done if self.outbox is None else (*done, *self.outbox.store.migrate())

    async def amigrate(self) -> tuple[str, ...]:
        """The awaitable twin of :meth:`migrate`."""
        import asyncio  # noqa: PLC0415 - only awaiting callers pay for it

        return await asyncio.to_thread(self.migrate)

    def close(self) -> None:
        """Close the store. Every later use raises :class:`ClientClosed`.

        A worker that runs inside this process is drained first, as if its block had ended.
        """
        self.client.close()
        if self.outbox is not None:
            self.outbox.close()

    async def aclose(self) -> None:
        """The awaitable twin of :meth:`close`."""
        import asyncio  # noqa: PLC0415 - only awaiting callers pay for it

        await asyncio.to_thread(self.close)

    def __repr__(self) -> str:
        return f"<Longshore {self.settings.store} with {len(self.registry)} jobs>"

    # --- helpers ------------------------------------------------------------------------------

    def _connect(self, address: StoreURL) -> Store:
        from longshore.stores import connect  # noqa: PLC0415 - a driver is imported when used

        settings = self.settings
        return connect(
            address,
            retention=settings.retention,
            prefix=settings.prefix,
            durability=settings.durability,
            shard_by=settings.shard_by,
        )

    def _pushed(self, job: Mapping[str, object]) -> tuple[Declaration | None, NewJob]:
        kind, args, kwargs, options = read_push(job, self.settings, self.registry, self.sealer)
        payload = encode_literal(args, kwargs, limit=self.settings.max_payload, kind=kind)
        return self.registry.find(kind), new_job(kind, options, payload)

    def _collect(
        self, bound: Iterable[BoundJob[Any]]
    ) -> tuple[list[tuple[Declaration, NewJob]], Through | None]:
        """Turn every item into a record before the first is sent; say which one was bad."""
        made: list[tuple[Declaration, NewJob]] = []
        through: Through | None = None
        try:
            # A generator binds here, so what it raises belongs to the item after the last.
            for item in bound:
                record = self._record(item)
                if item.options.through is not through:
                    through = one_for_all(through, item, first=not made)
                made.append(record)
        except LongshoreError as error:
            error.args = (f"item {len(made)}: {error} (nothing of the batch was enqueued)",)
            raise
        return made, through

    def _record(self, item: object) -> tuple[Declaration, NewJob]:
        if not isinstance(item, BoundJob):
            msg = f"{shown(item)} is not a bound job; give what bind() of a job returns"
            raise ArgsMismatch(msg)
        declaration = item.declaration
        if item.app is not self:
            msg = f"job {declaration.kind} was declared by another Longshore object; use that one"
            raise EnqueueError(msg)
        return declaration, new_job(declaration.kind, item.options, item.payload)

    def _placed(
        self, made: Sequence[tuple[Declaration | None, NewJob]]
    ) -> Sequence[tuple[Declaration | None, NewJob]]:
        """The same jobs, each with its shard in its id where there are shards."""
        placing = self.placing
        if placing is None:
            return made
        return [(declaration, self._place(placing, declaration, job)) for declaration, job in made]

    def placed_with(
        self, declaration: Declaration | None, job: NewJob, shard_key: str | None
    ) -> NewJob:
        """A job of a batch or workflow: it lies where that lies."""
        return together_in(self.placing, self._place, declaration, job, shard_key)

    def check_shard(self, bound: BoundJob[Any], job: NewJob) -> NewJob:
        """A schedule's job, placed; one in another shard than what it shares is refused."""
        if bound.app is not self:
            msg = f"job {job.kind} was declared by another Longshore object; use that one"
            raise EnqueueError(msg)
        return job if not self.placing else self._place(self.placing, bound.declaration, job)

    def _get(self, job_id: str) -> Plan[JobHandle[Any]]:
        # Ids are kept in one form; a UUID object and capitals mean the same job.
        handle: JobHandle[Any] = JobHandle(self, str(job_id).lower(), None)
        yield from handle.refreshing()
        return handle

    @cached_property
    def _joins(self) -> Joins:
        from longshore.joining.enqueue import Joins  # noqa: PLC0415 - only who joins pays for it

        return Joins(self, self._answers.told)

    def _owners(self) -> tuple[object, ...]:
        return self, self.store


def _supervise(options: WorkerOptions) -> int:
    from longshore.supervise import run  # noqa: PLC0415 - only for several processes

    return run(options)
