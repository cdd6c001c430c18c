"""Batches: many jobs, then callbacks. Made in a block, followed and cancelled by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar

import msgspec

from longshore.answers import OfBatch
from longshore.client import Plan
from longshore.core.batches import Bundle, NewBundle, Sort, Together
from longshore.core.model import JobState, NewJob
from longshore.core.registry import Declaration
from longshore.declare import new_job
from longshore.errors import BatchFinished, EnqueueError, InvalidOption
from longshore.handle import JobHandle
from longshore.job import BoundJob, member_job
from longshore.query.bundled import (
    Bundled,
    Composer,
    check_bound,
    find,
    key_of,
    make_bundle,
    newest,
)

R = TypeVar("R")

#: In so many batches one may lie: each of its jobs carries the ids of all.
DEEPEST: Final = 32


class Collected(JobHandle[Any]):
    """The handle of a job that is stored when a block ends."""

    __slots__ = ()

    def meet(self, stored: JobHandle[Any]) -> None:
        """Stand for what the store answered, where that is a job that was there already."""
        self.is_duplicate = stored.is_duplicate
        if stored.id != self.id:
            self.id, self._new, self._record = stored.id, None, None


class Block:
    """What the ``with`` block of a batch has gathered; of one inside another it goes to that.

    ``jobs`` counts those of blocks inside too. It ends when all is stored, or nothing.
    """

    def __init__(self, outer: Block | None) -> None:
        self.outer = outer
        self.entered = False
        self.open = False
        self.left = False  # without an exception
        self.jobs = 0
        #: Each job with its handle and the block in which it was added.
        self.made: list[tuple[tuple[Declaration, NewJob], Collected, Block]] = []
        self.bundles: list[NewBundle] = []

    def enter(self, new: NewBundle) -> None:
        """It begins."""
        self.entered = self.open = True
        self.bundles = [new]

    def leave(self, error: BaseException | None) -> bool:
        """It ends; whether all is to be stored now."""
        self.open, self.left = False, error is None
        if error is not None:
            self.made, self.bundles, self.jobs = [], [], 0
            return False
        outer, into = self.outer, self.collector()
        if outer is None or into is None:
            return True
        into.made += self.made
        into.bundles += self.bundles
        outer.grow(self.jobs, into)
        self.made = []
        return False

    def collector(self) -> Block | None:
        """The block with which what is added here is stored: this one, or one around it."""
        block: Block | None = self
        while block is not None and not block.open:
            block = block.outer if block.left else None
        return block

    def grow(self, jobs: int, into: Block) -> None:
        """Count jobs here and in those around it that have been left, up to ``into``."""
        self.jobs += jobs
        if self is not into and self.outer is not None:
            self.outer.grow(jobs, into)

    def stored(self, handles: Sequence[JobHandle[Any]]) -> None:
        """Its handles stand for what the store has answered, and what was there does not count."""
        for (_, given, block), stored in zip(self.made, handles, strict=True):
            given.meet(stored)
            if stored.is_duplicate:
                block.grow(-1, self)
        self.made = []


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
        outer: Block | None = None,
    ) -> None:
        super().__init__(app, new, read)
        self._shard_key = shard_key
        self._block = Block(outer)

    def add(self, job: BoundJob[R]) -> JobHandle[R]:
        """Let a job belong to this batch; its handle.

        One whose unique key another job holds is not stored and does not belong; once the block has
        ended its handle is that of the holder, ``is_duplicate``. Outside of the block it is stored
        at once, which raises :class:`BatchFinished` when the batch has finished; inside of a member
        say ``current().batch.add(...)``.

        Example: ``batch.add(load.bind(part))``
        """
        made = self._member(job)
        return self._collected(made) or self._app.enqueue_together(OfBatch([made]), Together())[0]

    async def aadd(self, job: BoundJob[R]) -> JobHandle[R]:
        """The awaitable twin of :meth:`add`."""
        made = self._member(job)
        return (
            self._collected(made)
            or (await self._app.aenqueue_together(OfBatch([made]), Together()))[0]
        )

    def batch(
        self,
        name: str,
        *,
        on_success: BoundJob[Any] | None = None,
        on_complete: BoundJob[Any] | None = None,
        on_death: BoundJob[Any] | None = None,
    ) -> Batch:
        """A batch in this one: its jobs count in both. A block, as ``jobs.batch``.

        It may lie in at most 32 others.

        Example: ``with batch.batch("part 1") as part: part.add(load.bind(1))``
        """
        parents = (self.id, *self._new.parents)
        return make_batch(
            self._app,
            name,
            {"on_success": on_success, "on_complete": on_complete, "on_death": on_death},
            shard_key=self._key(),
            parents=parents,
            outer=None if self._block.collector() is None else self._block,
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
        block = self._block
        if block.leave(error):
            made = OfBatch(one for one, *_ in block.made)
            block.stored(self._app.enqueue_together(made, Together(tuple(block.bundles))))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        block = self._block
        if block.leave(error):
            made = OfBatch(one for one, *_ in block.made)
            block.stored(await self._app.aenqueue_together(made, Together(tuple(block.bundles))))

    # --- helpers ---

    def _enter(self) -> None:
        if self._block.entered or self._read is not None:
            raise EnqueueError(f"{self} was entered before; make another batch.")
        self._block.enter(self._new)

    def _gathered(self) -> int:
        return self._block.jobs

    def _member(self, job: BoundJob[Any]) -> tuple[Declaration, NewJob]:
        check_bound(self._app, job, self)
        path = (self.id, *self._new.parents)
        new = member_job(job.declaration.kind, job.options, job.payload, path)
        return job.declaration, self._app.placed_with(job.declaration, new, self._key())

    def _key(self) -> str | None:
        return self._shard_key or self._new.shard_key

    def _collected(self, made: tuple[Declaration, NewJob]) -> JobHandle[Any] | None:
        """The handle of a job that is stored when a block ends; ``None`` when none is open."""
        block = self._block
        into = block.collector()
        if into is None:
            if self._read is None and not block.left:
                why = "its block raised" if block.entered else "add jobs inside its `with` block"
                raise BatchFinished(f"{self} is not stored: {why}.")
            return None
        handle = Collected(self._app, made[1].id, made[0], new=made[1])
        into.made.append((made, handle, block))
        block.grow(1, into)
        return handle


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
    outer: Block | None = None,
) -> Batch:
    """A batch that is not stored yet, its name and callbacks checked."""
    key = key_of(name, shard_key, "batch")
    if len(parents) > DEEPEST:
        raise InvalidOption(
            f"batch {name} would lie in {len(parents)} others, and {DEEPEST} are the most. Put its"
            " jobs into one of those."
        )
    given = {
        what: _callback(app, job, f"{what} of batch {name}", key)
        for what, job in callbacks.items()
        if job is not None
    }
    new = make_bundle(app, name, Sort.BATCH, key, parents=parents, **given)
    return Batch(app, new, shard_key=key, outer=outer)


def _callback(app: Composer, job: BoundJob[Any], what: str, key: str) -> NewJob:
    check_bound(app, job, what)
    kind = job.declaration.kind
    new = new_job(kind, job.options, job.payload)
    if new.rules is not None and new.rules.hold is not None:
        raise InvalidOption(
            f"{what}: job {kind} is unique, so that another job could take its place; a callback"
            " comes exactly once. Give it using(unique=None)."
        )
    if job.options.id is not None:
        raise InvalidOption(
            f"{what}: job {kind} has an id of its own, so that a job of before could take its"
            " place; a callback comes exactly once. Give it using(...) without id=."
        )
    if job.options.at is not None and new.state is JobState.SCHEDULED:
        # Bound as if made at that moment: then it is no delay that counts from the batch's end.
        shift = new.scheduled_at - new.created_at
        expires_at = None if new.expires_at is None else new.expires_at + shift
        new = msgspec.structs.replace(new, created_at=new.scheduled_at, expires_at=expires_at)
    return app.placed_with(job.declaration, new, key)
