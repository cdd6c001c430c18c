"""Batches: many jobs, then callbacks. Made in a block, followed and cancelled by their ids."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar

from longshore.client import Plan, ask
from longshore.core.batches import Bundle, NewBundle, Sort, Together
from longshore.core.model import NewJob, Progress
from longshore.core.registry import Declaration
from longshore.core.shards import Placing
from longshore.core.wording import shown
from longshore.declare import new_job
from longshore.errors import ArgsMismatch, BatchFinished, BatchNotFound, EnqueueError, InvalidOption
from longshore.handle import App, JobHandle
from longshore.ids import new_id
from longshore.job import BoundJob, member_job

R = TypeVar("R")

LONGEST_NAME: Final = 200
#: So many members are cancelled, or read, at a time.
CHUNK: Final = 1000


class Composer(App, Protocol):
    """What batches and workflows need of their application."""

    @property
    def placing(self) -> Placing | None: ...


class Bundled:
    """What batches and workflows share: an id, counts as last read, and cancelling.

    Properties never touch the store: they show what the last :meth:`refresh` saw, and before the
    first what was stored.
    """

    def __init__(self, app: Composer, new: NewBundle, read: Bundle | None = None) -> None:
        self._app = app
        self._new = new
        self._read = read
        self._added: int = 0

    @property
    def id(self) -> str:
        """Its id, by which it is found again."""
        return self._new.id

    @property
    def name(self) -> str:
        """The name it was made with; others may have it too."""
        return self._new.name

    @property
    def total(self) -> int:
        """How many jobs belong to it, those of batches inside included."""
        return self._added if self._read is None else self._read.total

    @property
    def pending(self) -> int:
        """How many of them have not ended."""
        return self._added if self._read is None else self._read.live

    @property
    def succeeded(self) -> int:
        """How many succeeded."""
        return 0 if self._read is None else self._read.succeeded

    @property
    def cancelled(self) -> int:
        """How many were cancelled, which is an end too."""
        return 0 if self._read is None else self._read.cancelled

    @property
    def dead(self) -> int:
        """How many died and were not retried since."""
        return 0 if self._read is None else self._read.dead

    @property
    def finished(self) -> bool:
        """Whether every member has ended."""
        return self._read is not None and self._read.finished_at is not None

    @property
    def progress(self) -> Progress:
        """How many have ended, of how many."""
        return Progress(self.total - self.pending, self.total)

    @property
    def record(self) -> Bundle:
        """Everything the last refresh saw, as one record.

        Raises :class:`BatchNotFound` before the first.
        """
        if self._read is None:
            raise BatchNotFound(f"{self} has not been read yet; call refresh() first")
        return self._read

    def refresh(self) -> Self:
        """Read it anew; counts and members are of one moment. Raises :class:`BatchNotFound`."""
        self._app.client.follow(self._refreshing())
        return self

    async def arefresh(self) -> Self:
        """The awaitable twin of :meth:`refresh`."""
        await self._app.client.afollow(self._refreshing())
        return self

    def jobs(self) -> list[JobHandle[Any]]:
        """Handles on all members, in the order in which they were made.

        Example: ``[job.id for job in batch.jobs() if job.state == "dead"]``
        """
        return self._app.client.follow(self._members())

    async def ajobs(self) -> list[JobHandle[Any]]:
        """The awaitable twin of :meth:`jobs`."""
        return await self._app.client.afollow(self._members())

    def cancel(self, reason: str | None = None) -> int:
        """Cancel every member that has not ended; returns how many ended or were asked to.

        A running job is asked to end, and does within a second or so. Callbacks come as ever.
        """
        return self._app.client.follow(self._cancelling(reason))

    async def acancel(self, reason: str | None = None) -> int:
        """The awaitable twin of :meth:`cancel`."""
        return await self._app.client.afollow(self._cancelling(reason))

    def __repr__(self) -> str:
        return f"<{self._new.sort} {self._new.name} {self._new.id}>"

    # --- helpers ---

    def _refreshing(self) -> Plan[None]:
        found = yield from ask(self._app.client.store.bundles([self.id]))
        if not found:
            raise BatchNotFound(
                f"no {self._new.sort} {self.id} is stored: it never was, or it has finished and was"
                " pruned"
            )
        self._read = found[0]

    def _members(self) -> Plan[list[JobHandle[Any]]]:
        store = self._app.client.store
        handles: list[JobHandle[Any]] = []
        after = ""
        while True:
            ids = yield from ask(store.members(self.id, after=after, limit=CHUNK))
            if not ids:
                return handles
            records = yield from ask(store.get(ids))
            handles += [
                JobHandle(self._app, one, None, record=records[one])
                for one in ids
                if one in records
            ]
            after = ids[-1]

    def _cancelling(self, reason: str | None) -> Plan[int]:
        store = self._app.client.store
        done, after = 0, ""
        while True:
            ids = yield from ask(store.members(self.id, live=True, after=after, limit=CHUNK))
            if not ids:
                return done
            changed = yield from ask(store.cancel(ids, reason))
            done += len(changed.changed) + len(changed.requested)
            after = ids[-1]


class Batch(Bundled):
    """Many jobs, then callbacks; see ``jobs.batch``.

    In its block :meth:`add` collects; all of it is stored when the block ends, or nothing if that
    raises. Afterwards, and when it was found again, :meth:`add` stores at once.
    """

    def __init__(
        self,
        app: Composer,
        new: NewBundle,
        read: Bundle | None = None,
        *,
        shard_key: str | None = None,
        outer: Batch | None = None,
    ) -> None:
        super().__init__(app, new, read)
        self._shard_key = shard_key
        self._outer = outer
        self._open = False
        self._made: list[tuple[Declaration | None, NewJob]] = []
        self._new_bundles: list[NewBundle] = []

    def add(self, job: BoundJob[R]) -> JobHandle[R]:
        """Let a job belong to this batch; its handle.

        One whose unique key another job holds is not stored and does not belong. Outside of the
        block it is stored at once, which raises :class:`BatchFinished` when the batch has finished;
        inside of a member say ``current().batch.add(...)``.

        Example: ``batch.add(load.bind(part))``
        """
        made = self._member(job)
        if self._collects(made):
            return JobHandle(self._app, made[1].id, made[0], new=made[1])
        return self._app.enqueue_together([made], Together())[0]

    async def aadd(self, job: BoundJob[R]) -> JobHandle[R]:
        """The awaitable twin of :meth:`add`."""
        made = self._member(job)
        if self._collects(made):
            return JobHandle(self._app, made[1].id, made[0], new=made[1])
        return (await self._app.aenqueue_together([made], Together()))[0]

    def batch(
        self,
        name: str,
        *,
        on_success: BoundJob[Any] | None = None,
        on_complete: BoundJob[Any] | None = None,
        on_death: BoundJob[Any] | None = None,
    ) -> Batch:
        """A batch in this one: its jobs count in both. A block, as ``jobs.batch``.

        Example: ``with batch.batch("part 1") as part: part.add(load.bind(1))``
        """
        parents = (self.id, *self._new.parents)
        return make_batch(
            self._app,
            name,
            {"on_success": on_success, "on_complete": on_complete, "on_death": on_death},
            shard_key=self._key(),
            parents=parents,
            outer=self if self._open else None,
        )

    def __enter__(self) -> Self:
        self._enter()
        return self

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._leave(error):
            self._app.enqueue_together(self._made, Together(tuple(self._new_bundles)))
            self._made = []

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._leave(error):
            await self._app.aenqueue_together(self._made, Together(tuple(self._new_bundles)))
            self._made = []

    # --- helpers ---

    def _enter(self) -> None:
        if self._open or self._new_bundles or self._read is not None:
            raise EnqueueError(f"{self} was entered before; make another batch.")
        self._open = True
        self._new_bundles = [self._new]

    def _leave(self, error: BaseException | None) -> bool:
        """Whether all is to be stored now."""
        self._open = False
        if error is not None:
            self._made = []
            return False
        if self._outer is None:
            return True
        self._outer._made += self._made  # noqa: SLF001 - stored with the outer one
        self._outer._new_bundles += self._new_bundles  # noqa: SLF001
        self._outer._added += self._added  # noqa: SLF001
        return False

    def _member(self, job: BoundJob[Any]) -> tuple[Declaration, NewJob]:
        check_bound(self._app, job, self)
        path = (self.id, *self._new.parents)
        new = member_job(job.declaration.kind, job.options, job.payload, path)
        return job.declaration, self._app.placed_with(job.declaration, new, self._key())

    def _key(self) -> str | None:
        return self._shard_key or self._new.shard_key

    def _collects(self, made: tuple[Declaration, NewJob]) -> bool:
        if not self._open:
            if self._read is None and not self._new_bundles:
                raise BatchFinished(f"{self} is not stored: add jobs inside its `with` block.")
            return False
        self._made.append(made)
        self._added += 1
        return True


_BatchList: TypeAlias = "list[Batch]"


class Batches:
    """The batches of a store, by their ids.

    Example: ``jobs.batches.get(batch_id).progress``
    """

    def __init__(self, app: Composer) -> None:
        self._app = app

    def get(self, batch_id: str) -> Batch:
        """The batch of this id; raises :class:`BatchNotFound`."""
        return self._app.client.follow(self._get(batch_id))

    async def aget(self, batch_id: str) -> Batch:
        """The awaitable twin of :meth:`get`."""
        return await self._app.client.afollow(self._get(batch_id))

    def list(self, *, limit: int = 100) -> list[Batch]:
        """The newest batches, at most ``limit``."""
        return self._app.client.follow(self._list(limit))

    async def alist(self, *, limit: int = 100) -> _BatchList:
        """The awaitable twin of :meth:`list`."""
        return await self._app.client.afollow(self._list(limit))

    def _get(self, batch_id: str) -> Plan[Batch]:
        found = yield from find(self._app, batch_id, (Sort.BATCH,), "batch")
        return Batch(self._app, found.new, found)

    def _list(self, limit: int) -> Plan[_BatchList]:
        found = yield from newest(self._app, limit, (Sort.BATCH,))
        return [Batch(self._app, one.new, one) for one in found]


def make_batch(
    app: Composer,
    name: str,
    callbacks: dict[str, BoundJob[Any] | None],
    *,
    shard_key: str | None = None,
    parents: tuple[str, ...] = (),
    outer: Batch | None = None,
) -> Batch:
    """A batch that is not stored yet, its name and callbacks checked."""
    key = shard_key or check_name(name, "batch")
    given = {
        what: _callback(app, job, f"{what} of batch {name}", key)
        for what, job in callbacks.items()
        if job is not None
    }
    new = make_bundle(app, name, Sort.BATCH, key, parents=parents, **given)
    return Batch(app, new, shard_key=key, outer=outer)


def make_bundle(
    app: Composer,
    name: str,
    sort: Sort,
    key: str,
    *,
    parents: tuple[str, ...] = (),
    **callbacks: NewJob,
) -> NewBundle:
    """A bundle not yet stored; over shards its id says where it lies."""
    from time import time_ns  # noqa: PLC0415 - beside the only use

    bundle_id = new_id()
    if app.placing is not None:
        bundle_id = app.placing.with_key(bundle_id, key)
    return NewBundle(
        id=bundle_id,
        name=name,
        sort=sort,
        created_at=time_ns() // 1000,
        parents=parents,
        shard_key=None if app.placing is None else key,
        **callbacks,
    )


def find(app: Composer, bundle_id: str, sorts: tuple[Sort, ...], noun: str) -> Plan[Bundle]:
    """A stored bundle of one of these sorts."""
    found = yield from ask(app.client.store.bundles([str(bundle_id).lower()]))
    if not found or found[0].new.sort not in sorts:
        raise BatchNotFound(
            f"no {noun} {bundle_id} is stored: it never was, or it has finished and was pruned"
        )
    return found[0]


def newest(app: Composer, limit: int, sorts: tuple[Sort, ...]) -> Plan[list[Bundle]]:
    """The newest bundles of these sorts."""
    store, cursor = app.client.store, None
    chosen: list[Bundle] = []
    while len(chosen) < limit:
        found = yield from ask(store.bundles(cursor=cursor, limit=CHUNK))
        chosen += [one for one in found if one.new.sort in sorts]
        if len(found) < CHUNK:
            break
        cursor = found[-1].id
    return chosen[:limit]


def check_name(name: object, noun: str) -> str:
    """A name as it may be stored."""
    if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable():
        return name
    raise InvalidOption(
        f"{noun} name={shown(name)} is no name. Give 1 to {LONGEST_NAME} printable characters."
    )


def check_bound(app: Composer, job: object, where: object) -> None:
    """Refuse what cannot belong to a batch or workflow."""
    if not isinstance(job, BoundJob):
        raise ArgsMismatch(
            f"{shown(job)} is not a bound job; give {where} what bind() of a job returns"
        )
    kind = job.declaration.kind
    if job.app is not app:
        raise EnqueueError(f"job {kind} was declared by another Longshore object; use that one")
    if job.options.through is not None:
        raise EnqueueError(
            f"job {kind}: {where} is stored as a whole; put jobs.transaction(connection) around it"
            " instead of using(connection=...) on one job"
        )


def _callback(app: Composer, job: BoundJob[Any], what: str, key: str) -> NewJob:
    check_bound(app, job, what)
    kind = job.declaration.kind
    new = new_job(kind, job.options, job.payload)
    if new.rules is not None and new.rules.hold is not None:
        raise InvalidOption(
            f"{what}: job {kind} is unique, so that another job could take its place; a callback"
            " comes exactly once. Give it using(unique=None)."
        )
    return app.placed_with(job.declaration, new, key)
