"""Where a job goes that is enqueued through the caller's connection, and the way there.

* The connection leads to the store itself: the insert runs in the caller's transaction.
* It leads to the outbox: a row for each job is added there, in the caller's transaction.
* Elsewhere, and the connection tells of its commit: the job is stored after it.
* Else it is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import msgspec

from longshore.callers import warn
from longshore.client import Client
from longshore.core.batches import Together
from longshore.core.limits import Hold, OnConflict
from longshore.core.model import Inserted, JobRecord, NewJob
from longshore.core.outbox import Outbox, encode
from longshore.core.settings import Settings
from longshore.core.shards import Placing
from longshore.core.store import Operation, Store
from longshore.errors import (
    CrossShard,
    EnqueueError,
    EnqueueUncertain,
    LongshoreError,
    PartlyEnqueued,
    StoreBusy,
    StoreElsewhere,
)
from longshore.joining.driving import adriven, driven, home_together, joined
from longshore.joining.through import Through

T = TypeVar("T")


class Fate(Enum):
    """What will become of jobs that were enqueued through a connection."""

    STORED = "stored"  # at once, as if there were no connection
    JOINED = "joined"  # visible when the caller commits
    RELAYED = "relayed"  # visible some moments after the caller commits
    LATER = "later"  # stored after the caller commits


class Answer(msgspec.Struct, frozen=True):
    """What was done with some jobs; ``inserted`` has one for each, conflicts included."""

    fate: Fate
    inserted: Sequence[Inserted]

    @property
    def stored(self) -> bool:
        """Whether they are there already."""
        return self.fate is Fate.STORED

    @property
    def joined(self) -> bool:
        """Whether they are in the caller's transaction, in the store itself."""
        return self.fate is Fate.JOINED

    @property
    def relayed(self) -> bool:
        """Whether they go through the outbox."""
        return self.fate is Fate.RELAYED


class There(msgspec.Struct, frozen=True):
    """Drive an operation over the caller's connection."""

    op: Operation[Any]
    jobs: int = 0  # that it writes


class Here(msgspec.Struct, frozen=True):
    """Drive an operation over a connection of ours."""

    client: Client
    op: Operation[Any]


class Open(msgspec.Struct, frozen=True):
    """Get hold of the caller's connection: its memory, and whether it commits each statement."""


Step: TypeAlias = There | Here | Open
Steps: TypeAlias = Generator[Step, Any, T]
#: Told of jobs that were stored after the caller's commit.
Told: TypeAlias = Callable[[Sequence[NewJob], Sequence[Inserted]], None]


class Host(Protocol):
    """What this needs of the application."""

    @property
    def settings(self) -> Settings: ...
    @property
    def client(self) -> Client: ...
    @property
    def outbox(self) -> Client | None: ...


class Bundles(Protocol):
    """What a SQL store does for what is stored as a whole in a transaction of others."""

    def joinable(self, jobs: Sequence[NewJob], together: Together) -> Operation[bool]: ...


class Joins:
    """Enqueues through connections of the caller, for one application.

    It remembers which stores the application has; of connections it keeps nothing.
    """

    def __init__(self, host: Host, told: Told) -> None:
        self._host = host
        self._told = told
        self._ids: dict[Client, str] = {}
        self._shards: list[Client] | None = None

    def insert(
        self, through: Through, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Answer:
        """Store jobs, all or none, as the caller's transaction goes."""
        if through.awaits:
            raise EnqueueError(
                f"{through.noun} must be awaited; nothing was enqueued. Use `await ...aenqueue()`."
            )
        plan = self._placed(through, jobs, together)
        try:
            step = next(plan)
            while True:
                try:
                    answer = _taken(through, step, jobs)
                except LongshoreError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as done:
            placed: Answer = done.value
            return placed

    async def ainsert(
        self, through: Through, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Answer:
        """The awaitable twin of :meth:`insert`."""
        plan = self._placed(through, jobs, together)
        try:
            step = next(plan)
            while True:
                try:
                    answer = await _ataken(through, step, jobs)
                except LongshoreError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as done:
            placed: Answer = done.value
            return placed

    # --- one body for both --------------------------------------------------------------------

    def _placed(
        self, through: Through, jobs: Sequence[NewJob], together: Together | None
    ) -> Steps[Answer]:
        host = self._host
        there, at_once = yield from self._store_there(through)
        if there in self._stores():
            if together is None:
                self._refuse_crossing(through, there, jobs)
            else:
                together = self._at_home(through, there, jobs, together)
            if at_once:
                inserted = yield Here(there, there.store.insert(jobs, together))
                return Answer(Fate.STORED, inserted)
            if together is not None:
                return Answer(Fate.JOINED, (yield from _together(there.store, jobs, together)))
            return Answer(Fate.JOINED, (yield from _joined(joined(there.store), jobs)))
        if together is not None:
            raise StoreElsewhere(
                f"{through.noun} does not lead to the store, and a batch or workflow is stored as a"
                " whole, in one database; nothing was enqueued. Enqueue it after your commit."
            )
        if there is not None:
            outbox = cast("Outbox", joined(there.store))
            store = yield from self._id(host.client)
            yield There(outbox.outbox_add(store, [encode(job) for job in jobs]))
            return Answer(Fate.RELAYED, [Inserted(job.id) for job in jobs])
        if host.outbox is None and through.tells:
            through.after_commit(*self._hooks(jobs))
            return Answer(Fate.LATER, [Inserted(job.id) for job in jobs])
        raise _elsewhere(host, through)

    def _store_there(self, through: Through) -> Steps[tuple[Client | None, bool]]:
        """Which of our stores the connection leads to, and whether it commits each statement."""
        if through.store is not None:
            for client in self._stores():
                if client.store is through.store:
                    return client, False
        clients = [*self._stores(), self._host.outbox]
        ours = [client for client in clients if client and _sql(client) == through.database]
        if not ours:
            return None, False
        # Ours first: at the very first use that makes the tables which the caller is then to see.
        ids: dict[Client, str] = {}
        for client in ours:
            ids[client] = yield from self._id(client)
        memory, at_once = yield Open()
        key = f"longshore:{self._host.settings.prefix}"
        there: str | None = None if memory is None else memory.get(key)
        if there is None:
            # Asked in the words of that kind of database, whichever of them it is.
            there = yield There(joined(ours[0].store).identity())
            if memory is not None and there is not None:
                memory[key] = there
        found = next((client for client, known in ids.items() if known == there), None)
        if found is not None and at_once:
            _warn_at_once(through)
        return found, at_once

    def _stores(self) -> list[Client]:
        """The application's store; where it is made of shards, each of them."""
        if self._shards is None:
            store = self._host.client.store
            shards: Sequence[Store] | None = getattr(store, "shards", None)
            self._shards = (
                [self._host.client]
                if shards is None
                else [Client(partial(_itself, shard)) for shard in shards]
            )
        return self._shards

    def _refuse_crossing(self, through: Through, there: Client, jobs: Sequence[NewJob]) -> None:
        """What commits together lies in one shard."""
        placing: Placing | None = getattr(self._host.client.store, "placing", None)
        if placing is None:
            return
        shard = self._stores().index(there)
        for job in jobs:
            own = placing.shard(job)
            if own != shard:
                raise CrossShard(
                    f"job {job.kind} ({job.id}) belongs to shard {own:02d}, and {through.noun}"
                    f" leads to shard {shard:02d}: they cannot commit together; nothing was"
                    " enqueued. Give both one shard_key=, or enqueue it outside the transaction."
                )

    def _at_home(
        self, through: Through, there: Client, jobs: Sequence[NewJob], together: Together
    ) -> Together:
        """What is stored as a whole as the shard knows it that the connection leads to."""
        home, mine = home_together(self._host.client.store, jobs, together)
        if home is not there.store:
            what = f"job {jobs[0].kind} ({jobs[0].id})" if jobs else "an empty batch"
            raise CrossShard(
                f"{what} belongs to a batch or workflow that lies in another shard than the one"
                f" that {through.noun} leads to: they cannot commit together; nothing was enqueued."
                " Give the batch a shard_key= of that shard, or enqueue it outside the transaction."
            )
        return mine

    def _id(self, client: Client) -> Steps[str]:
        known = self._ids.get(client)
        if known is None:
            try:
                known = yield Here(client, client.store.identity())
            except StoreBusy as error:
                error.add_note(
                    "If your own transaction holds the database: call jobs.migrate() when the"
                    " application starts, so that the tables are there before it begins."
                )
                raise
            assert known is not None  # noqa: S101 - a store that answers has been migrated
            self._ids[client] = known
        return known

    def _hooks(
        self, jobs: Sequence[NewJob]
    ) -> tuple[Callable[[], None], Callable[[], Awaitable[None]]]:
        client = self._host.client

        def hook() -> None:
            try:
                self._told(jobs, client.insert(jobs))
            except LongshoreError as error:
                error.add_note(_too_late(jobs, error))
                raise

        async def ahook() -> None:
            try:
                self._told(jobs, await client.ainsert(jobs))
            except LongshoreError as error:
                error.add_note(_too_late(jobs, error))
                raise

        return hook, ahook


def _joined(store: Store, jobs: Sequence[NewJob]) -> Steps[Sequence[Inserted]]:
    """Insert without ever having to roll back, which only the caller may."""
    given = [job.id for job in jobs if not job.fresh]
    held = any(_hold(job) for job in jobs)
    if not given and not held:
        inserted: Sequence[Inserted] = yield There(store.insert(jobs), len(jobs))
        return inserted
    records: Mapping[str, JobRecord] = {}
    if given:
        records = yield There(store.get(given))
    seen = {job_id: (record.kind, record.payload) for job_id, record in records.items()}
    answers: list[Inserted] = []
    new: list[int] = []
    for place, job in enumerate(jobs):
        first = seen.get(job.id)
        if first is None:
            seen[job.id] = (job.kind, job.payload)
            new.append(place)
            answers.append(Inserted(job.id))
        else:
            same = first == (job.kind, job.payload)
            answers.append(Inserted(job.id, duplicate=same, conflict=not same))
    if any(answer.conflict for answer in answers):
        return answers
    fresh = {place: msgspec.structs.replace(jobs[place], fresh=True) for place in new}
    for place, answer in (yield from _written(store, fresh)).items():
        answers[place] = answer
    return answers


def _together(
    store: Store, jobs: Sequence[NewJob], together: Together
) -> Steps[Sequence[Inserted]]:
    """Insert what is stored as a whole, or nothing of it."""
    _refuse_holders(jobs)
    whole = joined(store)
    open_to_it: bool = yield There(cast("Bundles", whole).joinable(jobs, together))
    if not open_to_it:
        return [Inserted(job.id, conflict=True, late=True) for job in jobs]
    inserted: Sequence[Inserted] = yield There(whole.insert(jobs, together), 2)
    return inserted


def _written(store: Store, jobs: dict[int, NewJob]) -> Steps[dict[int, Inserted]]:
    """Insert jobs whose ids are new; answers by the same places.

    One with a unique key is written alone: when the key is held nothing of it is there that had to
    be taken back. Those that may be refused come first, since they can still be deleted then.
    """
    answers: dict[int, Inserted] = {}
    alone = {place: hold for place, job in jobs.items() if (hold := _hold(job)) is not None}
    for place in sorted(alone, key=lambda place: alone[place].on_conflict is not OnConflict.RAISE):
        (answer,) = yield There(store.insert([jobs[place]]), 1)
        if answer.conflict:
            if answers:
                yield There(store.delete([one.id for one in answers.values()]))
            return {place: answer}
        answers[place] = answer
    rest = {place: job for place, job in jobs.items() if place not in alone}
    if rest:
        inserted = yield There(store.insert([*rest.values()]), len(rest))
        answers.update(zip(rest, inserted, strict=True))
    return answers


def _refuse_holders(jobs: Sequence[NewJob]) -> None:
    """Only who may roll back can store many of which one may be there already."""
    for job in jobs:
        if not job.fresh or _hold(job) is not None:
            raise EnqueueError(
                f"job {job.kind} ({job.id}) has a unique key or an id of yours: in your transaction"
                " a batch or workflow cannot be taken back when that is there already; nothing was"
                " enqueued. Leave it out of the batch, or store the batch after your commit."
            )


def _hold(job: NewJob) -> Hold | None:
    return None if job.rules is None else job.rules.hold


def _taken(through: Through, step: Step, jobs: Sequence[NewJob]) -> Any:
    if isinstance(step, Here):
        return step.client.run(step.op)
    with _Noted(through, jobs):
        if isinstance(step, There):
            return driven(through, step.op, step.jobs)
        through.open()
        return through.memory(), through.commits_at_once()


async def _ataken(through: Through, step: Step, jobs: Sequence[NewJob]) -> Any:
    if isinstance(step, Here):
        return await step.client.arun(step.op)
    with _Noted(through, jobs):
        if isinstance(step, There):
            return await adriven(through, step.op, step.jobs)
        await through.aopen()
        return through.memory(), through.commits_at_once()


class _Noted:
    """Adds advice to what a caller's driver raises, and lets it go on unchanged."""

    def __init__(self, through: Through, jobs: Sequence[NewJob]) -> None:
        self._through = through
        self._jobs = jobs

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, LongshoreError):
            error.add_note(
                f"{_named(self._jobs)} was not enqueued: {self._through.noun} of yours raised this"
                " over a statement of Longshore's. Longshore neither rolled back nor tried again:"
                " roll back, and do the whole transaction again if it should happen."
            )


def _named(jobs: Sequence[NewJob]) -> str:
    first = f"job {jobs[0].kind} ({jobs[0].id})"
    return first if len(jobs) == 1 else f"{first} and {len(jobs) - 1} more"


def _itself(store: Store) -> Store:
    return store


def _sql(client: Client) -> str | None:
    """The kind of database of a store; ``None`` of one that is none."""
    database: str | None = getattr(client.store, "database", None)
    return database


def _warn_at_once(through: Through) -> None:
    warn(
        f"{through.noun} that commits each statement by itself was given to enqueue through: the"
        " job is stored at once, whatever becomes of your work. Begin a transaction first"
    )


def _too_late(jobs: Sequence[NewJob], error: LongshoreError) -> str:
    match error:
        case EnqueueUncertain():
            fate = (
                f"whether {_named(jobs)} is too is not known. Enqueue again under the same id,"
                " which handle.id tells: .using(id=...). It is stored once."
            )
        case PartlyEnqueued():
            fate = "some of its jobs are not: .stored has the ids of those that are."
        case _:
            fate = f"{_named(jobs)} is not. Enqueue it again."
    return (
        f"The transaction was committed before this: your work is stored, {fate}"
        " With the setting outbox= nothing is lost here."
    )


def _elsewhere(host: Host, through: Through) -> StoreElsewhere:
    store = host.client.store
    outbox = host.outbox
    if outbox is None:
        advice = (
            "Set outbox= to the address of that database: jobs then wait in a table there and are"
            " relayed by the workers. Or give an SQLAlchemy session or Django connection, which"
            " tell when they were committed, or enqueue after your commit."
        )
    else:
        advice = f"Nor does it lead to the outbox ({outbox.store.address})."
    return StoreElsewhere(
        f"{through.noun} does not lead to the store ({store.name} {store.address}), so no job can"
        f" join its transaction; nothing was enqueued. {advice}"
    )
