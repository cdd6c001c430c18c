"""The queues of a store: pause and resume them, clear them, see how full and how late they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from longshore.client import Plan, ask
from longshore.core.durations import Duration, microseconds
from longshore.core.model import JobState
from longshore.core.options import check_queue, check_reason
from longshore.core.store import Filter, QueueRecord, SetQueue
from longshore.handle import App
from longshore.middleware import Event, EventName
from longshore.query.jobs import Changes, JobQuery
from longshore.query.where import Where

#: What clearing a queue deletes: jobs that wait for their turn, none that run or have ended.
CLEARED: Final = frozenset(
    {JobState.WAITING, JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYING}
)


class Queues:
    """The queues of a store by name; iterating gives those that hold jobs or are paused.

    Example: ``jobs.queues["mail"].pause(reason="provider down", for_="15m")``
    """

    def __init__(self, app: App) -> None:
        self._app = app

    def __getitem__(self, name: str) -> Queue:
        """The queue of this name; it need not hold a job yet, so it can be paused beforehand."""
        return Queue(self._app, check_queue(name))

    def __iter__(self) -> Iterator[Queue]:
        found = self._app.client.run(self._app.client.store.queues())
        return iter([Queue(self._app, record.name, record) for record in found])

    async def __aiter__(self) -> AsyncIterator[Queue]:
        for record in await self._app.client.arun(self._app.client.store.queues()):
            yield Queue(self._app, record.name, record)

    def __repr__(self) -> str:
        return "<queues>"


class Queue:
    """One queue. ``record`` shows what the last :meth:`refresh` saw and never asks the store."""

    __slots__ = ("_app", "_record", "name")

    def __init__(self, app: App, name: str, record: QueueRecord | None = None) -> None:
        self._app = app
        self._record = record
        self.name = name

    @property
    def record(self) -> QueueRecord:
        """What was last read; an empty queue before the first :meth:`refresh`."""
        return _empty(self.name) if self._record is None else self._record

    def refresh(self) -> Queue:
        """Read the queue again."""
        return self._app.client.follow(self._refresh())

    async def arefresh(self) -> Queue:
        """The awaitable twin of :meth:`refresh`."""
        return await self._app.client.afollow(self._refresh())

    def pause(self, reason: str | None = None, for_: Duration | None = None) -> None:
        """Start no more jobs of this queue; what was claimed may still start.

        Parameters: ``reason``, shown to people; ``for_``, a duration after which it resumes by
        itself. Pausing a paused queue replaces both.

        Example: ``jobs.queues["mail"].pause(reason="provider down", for_="15m")``
        """
        self._app.client.follow(self._pause(reason, for_))

    async def apause(self, reason: str | None = None, for_: Duration | None = None) -> None:
        """The awaitable twin of :meth:`pause`."""
        await self._app.client.afollow(self._pause(reason, for_))

    def resume(self) -> None:
        """Start jobs of this queue again."""
        self._app.client.follow(self._resume())

    async def aresume(self) -> None:
        """The awaitable twin of :meth:`resume`."""
        await self._app.client.afollow(self._resume())

    def clear(self, *, progress: Callable[[Changes], object] | None = None) -> Changes:
        """Delete the jobs that wait for their turn; running and ended ones stay."""
        return self._waiting().delete(progress=progress)

    async def aclear(self, *, progress: Callable[[Changes], object] | None = None) -> Changes:
        """The awaitable twin of :meth:`clear`."""
        return await self._waiting().adelete(progress=progress)

    def depth(self) -> int:
        """How many jobs are available."""
        return self._app.client.follow(self._depth())

    async def adepth(self) -> int:
        """The awaitable twin of :meth:`depth`."""
        return await self._app.client.afollow(self._depth())

    def latency(self) -> float:
        """For how many seconds the queue's first job has been due; 0 when none waits."""
        return self._app.client.follow(self._latency())

    async def alatency(self) -> float:
        """The awaitable twin of :meth:`latency`."""
        return await self._app.client.afollow(self._latency())

    def __repr__(self) -> str:
        return f"<queue {self.name}>"

    # --- one body for each pair of twins ------------------------------------------------------

    def _waiting(self) -> JobQuery:
        return JobQuery(self._app, Where(queues=frozenset({self.name}), states=CLEARED))

    def _refresh(self) -> Plan[Queue]:
        found = yield from ask(self._app.client.store.queues())
        self._record = next((record for record in found if record.name == self.name), None)
        return self

    def _pause(self, reason: str | None, for_: Duration | None) -> Plan[None]:
        duration = None if for_ is None else microseconds(for_, field="for_", minimum=0.001)
        order = SetQueue(self.name, paused=True, reason=check_reason(reason), pause_for=duration)
        yield from self._set(order, "queue.paused")

    def _resume(self) -> Plan[None]:
        yield from self._set(SetQueue(self.name, paused=False), "queue.resumed")

    def _set(self, order: SetQueue, event: EventName) -> Plan[None]:
        yield from ask(self._app.client.store.set_queue(order))
        self._app.around.publish(Event(name=event, queue=self.name, reason=order.reason))

    def _depth(self) -> Plan[int]:
        available = Filter(queues=(self.name,), states=frozenset({JobState.AVAILABLE}))
        counted = yield from ask(self._app.client.store.count(available))
        return sum(part.jobs for part in counted)

    def _latency(self) -> Plan[float]:
        queue = yield from self._refresh()
        return queue.record.latency / 1_000_000


def _empty(name: str) -> QueueRecord:
    return QueueRecord(
        name=name,
        paused=False,
        reason=None,
        resumes_at=None,
        depth=0,
        scheduled=0,
        running=0,
        latency=0,
    )
