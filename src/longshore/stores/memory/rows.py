"""What the memory store keeps, and the steps a row can take: each keeps lines and counts right."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Any, TypeAlias

import msgspec
from msgspec import json

from longshore.core.model import JobRecord, JobState, NewJob, Progress, Run
from longshore.core.store import NewProcess, Retention, SetQueue
from longshore.stores.clock import Clock

AVAILABLE = JobState.AVAILABLE
SCHEDULED = JobState.SCHEDULED
RUNNING = JobState.RUNNING
RETRYING = JobState.RETRYING
WAITING = JobState.WAITING
CANCELLED = JobState.CANCELLED
SUCCEEDED = JobState.SUCCEEDED

#: In a line: priority, when due, id, a serial number that no two entries share, the row.
#: An entry counts only while its number is its row's place; others are left until they come up.
Entry: TypeAlias = "tuple[int, int, str, int, Row]"
#: By time: when, a serial number, the row.
Timed: TypeAlias = "tuple[int, int, Row]"
#: How many jobs of one queue and kind are in each state.
Tally: TypeAlias = dict[JobState, int]

FIRST_RUNS = 20
LAST_RUNS = 80


class Row(msgspec.Struct, eq=False, gc=False):
    """One job. What never changes is read from ``new``.

    It points at nothing that points back, so the garbage collector need not look at it.
    """

    new: NewJob
    tally: Tally
    state: JobState
    queue: str
    priority: int
    scheduled_at: int
    expires_at: int | None
    meta: bytes | None
    run: int = 0
    failures: int = 0
    interruptions: int = 0
    claim_id: int = 0
    attempted_at: int | None = None
    claimed_at: int = 0
    finalized_at: int | None = None
    kept_until: int | None = None
    claimed_by: str | None = None
    cancel_requested: bool = False
    parked: str | None = None
    parked_by: str | None = None
    reason: str | None = None
    result: bytes | None = None
    result_error: str | None = None
    progress: Progress | None = None
    budgets: bytes | None = None
    runs: tuple[Run, ...] = ()
    place: int = 0  # serial number of its entry in a line; 0 when it waits in none

    @classmethod
    def of(cls, new: NewJob, tally: Tally) -> Row:
        """The row of a job that has just come."""
        meta = json.encode(new.meta) if new.meta else None
        return cls(
            new,
            tally,
            new.state,
            new.queue,
            new.priority,
            new.scheduled_at,
            new.expires_at,
            meta,
        )

    def log(self, run: Run) -> None:
        """Add a line to the history, of which the first and the last are kept."""
        runs = (*self.runs, run)
        if len(runs) > FIRST_RUNS + LAST_RUNS:
            runs = runs[:FIRST_RUNS] + runs[-LAST_RUNS:]
        self.runs = runs

    def record(self) -> JobRecord:
        """The job as people read it."""
        new = self.new
        meta: Mapping[str, Any] = json.decode(self.meta) if self.meta else {}
        return JobRecord(
            id=new.id,
            kind=new.kind,
            queue=self.queue,
            state=self.state,
            payload=new.payload,
            priority=self.priority,
            run=self.run,
            failures=self.failures,
            interruptions=self.interruptions,
            max_attempts=new.max_attempts,
            scheduled_at=self.scheduled_at,
            created_at=new.created_at,
            attempted_at=self.attempted_at,
            claimed_at=self.claimed_at or None,
            finalized_at=self.finalized_at,
            expires_at=self.expires_at,
            timeout=new.timeout,
            keep_result=new.keep_result,
            claimed_by=self.claimed_by,
            cancel_requested=self.cancel_requested,
            parked=self.parked,
            reason=self.reason,
            result=self.result,
            result_error=self.result_error,
            progress=self.progress,
            tags=new.tags,
            meta=meta,
            runs=self.runs,
        )


class Lane:
    """The available jobs of one queue in their order.

    Most jobs come in order and wait in ``ordered``, which costs next to nothing; those that come
    out of order wait in the heap ``others``.
    """

    __slots__ = ("ordered", "others", "stale")

    def __init__(self) -> None:
        self.ordered: deque[Entry] = deque()
        self.others: list[Entry] = []
        self.stale = 0  # entries whose row does not point at them any more

    def add(self, entry: Entry) -> None:
        ordered = self.ordered
        if not ordered or ordered[-1] < entry:
            ordered.append(entry)
        else:
            heappush(self.others, entry)

    def head(self) -> Entry | None:
        """The first entry that counts."""
        ordered, others = self.ordered, self.others
        while ordered and ordered[0][4].place != ordered[0][3]:
            ordered.popleft()
            self.stale -= 1
        while others and others[0][4].place != others[0][3]:
            heappop(others)
            self.stale -= 1
        if ordered and not (others and others[0] < ordered[0]):
            return ordered[0]
        return others[0] if others else None

    def pop(self) -> Row | None:
        """Take out the first row."""
        ordered = self.ordered
        while ordered and not self.others:  # nearly always
            entry = ordered.popleft()
            row = entry[4]
            if row.place == entry[3]:
                row.place = 0
                return row
            self.stale -= 1
        head = self.head()
        if head is None:
            return None
        if ordered and ordered[0] is head:
            ordered.popleft()
        else:
            heappop(self.others)
        row = head[4]
        row.place = 0
        return row

    def forget(self) -> None:
        """An entry has become stale; when they are the most, rid the line of them."""
        self.stale += 1
        if self.stale > 1000 and self.stale * 2 > len(self.ordered) + len(self.others):
            self.ordered = deque(entry for entry in self.ordered if entry[4].place == entry[3])
            self.others = [entry for entry in self.others if entry[4].place == entry[3]]
            heapify(self.others)
            self.stale = 0


class Process:
    """A registered process; ``expires_at`` by the clock since boot."""

    __slots__ = ("expires_at", "last_claim", "new", "running", "seen_at", "started_at")

    def __init__(self, new: NewProcess, now: int, boot_now: int) -> None:
        self.new = new
        self.started_at = self.seen_at = now
        self.expires_at = boot_now + new.lease
        self.last_claim = 0


class Rows:
    """Every job, and each thing that is kept beside it so that nothing has to be searched for."""

    def __init__(self, retention: Retention, clock: Clock) -> None:
        self.clock = clock
        self.kept: Mapping[JobState, int | None] = {
            JobState.SUCCEEDED: retention.succeeded,
            JobState.CANCELLED: retention.cancelled,
            JobState.DEAD: retention.dead,
        }
        self.rows: dict[str, Row] = {}
        self.lanes: dict[str, Lane] = {}
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.running: dict[str, dict[str, Row]] = {}
        self.parked: dict[str, Row] = {}
        self.due: list[Entry] = []
        self.expiring: list[Timed] = []
        self.ended: list[Timed] = []
        self.paused: dict[str, tuple[SetQueue, int | None]] = {}
        self.known: dict[str, Process] = {}
        self.leader: tuple[str, int] | None = None
        self.serial = 0
        #: Something became available or due or has ended, or a queue goes on: watches hear of it.
        self.stirred = False

    # --- steps of a row ---

    def add(self, new: NewJob) -> None:
        """A new job."""
        row = self.rows[new.id] = Row.of(new, self.tally(new.queue, new.kind))
        row.tally[new.state] += 1
        self.place(row)
        if new.expires_at is not None:
            self.serial += 1
            heappush(self.expiring, (new.expires_at, self.serial, row))

    def step(self, row: Row, state: JobState) -> None:
        """Change the state, and the counts with it."""
        tally = row.tally
        tally[row.state] -= 1
        tally[state] += 1
        row.state = state

    def place(self, row: Row) -> None:
        """Put an available or timed row where it will be found."""
        if row.state is AVAILABLE:
            if row.parked is None:
                lane = self.lanes.get(row.queue)
                if lane is None:
                    lane = self.lanes[row.queue] = Lane()
                lane.add(self.entry(row))
            else:
                self.parked[row.new.id] = row
        elif row.state is not WAITING:
            heappush(self.due, self.entry(row))
        self.stirred = True

    def entry(self, row: Row) -> Entry:
        """Where this row stands now; earlier entries are stale from here on."""
        self.serial += 1
        # In `due` nothing but the time counts.
        first = row.priority if row.state is AVAILABLE else row.scheduled_at
        row.place = self.serial
        return (first, row.scheduled_at, row.new.id, self.serial, row)

    def withdraw(self, row: Row) -> None:
        """Take a row out of its line, or from among the running and parked."""
        if row.state is RUNNING:
            self.drop_running(row)
        elif row.parked is not None:
            self.parked.pop(row.new.id, None)
        elif row.place:
            row.place = 0
            if row.state is AVAILABLE:
                self.lanes[row.queue].forget()

    def drop_running(self, row: Row) -> None:
        """The row runs no more."""
        assert row.claimed_by is not None  # noqa: S101 - a running row always has one
        mine = self.running[row.claimed_by]
        del mine[row.new.id]
        if not mine and row.claimed_by not in self.known:
            del self.running[row.claimed_by]

    def end(self, row: Row, state: JobState, now: int) -> None:
        """A withdrawn row has ended: keep it for its time."""
        self.stirred = True
        if row.cancel_requested or row.parked is not None or row.budgets is not None:
            row.cancel_requested = False
            row.parked = row.parked_by = row.budgets = None
        kept, asked = self.kept[state], row.new.keep_result
        if kept is None or asked is None:
            row.kept_until = None
        elif kept or asked:
            row.kept_until = now + max(kept, asked)
            self.serial += 1
            heappush(self.ended, (row.kept_until, self.serial, row))
        else:
            self.forget(row)
            return
        row.finalized_at = now
        self.step(row, state)

    def forget(self, row: Row) -> None:
        """A withdrawn row leaves the store."""
        row.tally[row.state] -= 1
        row.kept_until = None
        del self.rows[row.new.id]

    def cancel_row(self, row: Row, reason: str, now: int) -> None:
        """End a row that does not run."""
        self.withdraw(row)
        row.reason = reason
        self.end(row, CANCELLED, now)

    # --- looking ---

    def tally(self, queue: str, kind: str) -> Tally:
        """The counts of one queue and kind."""
        tally = self.tallies.get((queue, kind))
        if tally is None:
            tally = self.tallies[queue, kind] = dict.fromkeys(JobState, 0)
        return tally

    def is_paused(self, queue: str, now: int) -> bool:
        """Whether a queue is held back now."""
        if queue not in self.paused:
            return False
        until = self.paused[queue][1]
        return until is None or until > now

    def is_live(self, process_id: str) -> bool:
        """Whether a process has a lease now."""
        process = self.known.get(process_id)
        return process is not None and process.expires_at > self.clock.boot_us()
