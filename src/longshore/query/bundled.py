"""What batches and workflows share: an id, counts, verbs on all their jobs, how they are found."""

from __future__ import annotations

from typing import Any, Final, Protocol, Self

from longshore.client import Plan, ask
from longshore.core.batches import Bundle, NewBundle, Sort, was_with_another
from longshore.core.model import JobRecord, JobState, NewJob, Progress
from longshore.core.options import check_reason, check_shard_key
from longshore.core.restraints import check_to
from longshore.core.shards import Placing
from longshore.core.wording import shown
from longshore.errors import ArgsMismatch, BatchNotFound, EnqueueError, InvalidOption
from longshore.handle import App, JobHandle
from longshore.ids import new_id
from longshore.job import BoundJob

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
        return self._gathered() if self._read is None else self._read.total

    @property
    def pending(self) -> int:
        """How many of them have not ended."""
        return self._gathered() if self._read is None else self._read.live

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

    def retry(self) -> int:
        """Let every dead job of it run again, as ``retry`` of a handle does; returns how many.

        With them those that were cancelled because one of them had not succeeded. One whose unique
        key another job holds by now stays as it is.
        """
        return self._app.client.follow(self._retrying())

    async def aretry(self) -> int:
        """The awaitable twin of :meth:`retry`."""
        return await self._app.client.afollow(self._retrying())

    def __repr__(self) -> str:
        return f"<{self._new.sort} {self._new.name} {self._new.id}>"

    # --- helpers ---

    def _gathered(self) -> int:
        """How many jobs it was given, before the store was asked."""
        raise NotImplementedError

    def _refreshing(self) -> Plan[None]:
        found = yield from ask(self._app.client.store.bundles([self.id]))
        if not found:
            raise BatchNotFound(
                f"no {self._new.sort} {self.id} is stored: it never was, or it has finished and was"
                " pruned"
            )
        self._read = found[0]

    def _members(self) -> Plan[list[JobHandle[Any]]]:
        handles: list[JobHandle[Any]] = []
        after: str | None = ""
        while after is not None:
            records, after = yield from self._some(after)
            handles += [JobHandle(self._app, one.id, None, record=one) for one in records]
        return handles

    def _some(self, after: str) -> Plan[tuple[list[JobRecord], str | None]]:
        """Members behind an id, and where to go on; ``None`` after the last."""
        store = self._app.client.store
        ids = yield from ask(store.members(self.id, after=after, limit=CHUNK))
        if not ids:
            return [], None
        records = yield from ask(store.get(ids))
        return [records[one] for one in ids if one in records], ids[-1]

    def _cancelling(self, reason: str | None) -> Plan[int]:
        store, reason = self._app.client.store, check_reason(reason)
        done, after = 0, ""
        while True:
            ids = yield from ask(store.members(self.id, live=True, after=after, limit=CHUNK))
            if not ids:
                return done
            changed = yield from ask(store.cancel(ids, reason))
            done += len(changed.changed) + len(changed.requested)
            self._app.around.cancelled(changed.changed, reason)
            after = ids[-1]

    def _retrying(self) -> Plan[int]:
        done, after = 0, ""
        while True:
            records, behind = yield from self._some(after)
            if behind is None:
                return done
            after = behind
            chosen = [one.id for one in records if _wants_a_retry(one)]
            if chosen:
                changed = yield from ask(self._app.client.store.retry(chosen))
                done += len(changed.changed)


def _wants_a_retry(job: JobRecord) -> bool:
    if job.state is JobState.CANCELLED:
        return was_with_another(job.reason)
    return job.state is JobState.DEAD


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
    if found and found[0].new.sort not in sorts:
        sort = found[0].new.sort
        where = "batches" if sort is Sort.BATCH else "workflows"
        raise BatchNotFound(
            f"{bundle_id} is a {sort} and no {noun}: jobs.{where}.get(...), longshore {where} show"
        )
    if not found:
        raise BatchNotFound(
            f"no {noun} {bundle_id} is stored: it never was, or it has finished and was pruned"
        )
    return found[0]


def newest(app: Composer, limit: int, sorts: tuple[Sort, ...]) -> Plan[list[Bundle]]:
    """The newest bundles of these sorts."""
    store, cursor = app.client.store, None
    chosen: list[Bundle] = []
    most = check_to(limit, field="limit", least=0)
    while len(chosen) < most:
        found = yield from ask(store.bundles(cursor=cursor, limit=CHUNK))
        chosen += [one for one in found if one.new.sort in sorts]
        if len(found) < CHUNK:
            break
        cursor = found[-1].id
    return chosen[:most]


def key_of(name: object, shard_key: str | None, noun: str) -> str:
    """What decides its shard, once the name is one that may be stored."""
    if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable():
        return name if shard_key is None else check_shard_key(shard_key)
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
