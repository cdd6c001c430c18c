"""What a conformance test holds in its hands: one empty store, its driver and its clock.

A test says what it does in verbs (``add``, ``lease``, ``finish``) and never sleeps: time is the
clock's, and only the test moves it. After each operation the bench looks at every job and fails
if one made a step that :data:`longshore.core.model.TRANSITIONS` does not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from longshore.core.interruptions import POISON, Crash
from longshore.core.model import (
    ENDED,
    TRANSITIONS,
    Claimed,
    Ending,
    JobRecord,
    JobState,
    Lease,
    NewJob,
    Run,
    Why,
)
from longshore.core.store import (
    Beat,
    Claim,
    ClaimRequest,
    Filter,
    Line,
    NewProcess,
    Operation,
    Orders,
    ProcessBeat,
    Rescue,
    Rescued,
    Retention,
    Store,
)
from longshore.stores.clock import ManualClock

T = TypeVar("T")

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
LEASE: Final = 15 * SECOND

#: Called before each statement of an operation with the operation's name and the statement's
#: number from 1, and before its commit with the number 0. Raising makes that step fail.
OnStatement = Callable[[str, int], None]

#: A payload that survives only if nobody decodes and encodes it again.
PAYLOAD: Final = '{"v":1,  "kwargs":{"b":"\\u00e9é🚢","a":1.50,"a":[]} }\n'.encode()

#: What was seen of a process's end, as strange as it may be.
CRASH: Final = Crash(
    "its process died: SIGSEGV", 'Fatal "Python" error\n\n\tFile "träge🚢", \\x00\n'
)

EVERY_QUEUE: Final = (Line(("*",)),)

#: What a job that is replaced may be, before and after.
NOT_STARTED: Final = frozenset({JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYING})


class OpenStore(Protocol):
    """Opens a new, empty store whose tables are up to date; the fixture that calls it closes it."""

    def __call__(
        self,
        *,
        clock: ManualClock,
        retention: Retention,
        on_statement: OnStatement | None = None,
    ) -> Store: ...


class Facade:
    """Drives the operations of a store, blocking (``store.run``) or awaiting (``store.arun``)."""

    def __init__(self, store: Store, *, awaiting: bool) -> None:
        self.store = store
        self._loop = asyncio.Runner() if awaiting else None

    def do(self, op: Operation[T]) -> T:
        """Drive one operation to its end and return its answer."""
        if self._loop is None:
            return self.store.run(op)
        return self._loop.run(self.store.arun(op))

    def close(self) -> None:
        """End the event loop, if there is one, and close the store."""
        if self._loop is not None:
            self._loop.close()
        self.store.close()


class Bench:
    """One store under test."""

    def __init__(self, open_store: OpenStore, *, awaiting: bool) -> None:
        self._open_store = open_store
        self.awaiting = awaiting
        self._open: list[Facade] = []
        self.open()

    def close(self) -> None:
        """Close every store that was opened."""
        while self._open:
            self._open.pop().close()

    def open(
        self, retention: Retention | None = None, on_statement: OnStatement | None = None
    ) -> Bench:
        """Begin again: with a new, empty store, the clock and the ids as at the start."""
        #: Whether each step of each job is looked at; not where much is prepared for little.
        self.watching = True
        self._made = 0
        self._claims: dict[str, int] = {}
        self.clock = ManualClock()
        store = self._open_store(
            clock=self.clock, retention=retention or Retention(), on_statement=on_statement
        )
        self._open.append(Facade(store, awaiting=self.awaiting))
        self._before: Mapping[str, JobRecord] = {}
        return self

    @property
    def store(self) -> Store:
        """The store under test."""
        return self._open[-1].store

    @property
    def seen(self) -> Mapping[str, JobRecord]:
        """Every job as it was after the last operation that wrote."""
        return self._before

    @property
    def now(self) -> int:
        """The store's clock, microseconds since 1970."""
        return self.clock.now()

    def pass_time(self, duration: int) -> None:
        """Move the clock on by microseconds."""
        self.clock.advance(duration)

    # --- driving ---

    def do(self, op: Operation[T], *, restarts: bool = False) -> T:
        """Drive an operation, then look whether every job moved as the table allows.

        ``restarts`` says that a person's retry may be among what was done.
        """
        answer = self.drive(op)
        if op.writes and self.watching:
            given: Any = answer
            replaced = [one.id for one in given if one.replaced] if op.name == "insert" else ()
            self.look(restarts=restarts or op.name == "retry", replaced=replaced)
        return answer

    def drive(self, op: Operation[T]) -> T:
        """Drive an operation and look at nothing else."""
        return self._open[-1].do(op)

    def look(
        self, *, restarts: bool = False, replaced: Sequence[str] = ()
    ) -> Mapping[str, JobRecord]:
        """Every stored job; fails on a step that is not in the table.

        ``replaced`` are holders of a unique key that have got new arguments and a new time.
        """
        page = self._open[-1].do(self.store.find(Filter(), limit=10_000))
        after = {record.id: record for record in page.records}
        for job_id in after.keys() & self._before.keys():
            old, new = self._before[job_id], after[job_id]
            assert new.run >= old.run, f"the run number of {job_id} went back"
            if job_id in replaced:
                assert {old.state, new.state} <= NOT_STARTED, f"{job_id} was replaced"
                continue
            # What waited for others has their outputs in its arguments afterwards.
            opened = old.state is JobState.WAITING or new.state is JobState.WAITING
            again = old.state is JobState.CANCELLED and old.attempted_at is None
            assert new.kind == old.kind
            assert opened or again or new.payload == old.payload
            if old.state is new.state:
                continue
            assert restarts or old.state not in ENDED, f"{job_id} ended and is {new.state} again"
            assert new.state in reachable(old.state), f"{job_id}: {old.state} to {new.state}"
        self._before = after
        return after

    # --- producing ---

    def new(self, **fields: Any) -> NewJob:
        """A job not yet stored; ids grow with each call."""
        self._made += 1
        given: dict[str, Any] = {
            "id": _uuid7(self.now // 1000, self._made),
            "kind": "app.job",
            "queue": "default",
            "payload": PAYLOAD,
            "state": JobState.SCHEDULED if fields.get("scheduled_at") else JobState.AVAILABLE,
            "priority": 0,
            "scheduled_at": self.now,
            "created_at": self.now,
        }
        return NewJob(**{**given, **fields})

    def add(self, count: int = 1, **fields: Any) -> list[str]:
        """Store ``count`` like jobs and return their ids in the order of creation."""
        jobs = [self.new(**fields) for _ in range(count)]
        self.do(self.store.insert(jobs))
        return [job.id for job in jobs]

    # --- consuming ---

    def process(self, name: str = "p1", *, lease: int = LEASE, **fields: Any) -> str:
        """Register a process that may claim."""
        given: dict[str, Any] = {
            "app": "app",
            "name": name,
            "host": "host",
            "pid": 1,
            "queues": ("*",),
            "kinds": ("app.job",),
            "slots": 10,
            "embedded": False,
        }
        self.do(self.store.register(NewProcess(id=name, lease=lease, **{**given, **fields})))
        return name

    def request(
        self,
        process: str,
        wanted: int = 10,
        lines: Sequence[Line] = EVERY_QUEUE,
        *,
        claim_id: int | None = None,
        parked_kinds: tuple[str, ...] = (),
        kinds_digest: str = "",
        free: int = 1_000_000,
    ) -> ClaimRequest:
        """The next claim of a process, or one with the number given."""
        if claim_id is None:
            claim_id = self._claims[process] = self._claims.get(process, 0) + 1
        return ClaimRequest(
            process, claim_id, wanted, tuple(lines), parked_kinds, kinds_digest, free
        )

    def claim(self, process: str, wanted: int = 10, **fields: Any) -> Claim:
        """Claim with the next number of this process."""
        return self.do(self.store.claim(self.request(process, wanted, **fields)))

    def taken(self, process: str, wanted: int = 10, **fields: Any) -> list[str]:
        """Claim and return the ids, in the order in which they should start."""
        return [job.id for job in self.claim(process, wanted, **fields).jobs]

    def lease(self, process: str = "p1") -> Lease:
        """Claim exactly one job."""
        (job,) = self.claim(process, 1).jobs
        return lease_of(process, job)

    def leases(self, process: str = "p1", wanted: int = 10) -> list[Lease]:
        """Claim jobs, in the order of creation."""
        jobs = self.claim(process, wanted).jobs
        return sorted((lease_of(process, job) for job in jobs), key=lambda lease: lease.job_id)

    def finish(self, *endings: Ending) -> frozenset[Lease]:
        """Report ends."""
        return self.do(self.store.finish(endings))

    def beat(self, *processes: str, lease: int | None = LEASE, oldest: int = 0) -> Orders:
        """One beat for processes whose oldest open claim is ``oldest``."""
        told = tuple(ProcessBeat(process, oldest) for process in processes)
        return self.do(self.store.beat(Beat(told, lease)))

    def rescue(
        self,
        dead: str | None = None,
        started: Sequence[Lease] | None = None,
        limit: int = 1000,
        patience: int | None = None,
    ) -> Rescued:
        """Give back jobs; ``started`` are those whose body had begun."""
        seen = None if started is None else frozenset((s.job_id, s.run) for s in started)
        return self.do(self.store.rescue(Rescue(dead, seen, limit, patience)))

    # --- looking ---

    def job(self, job_id: str) -> JobRecord:
        """One stored job."""
        return self.do(self.store.get([job_id]))[job_id]

    def state(self, job_id: str) -> JobState:
        """The state of one stored job."""
        return self.job(job_id).state

    def states(self, ids: Sequence[str]) -> list[JobState]:
        """The states of stored jobs."""
        found = self.do(self.store.get(ids))
        return [found[job_id].state for job_id in ids]

    def exists(self, job_id: str) -> bool:
        """Whether a job is still stored."""
        return job_id in self.do(self.store.get([job_id]))


def one_of_each(bench: Bench) -> dict[JobState, str]:
    """A job in every state a job of this release can be in, stored under the first process."""
    bench.process("p1", lease=HOUR)
    made = [bench.add(queue=queue, kind=kind)[0] for queue, kind in _SORTS[:6]]
    leases = {lease.job_id: lease for lease in bench.leases("p1")}
    one, two, three, four, five = (leases[job] for job in made[:5])
    bench.finish(
        succeeded(one, b"1"),
        cancelled(two),
        died(three),
        failed(four, bench.now + HOUR),
        snoozed(five, bench.now + HOUR),
    )
    (available,) = bench.add(queue="mail", kind="app.a")
    return dict(zip(_STATES, [*made, available], strict=True))


_STATES = (
    JobState.SUCCEEDED,
    JobState.CANCELLED,
    JobState.DEAD,
    JobState.RETRYING,
    JobState.SCHEDULED,
    JobState.RUNNING,
    JobState.AVAILABLE,
)
_SORTS = (
    ("mail", "app.a"),
    ("mail", "app.b"),
    ("low", "app.a"),
    ("low", "app.b"),
    ("mail", "app.a"),
    ("low", "app.a"),
)


def reachable(state: JobState) -> frozenset[JobState]:
    """Where one operation may bring a job.

    A claim promotes and takes, an exchange also finishes, so a job may pass through several
    states; an ended job is followed no further, since only a person's retry goes on from there.
    """
    found: set[JobState] = set()
    ahead = set(TRANSITIONS[state])
    while ahead:
        at = ahead.pop()
        found.add(at)
        if at not in ENDED:
            ahead |= TRANSITIONS[at] - found
    return frozenset(found)


def lease_of(process: str, job: Claimed) -> Lease:
    """The lease that a process got with a claimed job."""
    return Lease(job.id, process, job.run)


def entry(lease: Lease, why: Why, error: str | None = None) -> Run:
    """A line for ``runs[]``."""
    return Run(
        run=lease.run,
        process=lease.process_id,
        started_at=1,
        ended_at=2,
        why=why,
        error=error,
        message=error and f"{error} happened",
        traceback=error and "Traceback ...",
    )


def succeeded(lease: Lease, result: bytes | None = None) -> Ending:
    """The job returned."""
    return Ending(lease, JobState.SUCCEEDED, result=result)


def failed(lease: Lease, at: int, **fields: Any) -> Ending:
    """The attempt failed; again at ``at``."""
    line = entry(lease, Why.FAILED, "ValueError")
    ending = Ending(lease, JobState.RETRYING, at=at, failed=True, entry=line)
    return msgspec.structs.replace(ending, **fields)


def died(lease: Lease) -> Ending:
    """The last attempt failed."""
    line = entry(lease, Why.FAILED, "ValueError")
    return Ending(lease, JobState.DEAD, failed=True, entry=line, reason="attempts used up")


def snoozed(lease: Lease, at: int) -> Ending:
    """Later, and nothing is wrong."""
    return Ending(lease, JobState.SCHEDULED, at=at, entry=entry(lease, Why.SNOOZED))


def released(lease: Lease) -> Ending:
    """Given back."""
    return Ending(lease, JobState.AVAILABLE, entry=entry(lease, Why.RELEASED))


def interrupted(lease: Lease) -> Ending:
    """Its own process died under it; given back."""
    line = entry(lease, Why.INTERRUPTED)
    return Ending(lease, JobState.AVAILABLE, interrupted=True, entry=line)


def poisoned(lease: Lease) -> Ending:
    """Its own process died under it once too often."""
    return msgspec.structs.replace(interrupted(lease), to=JobState.DEAD, reason=POISON)


def cancelled(lease: Lease, reason: str = "no longer needed") -> Ending:
    """Ended without retry."""
    line = entry(lease, Why.CANCELLED)
    return Ending(lease, JobState.CANCELLED, entry=line, reason=reason)


def parked(lease: Lease, digest: str) -> Ending:
    """Put aside until a process with another list of kinds comes."""
    return Ending(
        lease,
        JobState.AVAILABLE,
        entry=entry(lease, Why.PARKED, "UnknownJob"),
        parked="UnknownJob: no such kind",
        parked_by=digest,
    )


def _uuid7(millisecond: int, number: int) -> str:
    return (
        f"{millisecond >> 16:08x}-{millisecond & 0xFFFF:04x}-7000"
        f"-8000-{number & 0xFFFF_FFFF_FFFF:012x}"
    )
