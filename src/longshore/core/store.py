"""The seam between Longshore and a place where jobs live: one small protocol, plural only.

A store is a set of *operations*. An operation is a generator behind a factory: it yields its
store's statements, is sent their rows, and does no I/O itself. So each is written once and serves
the worker (blocking), ``aenqueue`` (awaiting) and the caller's connection; a driver can restart it.

Rules every store keeps, tested by ``longshore.testing.conformance``:

* one job is a list of one; requests are frozen records, so a new field breaks no store;
* no driver type crosses;
* every write after a claim carries the lease (job, process, run): if state, ``claimed_by`` and
  ``run`` do not match it changes nothing and says so;
* a repeated request is answered, not repeated: insert by id, claim by (process, ``claim_id``),
  finish by (process, run), which stay on the row;
* the store's clock decides leases and what is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from longshore.core.batches import Bundle, Together
from longshore.core.facts import Facts
from longshore.core.interruptions import AFTER_END, BEFORE_START, Crash
from longshore.core.limits import KindRecord, LimitRecord, SetKind, SetLimit
from longshore.core.lines import Line as Line  # noqa: PLC0414
from longshore.core.model import (
    LOG_LINES,
    Claimed,
    Ending,
    Inserted,
    JobRecord,
    JobState,
    Lease,
    LogLine,
    NewJob,
    Patch,
    Step,
)
from longshore.core.operation import Operation as Operation  # noqa: PLC0414
from longshore.core.operation import adrive as adrive  # noqa: PLC0414
from longshore.core.operation import drive as drive  # noqa: PLC0414
from longshore.core.operation import operation as operation  # noqa: PLC0414
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

T = TypeVar("T")


# --- requests and answers -------------------------------------------------------------------


class ClaimRequest(msgspec.Struct, frozen=True, gc=False):
    """What one process asks for: up to ``wanted`` jobs, the lines strictly in the order given.

    ``claim_id`` grows by one with each claim of the process; repeating a request with the same
    number returns the same running jobs. With ``parked_kinds`` it serves parked jobs of those
    kinds instead of the lines, but none parked under the same ``kinds_digest``. Jobs with a rate
    come only for ``free`` slots: it ends before the next. A ``thorough`` one that brings no jobs
    and a ``due_in`` other than 0 has seen that there are none.
    """

    process_id: str
    claim_id: int
    wanted: int
    lines: tuple[Line, ...] = ()
    parked_kinds: tuple[str, ...] = ()
    kinds_digest: str = ""
    free: int = 1_000_000
    thorough: bool = False


class Claim(msgspec.Struct, frozen=True, gc=False):
    """The answer to a claim. ``live`` is false when the process has no lease any more.

    ``jobs`` are in the order in which they should start. ``due_in``, given when fewer than wanted
    came, is after how many microseconds to ask again: when the next scheduled job of the store
    falls due, or the next full rate or paused kind of a blocked job opens.
    """

    live: bool
    jobs: Sequence[Claimed] = ()
    due_in: int | None = None


class Exchanged(msgspec.Struct, frozen=True, gc=False):
    """The answer to an exchange: the leases whose endings hold, and the claim."""

    held: frozenset[Lease]
    claim: Claim


class NewProcess(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One process of a worker as it registers; ``lease`` in microseconds from now."""

    id: str
    app: str
    name: str
    host: str
    pid: int
    lease: int
    queues: tuple[str, ...]
    kinds: tuple[str, ...]
    slots: int
    embedded: bool
    version: str = ""  # of Longshore; empty of a release that did not say


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A registered process as people read it. ``lease_left`` may be negative."""

    id: str
    app: str
    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    kinds: tuple[str, ...]
    slots: int
    embedded: bool
    started_at: int
    seen_at: int
    lease_left: int
    running: int
    version: str = ""


class ProcessBeat(msgspec.Struct, frozen=True, gc=False):
    """One child in a beat. Running jobs of claims older than ``oldest_claim`` never reached it."""

    id: str
    oldest_claim: int


class Beat(msgspec.Struct, frozen=True, gc=False):
    """A supervisor's sign of life for its children; ``lease`` renews, ``None`` only listens."""

    processes: tuple[ProcessBeat, ...]
    lease: int | None = None


class Orders(msgspec.Struct, frozen=True, gc=False):
    """What a beat brings back."""

    lost: frozenset[str]  # processes of the beat that were given up: others have their jobs
    cancels: tuple[Lease, ...]  # running jobs that a person wants to end
    parked_kinds: frozenset[str]  # kinds of parked jobs: who knows one may claim it
    processes: int = 0  # how many have a lease


class Rescue(msgspec.Struct, frozen=True, gc=False):
    """Give jobs back: those of one ``dead`` process, or of every process without a lease.

    ``started`` holds (job id, run) of jobs whose body had begun; ``None`` means nobody saw, and
    every one counts as an interruption. ``over`` holds those of them whose body had ended, of which
    the store was not told: they run again, the first time uncounted, unless they may run at most
    once. At most ``limit`` jobs a call. ``crash``, seen of the process's end, is kept with each.

    With ``patience``, microseconds, an expiry is doubted: jobs go back from processes that were
    found without a lease that long ago by the store's clock and have not been renewed since.
    """

    dead: str | None = None
    started: frozenset[tuple[str, int]] | None = None
    limit: int = 1000
    patience: int | None = None
    crash: Crash | None = None
    over: frozenset[tuple[str, int]] = frozenset()

    def fate(self, run: tuple[str, int], *, once: bool, history: str) -> tuple[bool, Crash | None]:
        """Whether a run that is given back counts as interrupted, and what is kept with it.

        ``once``: its job may run at most once; ``history``: of its runs, as text. A body that was
        over is spared one time: what kills a process a moment later must not run for ever.
        """
        if self.started is not None and run not in self.started:
            return False, Crash(BEFORE_START)
        if run in self.over and not once and AFTER_END not in history:
            return False, Crash(AFTER_END)
        return True, self.crash


class Rescued(msgspec.Struct, frozen=True, gc=False):
    """Jobs given back, whether each counts as interrupted, and how many more are ``withheld``."""

    leases: tuple[Lease, ...]
    interrupted: tuple[bool, ...]
    withheld: int = 0  # their expiry is doubted, or last words of a dead one are being carried out


class Filter(msgspec.Struct, frozen=True, gc=False):
    """Which jobs a person asks for; an empty field does not restrict."""

    ids: tuple[str, ...] = ()
    states: frozenset[JobState] = frozenset()
    queues: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True, gc=False):
    """Some records and where to go on; ``cursor`` is ``None`` after the last page."""

    records: tuple[JobRecord, ...]
    cursor: str | None


class Counted(msgspec.Struct, frozen=True, gc=False):
    """How many jobs of one queue, kind and state there are."""

    queue: str
    kind: str
    state: JobState
    jobs: int


class Changed(msgspec.Struct, frozen=True, gc=False):
    """What a verb did to the jobs it was given; each id is in exactly one of the four.

    ``requested``: running jobs that were asked to end; they do within a second or so.
    ``skipped``: unknown, or in a state that the verb does not apply to.
    ``held``: not retried, because another job holds the unique key.
    """

    changed: tuple[str, ...] = ()
    requested: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


class SetQueue(msgspec.Struct, frozen=True, gc=False):
    """Pause or resume a queue; ``pause_for`` microseconds, ``None`` until resumed."""

    name: str
    paused: bool
    reason: str | None = None
    pause_for: int | None = None


class QueueRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A queue as people read it. ``latency``: for how long its first job has been due, in µs."""

    name: str
    paused: bool
    reason: str | None
    resumes_at: int | None
    depth: int  # available jobs
    scheduled: int  # scheduled and retrying
    running: int
    latency: int


class Demand(msgspec.Struct, frozen=True, gc=False):
    """Unpaused queues with jobs that wait for a worker or a limit, and by kind how many parked."""

    queues: tuple[str, ...]
    parked: Mapping[str, int]


class Retention(msgspec.Struct, frozen=True, gc=False):
    """How long ended jobs stay, microseconds; ``None`` for ever. ``keep_result`` may be longer."""

    succeeded: int | None = 86_400_000_000
    cancelled: int | None = 7 * 86_400_000_000
    dead: int | None = 90 * 86_400_000_000


# --- the protocol ---------------------------------------------------------------------------


class Producing(Protocol):
    """What an application needs to enqueue."""

    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> Operation[Sequence[Inserted]]:
        """Store jobs, all or none, in one answer per job. Any conflict writes nothing.

        ``together`` is given when jobs belong to bundles: it has those that are new.
        """
        ...


class Consuming(Protocol):
    """What a worker needs."""

    def register(self, process: NewProcess) -> Operation[None]:
        """Create a process's record and lease; ids are never reused."""
        ...

    def claim(self, request: ClaimRequest) -> Operation[Claim]:
        """Promote what is due, then take jobs: run + 1, under the process's lease."""
        ...

    def finish(self, endings: Sequence[Ending]) -> Operation[frozenset[Lease]]:
        """Report ends, in any mixture. Returns the leases that held, now or when first reported."""
        ...

    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Operation[Exchanged]:
        """Finish, then claim, in one round trip and one commit."""
        ...

    def save(self, patches: Sequence[Patch]) -> Operation[frozenset[Lease]]:
        """Write progress, steps and log lines of running jobs. Returns the leases that held."""
        ...

    def beat(self, beat: Beat) -> Operation[Orders]:
        """Renew leases, give back claims that never arrived, fetch orders.

        A lease that ran out is renewed too, as long as nobody has taken a job of its process.
        """
        ...


class Maintaining(Protocol):
    """Bounded and idempotent; any process may call these at any time."""

    def elect(self, process_id: str, lease: int) -> Operation[bool]:
        """Become or stay the one that prunes, for ``lease`` microseconds."""
        ...

    def promote(self, limit: int) -> Operation[int]:
        """Make due scheduled and retrying jobs available; cancel waiting jobs that have expired."""
        ...

    def rescue(self, request: Rescue) -> Operation[Rescued]:
        """Give back running jobs whose process is gone, judged when applied."""
        ...

    def prune(self, limit: int) -> Operation[int]:
        """Delete ended jobs past their retention, the oldest first."""
        ...


class Inspecting(Protocol):
    """What people ask and order. Verbs re-check each job when applied."""

    def get(self, ids: Sequence[str]) -> Operation[Mapping[str, JobRecord]]: ...
    def find(
        self, where: Filter, *, limit: int, cursor: str | None = None, oldest_first: bool = False
    ) -> Operation[Page]:
        """Records by id, newest created first."""
        ...

    def count(self, where: Filter) -> Operation[tuple[Counted, ...]]:
        """Exact counts by queue, kind and state (``ids`` is not looked at)."""
        ...

    def steps(self, ids: Sequence[str]) -> Operation[Mapping[str, tuple[Step, ...]]]:
        """The saved steps of these jobs by name; jobs without any are left out."""
        ...

    def logs(
        self, job_id: str, *, after: int = 0, limit: int = LOG_LINES
    ) -> Operation[tuple[LogLine, ...]]:
        """The first lines of a job's log behind the number ``after``."""
        ...

    def expect(self, ids: Sequence[str], keep: int) -> Operation[frozenset[str]]:
        """Somebody waits for live jobs: keep each ``keep`` microseconds or longer after its end.

        Returns those that are live.
        """
        ...

    def cancel(self, ids: Sequence[str], reason: str | None) -> Operation[Changed]:
        """End live jobs; a running one is asked to."""
        ...

    def retry(self, ids: Sequence[str]) -> Operation[Changed]:
        """Ended, retrying and scheduled jobs become available; an ended one's counters go to 0."""
        ...

    def delete(self, ids: Sequence[str]) -> Operation[Changed]:
        """Remove jobs that do not run."""
        ...

    def move(self, ids: Sequence[str], queue: str) -> Operation[Changed]:
        """Put jobs that have not ended and do not run into another queue; nothing else changes."""
        ...

    def set_queue(self, request: SetQueue) -> Operation[None]: ...
    def queues(self) -> Operation[tuple[QueueRecord, ...]]:
        """Every queue that holds jobs or is paused, by name."""
        ...

    def demand(self) -> Operation[Demand]:
        """What wants a worker; it seeks from queue to queue and counts what is parked only."""
        ...

    def set_kind(self, request: SetKind) -> Operation[None]: ...
    def kinds(self) -> Operation[tuple[KindRecord, ...]]:
        """Every paused kind, by name."""
        ...

    def set_limit(self, request: SetLimit) -> Operation[None]: ...
    def limits(
        self, keys: Sequence[str] | None = None, *, limit: int = 1000
    ) -> Operation[tuple[LimitRecord, ...]]:
        """Limit keys by key, all or those asked for, at most ``limit``."""
        ...

    def bundles(
        self, ids: Sequence[str] | None = None, *, cursor: str | None = None, limit: int = 100
    ) -> Operation[tuple[Bundle, ...]]:
        """Batches and workflows, those asked for or all, the newest first, before ``cursor``."""
        ...

    def members(
        self, bundle: str, *, live: bool = False, after: str = "", limit: int = 1000
    ) -> Operation[tuple[str, ...]]:
        """Ids of the members of a bundle, or of the live ones, in order and behind ``after``."""
        ...

    def processes(self) -> Operation[tuple[ProcessRecord, ...]]: ...
    def identity(self) -> Operation[str | None]:
        """Which store this is, for ever and however it is reached.

        A SQL store's runs over the caller's connection too; there ``None`` says: no store at all.
        """
        ...


class Scheduling(Protocol):
    """Schedules and their ticks; a tick is settled once: compared, enqueued, recorded in a write.

    ``declare`` answers with names that another application has; ``schedules`` are by name, all or
    those asked for; ``ticks`` are the last ones settled, the newest first.
    """

    def declare(self, request: Declare) -> Operation[tuple[str, ...]]: ...
    def fire(self, firings: Sequence[Firing]) -> Operation[tuple[Fired, ...]]: ...
    def set_schedule(self, request: SetSchedule) -> Operation[Answer]: ...
    def schedules(
        self, names: Sequence[str] | None = None
    ) -> Operation[tuple[ScheduleRecord, ...]]: ...
    def ticks(self, name: str, *, limit: int) -> Operation[tuple[TickRecord, ...]]: ...


class Watch(Protocol):
    """Waits for a hint that work may have arrived or ended, or for a word from this process."""

    def wait(self, timeout: float) -> bool:
        """Block for at most ``timeout`` seconds; true after a hint from the store."""
        ...

    def wake(self) -> None:
        """End the present or next :meth:`wait` at once; safe from any thread."""
        ...

    def close(self) -> None: ...


class Store(Producing, Consuming, Maintaining, Inspecting, Scheduling, Protocol):
    """A place where jobs live, with the drivers that run its operations."""

    #: ``memory``, ``sqlite``, ... and the address as people may read it (no password).
    name: str
    address: str
    #: Whether other processes can reach it.
    shared: bool

    def run(self, op: Operation[T], /) -> T:
        """Drive an operation and block until it is committed."""
        ...

    async def arun(self, op: Operation[T], /) -> T:
        """Drive an operation without blocking the event loop."""
        ...

    def watch(self) -> Watch: ...
    def schema(self) -> SchemaStatus: ...
    def migrate(self) -> tuple[str, ...]:
        """Bring tables up to date; returns the names of the migrations that ran."""
        ...

    def script(self) -> tuple[Migration, ...]:
        """Every migration that this release knows, to apply by hand; touches nothing."""
        ...

    def verify(self) -> tuple[Difference, ...]:
        """Compare the tables that are there with those that the applied migrations make."""
        ...

    def facts(self) -> tuple[Facts, ...]:
        """What each server says of itself, used or unused, with tables or without; quickly."""
        ...

    def close(self) -> None: ...
