"""Jobs by any field: counted, read, retried, cancelled, deleted or moved together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias, Unpack

import msgspec

from longshore.client import Plan, ask
from longshore.core.model import JobRecord
from longshore.core.options import check_queue, check_reason
from longshore.core.store import Changed, Filter, Operation
from longshore.core.wording import shown
from longshore.errors import InvalidOption
from longshore.handle import App, JobHandle
from longshore.query.where import Filters, Where

Order: TypeAlias = Literal["newest", "oldest"]
Verb: TypeAlias = Callable[[Sequence[str]], Operation[Changed]]

#: How many rows are read at a time, and how many jobs one order to the store is about.
CHUNK: Final = 500


class Changes(msgspec.Struct, frozen=True):
    """What a verb did to the jobs of a query, in numbers.

    ``requested``: running jobs that were asked to end. ``skipped``: jobs in a state that the verb
    does not apply to when it came to them. ``examined``: rows that were read to find them.
    ``held``: not retried, because another live job holds their unique key.
    """

    changed: int = 0
    requested: int = 0
    skipped: int = 0
    examined: int = 0
    held: int = 0


class JobQuery:
    """Some jobs of a store: a question that is asked when it is counted, read or acted on.

    It never changes: ``filter``, ``order`` and ``limit`` give another. Counting by state, queue
    and kind costs nothing; other filters read rows in chunks, and ``examined`` tells how many.

    Example: ``jobs.query.filter(queue="toxic", state="dead", error="TimeoutError").retry()``
    """

    def __init__(
        self,
        app: App,
        where: Where | None = None,
        *,
        order: Order = "newest",
        limit: int | None = None,
    ) -> None:
        self._app = app
        self._where = Where() if where is None else where
        self._order: Order = order
        self._limit = limit
        self._examined = 0

    @property
    def where(self) -> Where:
        """The question itself."""
        return self._where

    @property
    def examined(self) -> int:
        """How many rows the last count, read or verb of this object looked at."""
        return self._examined

    def filter(self, **filters: Unpack[Filters]) -> JobQuery:
        """The jobs that also meet these filters; a list means any of its values.

        Parameters: ``id``, ``state``, ``queue``, ``kind`` (stored name, job function or class),
        ``error`` (the last error's class, full or last part of its name, or a part of its
        message), ``tags``, ``args`` and ``meta`` (names and values, nested ones too; an argument
        left at its default is not stored). Raises :class:`InvalidOption` for an unknown filter.

        Example: ``jobs.query.filter(state=["dead", "retrying"], args={"user_id": 7})``
        """
        narrowed = self._where.narrowed(filters, self._app.registry)
        return JobQuery(self._app, narrowed, order=self._order, limit=self._limit)

    def order(self, order: Order) -> JobQuery:
        """Read ``"newest"`` created first (as without this) or ``"oldest"``."""
        if order not in ("newest", "oldest"):
            raise InvalidOption(f'order={shown(order)} must be "newest" or "oldest".')
        return JobQuery(self._app, self._where, order=order, limit=self._limit)

    def limit(self, jobs: int) -> JobQuery:
        """At most this many jobs, the first in order."""
        if type(jobs) is not int or jobs < 0:
            raise InvalidOption(f"limit={shown(jobs)} must be a whole number, 0 or more.")
        return JobQuery(self._app, self._where, order=self._order, limit=jobs)

    # --- ask ----------------------------------------------------------------------------------

    def count(self) -> int:
        """How many jobs there are now."""
        return self._app.client.follow(self._count())

    async def acount(self) -> int:
        """The awaitable twin of :meth:`count`."""
        return await self._app.client.afollow(self._count())

    def first(self) -> JobHandle[Any] | None:
        """The first job in order, or ``None``."""
        return self._app.client.follow(self._first())

    async def afirst(self) -> JobHandle[Any] | None:
        """The awaitable twin of :meth:`first`."""
        return await self._app.client.afollow(self._first())

    def __iter__(self) -> Iterator[JobHandle[Any]]:
        """Read the jobs in chunks; those that come or go meanwhile may be missed or met."""
        walk = self._walk(self._order, self._limit)
        while not walk.done:
            yield from map(self._handle, self._app.client.follow(walk.chunk()))

    async def __aiter__(self) -> AsyncIterator[JobHandle[Any]]:
        """The awaitable twin: ``async for job in jobs.query``."""
        walk = self._walk(self._order, self._limit)
        while not walk.done:
            for record in await self._app.client.afollow(walk.chunk()):
                yield self._handle(record)

    # --- act ----------------------------------------------------------------------------------

    def retry(self, *, progress: Callable[[Changes], object] | None = None) -> Changes:
        """Make the jobs available now: ended ones afresh, retrying and scheduled ones early.

        Parameters: ``progress``, called after each chunk with what was done so far.

        Example: ``jobs.query.filter(state="dead", queue="mail").retry().changed``
        """
        return self._app.client.follow(self._each(self._retrying(), progress))

    async def aretry(self, *, progress: Callable[[Changes], object] | None = None) -> Changes:
        """The awaitable twin of :meth:`retry`."""
        return await self._app.client.afollow(self._each(self._retrying(), progress))

    def cancel(
        self, reason: str | None = None, *, progress: Callable[[Changes], object] | None = None
    ) -> Changes:
        """End the jobs that have not ended; running ones are asked to, and end within a second."""
        return self._app.client.follow(self._cancelling(reason, progress))

    async def acancel(
        self, reason: str | None = None, *, progress: Callable[[Changes], object] | None = None
    ) -> Changes:
        """The awaitable twin of :meth:`cancel`."""
        return await self._app.client.afollow(self._cancelling(reason, progress))

    def delete(self, *, progress: Callable[[Changes], object] | None = None) -> Changes:
        """Remove the jobs from the store, but not those that run."""
        return self._app.client.follow(self._each(self._deleting(), progress))

    async def adelete(self, *, progress: Callable[[Changes], object] | None = None) -> Changes:
        """The awaitable twin of :meth:`delete`."""
        return await self._app.client.afollow(self._each(self._deleting(), progress))

    def move(self, *, queue: str, progress: Callable[[Changes], object] | None = None) -> Changes:
        """Put the jobs that neither run nor have ended into another queue."""
        return self._app.client.follow(self._each(self._moving(queue), progress))

    async def amove(
        self, *, queue: str, progress: Callable[[Changes], object] | None = None
    ) -> Changes:
        """The awaitable twin of :meth:`move`."""
        return await self._app.client.afollow(self._each(self._moving(queue), progress))

    def __repr__(self) -> str:
        fields = ((name, getattr(self._where, name)) for name in self._where.__struct_fields__)
        given = [f"{name}={value!r}" for name, value in fields if value not in (None, ())]
        return f"<jobs {' '.join(given) or 'all'}, {self._order} first>"

    # --- one body for each pair of twins ------------------------------------------------------

    def _handle(self, record: JobRecord) -> JobHandle[Any]:
        declared = self._app.registry.find(record.kind)
        return JobHandle(self._app, record.id, declared, record=record)

    def _count(self) -> Plan[int]:
        self._examine(0)
        most = self._limit
        if self._where.is_counted:
            if self._where.matches_nothing:
                return 0
            counted = yield from ask(self._app.client.store.count(self._where.for_store()))
            found = sum(part.jobs for part in counted)
            return found if most is None else min(found, most)
        walk, found = self._walk(self._order, self._limit), 0
        while not walk.done:
            found += len((yield from walk.chunk()))
        return found

    def _first(self) -> Plan[JobHandle[Any] | None]:
        walk = self._walk(self._order, 1 if self._limit is None else min(1, self._limit))
        found: list[JobRecord] = []
        while not (found or walk.done):
            found = yield from walk.chunk()
        return self._handle(found[0]) if found else None

    def _each(
        self,
        verb: Verb,
        progress: Callable[[Changes], object] | None,
        tell: Callable[[Sequence[str]], None] | None = None,
    ) -> Plan[Changes]:
        # Away from new arrivals, so that a walk ends however fast jobs are enqueued behind it;
        # a limited one ends by itself.
        order: Order = "newest" if self._limit is None else self._order
        walk, total = self._walk(order, self._limit), Changes()
        while not walk.done:
            found = yield from walk.chunk()
            done = Changed()
            if found:
                done = yield from ask(verb([record.id for record in found]))
            total = Changes(
                changed=total.changed + len(done.changed),
                requested=total.requested + len(done.requested),
                skipped=total.skipped + len(done.skipped),
                examined=walk.examined,
                held=total.held + len(done.held),
            )
            if tell is not None:
                tell(done.changed)
            if progress is not None:
                progress(total)
        return total

    def _retrying(self) -> Verb:
        return self._app.client.store.retry

    def _cancelling(
        self, reason: str | None, progress: Callable[[Changes], object] | None
    ) -> Plan[Changes]:
        reason = check_reason(reason)
        verb = partial(self._app.client.store.cancel, reason=reason)
        tell = partial(self._app.around.cancelled, reason=reason)
        return (yield from self._each(verb, progress, tell))

    def _deleting(self) -> Verb:
        return self._app.client.store.delete

    def _moving(self, queue: str) -> Verb:
        return partial(self._app.client.store.move, queue=check_queue(queue))

    def _walk(self, order: Order, most: int | None) -> _Walk:
        self._examine(0)
        return _Walk(self._app, self._where, order, most, self._examine)

    def _examine(self, rows: int) -> None:
        self._examined = rows


class _Walk:
    """Reads a query's rows chunk by chunk, by id, so that rows that vanish harm nobody.

    It is done when the store has no further page or the limit is reached.
    """

    def __init__(
        self,
        app: App,
        where: Where,
        order: Order,
        most: int | None,
        examine: Callable[[int], None],
    ) -> None:
        self._app = app
        self._where = where
        self._order = order
        self._left = most
        self._examine = examine
        self._cursor: str | None = None
        #: Of jobs that are named, those to ask for next are at the end: pages go by id, so that
        #: each is asked with its own ids alone.
        self._ids = None if where.ids is None else sorted(where.ids, reverse=order == "oldest")
        self._part = frozenset[str]()
        self.examined = 0
        self.done = where.matches_nothing or most == 0

    def chunk(self) -> Plan[list[JobRecord]]:
        """The matching rows of the next page; may be empty before the end."""
        left = self._left
        # Rows that every filter of the store chose all count, so no more than asked are read.
        most = CHUNK if left is None or self._where.reads_rows else min(CHUNK, left)
        page = yield from ask(
            self._app.client.store.find(
                self._next(),
                limit=most,
                cursor=self._cursor,
                oldest_first=self._order == "oldest",
            )
        )
        found = [record for record in page.records if self._where.accepts(record)]
        if left is not None:
            found = found[:left]
            self._left = left - len(found)
        self.examined += len(page.records)
        self._examine(self.examined)
        self._cursor = page.cursor
        more = page.cursor is not None or bool(self._ids)
        self.done = not more or self._left == 0
        return found

    def _next(self) -> Filter:
        """What to ask the store for now."""
        if self._ids is None:
            return self._where.for_store()
        if self._cursor is None:
            self._part = frozenset(self._ids[-CHUNK:])
            del self._ids[-CHUNK:]
        return msgspec.structs.replace(self._where, ids=self._part).for_store()
