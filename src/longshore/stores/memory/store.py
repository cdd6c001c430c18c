"""The store that lives in this process: jobs of its threads, gone when it ends.

For tests, for ``longshore dev`` and for applications that can lose their jobs. Every operation is
one statement: a call on :class:`~longshore.stores.memory.state.State` under one lock, so that it
happens wholly or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from longshore.core.batches import Bundle, Together
from longshore.core.facts import Facts
from longshore.core.limits import KindRecord, LimitRecord, SetKind, SetLimit
from longshore.core.model import (
    LOG_LINES,
    Ending,
    Inserted,
    JobRecord,
    Lease,
    LogLine,
    NewJob,
    Patch,
    Step,
)
from longshore.core.schedules import (
    Answer,
    Declare,
    Fired,
    Firing,
    ScheduleRecord,
    SetSchedule,
    TickRecord,
)
from longshore.core.schema import Difference, Migration, SchemaStatus
from longshore.core.store import (
    Beat,
    Changed,
    Claim,
    ClaimRequest,
    Counted,
    Demand,
    Exchanged,
    Filter,
    NewProcess,
    Operation,
    Orders,
    Page,
    ProcessRecord,
    QueueRecord,
    Rescue,
    Rescued,
    Retention,
    SetQueue,
    Watch,
    drive,
    operation,
)
from longshore.errors import ClientClosed
from longshore.ids import new_id
from longshore.stores.clock import Clock, SystemClock
from longshore.stores.memory.schedules import Scheduling
from longshore.stores.memory.state import State

T = TypeVar("T")

#: One statement, sent back what the call returns.
Steps = Generator[Callable[[], T], T, T]


class MemoryStore:
    """Jobs in this process; see :class:`longshore.core.store.Store`.

    Args:
        retention: how long ended jobs stay.
        clock: what decides leases and what is due.
        on_statement: called before each statement with the operation's name and the statement's
            number from 1, and before the commit of a write with 0; what it raises undoes the
            operation. For tests.
    """

    name = "memory"
    address = "memory://"
    shared = False

    def __init__(
        self,
        *,
        retention: Retention | None = None,
        clock: Clock | None = None,
        on_statement: Callable[[str, int], None] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._state = State(retention or Retention(), clock or SystemClock())
        self._schedules = Scheduling(self._state)
        self._watches: tuple[_MemoryWatch, ...] = ()
        self._on_statement = on_statement
        self._closed = False
        self._id = new_id()

    # --- driving ---

    def run(self, op: Operation[T], /) -> T:
        """Drive an operation and block until it is done."""
        op.before()
        with self._lock:
            if self._closed:
                raise ClientClosed("This Longshore object was closed; make a new one to go on.")
            execute = _call if self._on_statement is None else partial(self._hooked, op)
            answer = drive(op, execute)
            stirred, self._state.stirred = self._state.stirred, False
        if stirred:
            for watch in self._watches:
                watch.hint()
        return answer

    async def arun(self, op: Operation[T], /) -> T:
        """Drive an operation; a thread would cost more than the microseconds it takes."""
        return self.run(op)

    def watch(self) -> Watch:
        """A watch that hears of every job that becomes available or due, or has ended."""
        watch = _MemoryWatch(self._forget)
        with self._lock:
            self._watches = (*self._watches, watch)
        return watch

    def schema(self) -> SchemaStatus:
        """Nothing to migrate."""
        return SchemaStatus((), (), ())

    def migrate(self) -> tuple[str, ...]:
        """Nothing to migrate."""
        return ()

    def script(self) -> tuple[Migration, ...]:
        """Nothing to migrate."""
        return ()

    def verify(self) -> tuple[Difference, ...]:
        """No tables that could differ."""
        return ()

    def facts(self) -> tuple[Facts, ...]:
        """Nothing that could be wrong."""
        return (Facts(store=self.name, address=self.address, product="memory", version=""),)

    def close(self) -> None:
        """Refuse every later operation and end every wait."""
        with self._lock:
            self._closed = True
            watches, self._watches = self._watches, ()
        for watch in watches:
            watch.wake()

    def _hooked(self, op: Operation[Any], statement: Callable[[], Any]) -> Any:
        # Before the call, for after it there is nothing left that could fail.
        assert self._on_statement is not None  # noqa: S101 - chosen by the only caller
        self._on_statement(op.name, 1)
        if op.writes:
            self._on_statement(op.name, 0)
        return statement()

    def _forget(self, watch: _MemoryWatch) -> None:
        with self._lock:
            self._watches = tuple(other for other in self._watches if other is not watch)

    # --- producing ---

    @operation(writes=True)
    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Steps[Sequence[Inserted]]:
        """Store jobs, all or none."""
        if together is not None:
            return (yield partial(self._state.insert_together, jobs, together))
        return (yield partial(self._state.insert, jobs))

    # --- consuming ---

    @operation(writes=True)
    def register(self, process: NewProcess) -> Steps[None]:
        """Create a process's record and lease."""
        return (yield partial(self._state.register, process))

    @operation(writes=True)
    def claim(self, request: ClaimRequest) -> Steps[Claim]:
        """Promote what is due, then take jobs."""
        return (yield partial(self._state.claim, request))

    @operation(writes=True)
    def finish(self, endings: Sequence[Ending]) -> Steps[frozenset[Lease]]:
        """Report ends, in any mixture."""
        return (yield partial(self._state.finish, endings))

    @operation(writes=True)
    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Steps[Exchanged]:
        """Finish, then claim, as one statement."""
        return (yield partial(self._state.exchange, endings, request))

    @operation(writes=True)
    def save(self, patches: Sequence[Patch]) -> Steps[frozenset[Lease]]:
        """Write progress, steps and log lines of running jobs."""
        return (yield partial(self._state.save, patches))

    @operation(writes=True)
    def beat(self, beat: Beat) -> Steps[Orders]:
        """Renew leases, give back claims that never arrived, fetch orders."""
        return (yield partial(self._state.beat, beat))

    # --- maintaining ---

    @operation(writes=True)
    def elect(self, process_id: str, lease: int) -> Steps[bool]:
        """Become or stay the one that prunes."""
        return (yield partial(self._state.elect, process_id, lease))

    @operation(writes=True)
    def promote(self, limit: int) -> Steps[int]:
        """Make due jobs available; cancel those that have expired."""
        return (yield partial(self._state.promote, limit))

    @operation(writes=True)
    def rescue(self, request: Rescue) -> Steps[Rescued]:
        """Give back running jobs whose process is gone."""
        return (yield partial(self._state.rescue, request))

    @operation(writes=True)
    def prune(self, limit: int) -> Steps[int]:
        """Delete ended jobs past their retention."""
        return (yield partial(self._state.prune, limit))

    # --- inspecting ---

    @operation(writes=False)
    def get(self, ids: Sequence[str]) -> Steps[Mapping[str, JobRecord]]:
        """Records by id; unknown ids are left out."""
        return (yield partial(self._state.get, ids))

    @operation(writes=False)
    def find(
        self, where: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False
    ) -> Steps[Page]:
        """Records by id, newest created first."""
        return (yield partial(self._state.find, where, limit, cursor, oldest_first))

    @operation(writes=False)
    def count(self, where: Filter) -> Steps[tuple[Counted, ...]]:
        """Exact counts by queue, kind and state."""
        return (yield partial(self._state.count, where))

    @operation(writes=False)
    def steps(self, ids: Sequence[str]) -> Steps[Mapping[str, tuple[Step, ...]]]:
        """The saved steps of these jobs by name."""
        return (yield partial(self._state.steps, ids))

    @operation(writes=False)
    def logs(
        self, job_id: str, *, after: int = 0, limit: int = LOG_LINES
    ) -> Steps[tuple[LogLine, ...]]:
        """The first lines of a log behind a number."""
        return (yield partial(self._state.logs, job_id, after, limit))

    @operation(writes=True)
    def expect(self, ids: Sequence[str], keep: int) -> Steps[frozenset[str]]:
        """Keep live jobs for a while after their end; returns those that are live."""
        return (yield partial(self._state.expect, ids, keep))

    @operation(writes=True)
    def cancel(self, ids: Sequence[str], reason: str | None) -> Steps[Changed]:
        """End live jobs; a running one is asked to."""
        return (yield partial(self._state.cancel, ids, reason))

    @operation(writes=True)
    def retry(self, ids: Sequence[str]) -> Steps[Changed]:
        """Make ended, retrying and scheduled jobs available now."""
        return (yield partial(self._state.retry, ids))

    @operation(writes=True)
    def delete(self, ids: Sequence[str]) -> Steps[Changed]:
        """Remove jobs that do not run."""
        return (yield partial(self._state.delete, ids))

    @operation(writes=True)
    def move(self, ids: Sequence[str], queue: str) -> Steps[Changed]:
        """Put jobs that wait into another queue."""
        return (yield partial(self._state.move, ids, queue))

    @operation(writes=True)
    def set_queue(self, request: SetQueue) -> Steps[None]:
        """Pause or resume a queue."""
        return (yield partial(self._state.set_queue, request))

    @operation(writes=False)
    def queues(self) -> Steps[tuple[QueueRecord, ...]]:
        """Every queue that holds jobs or is paused."""
        return (yield self._state.queue_records)

    @operation(writes=True)
    def set_kind(self, request: SetKind) -> Steps[None]:
        """Pause or resume a kind in all queues."""
        return (yield partial(self._state.set_kind, request))

    @operation(writes=False)
    def kinds(self) -> Steps[tuple[KindRecord, ...]]:
        """Every paused kind."""
        return (yield self._state.kind_records)

    @operation(writes=True)
    def set_limit(self, request: SetLimit) -> Steps[None]:
        """Set what holds for every key of a name."""
        return (yield partial(self._state.set_limit, request))

    @operation(writes=False)
    def limits(
        self, keys: Sequence[str] | None = None, *, limit: int = 1000
    ) -> Steps[tuple[LimitRecord, ...]]:
        """What is used of limits and who waits for them."""
        return (yield partial(self._state.limit_records, keys, limit))

    @operation(writes=False)
    def bundles(
        self, ids: Sequence[str] | None = None, *, cursor: str | None = None, limit: int = 100
    ) -> Steps[tuple[Bundle, ...]]:
        """Batches and workflows, the newest first."""
        return (yield partial(self._state.groups.bundles, ids, cursor, limit))

    @operation(writes=False)
    def members(
        self, bundle: str, *, live: bool = False, after: str = "", limit: int = 1000
    ) -> Steps[tuple[str, ...]]:
        """Ids of members, in order."""
        return (yield partial(self._state.groups.members, bundle, live, after, limit))

    @operation(writes=False)
    def demand(self) -> Steps[Demand]:
        """What wants a worker."""
        return (yield self._state.demand)

    @operation(writes=False)
    def processes(self) -> Steps[tuple[ProcessRecord, ...]]:
        """Every registered process."""
        return (yield self._state.process_records)

    @operation(writes=False)
    def identity(self) -> Steps[str | None]:
        """Which store this is: no other one ever."""
        return (yield lambda: self._id)

    # --- scheduling ---

    @operation(writes=True)
    def declare(self, request: Declare) -> Steps[tuple[str, ...]]:
        """Store what code declares, retire what it does not."""
        return (yield partial(self._schedules.declare, request))

    @operation(writes=True)
    def fire(self, firings: Sequence[Firing]) -> Steps[tuple[Fired, ...]]:
        """Settle ticks."""
        return (yield partial(self._schedules.fire, firings))

    @operation(writes=True)
    def set_schedule(self, request: SetSchedule) -> Steps[Answer]:
        """Add, change, remove, pause, resume or reset a schedule."""
        return (yield partial(self._schedules.set_schedule, request))

    @operation(writes=False)
    def schedules(self, names: Sequence[str] | None = None) -> Steps[tuple[ScheduleRecord, ...]]:
        """Schedules by name, all or those asked for."""
        return (yield partial(self._schedules.schedules, names))

    @operation(writes=False)
    def ticks(self, name: str, *, limit: int) -> Steps[tuple[TickRecord, ...]]:
        """What became of the last ticks of a schedule, the newest first."""
        return (yield partial(self._schedules.ticks, name, limit))


class _MemoryWatch:
    """An event, and whether the store set it."""

    def __init__(self, forget: Callable[[_MemoryWatch], None]) -> None:
        self._event = threading.Event()
        self._hinted = False
        self._forget = forget

    def wait(self, timeout: float) -> bool:
        self._event.wait(timeout)
        # Cleared before the hint is read: a hint in between ends the next wait, none is lost.
        self._event.clear()
        hinted, self._hinted = self._hinted, False
        return hinted

    def wake(self) -> None:
        self._event.set()

    def hint(self) -> None:
        self._hinted = True
        self._event.set()

    def close(self) -> None:
        self._forget(self)
        self.wake()


def _call(statement: Callable[[], Any]) -> Any:
    return statement()
