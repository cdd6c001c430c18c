"""What the memory store keeps, and the steps a row can take: each keeps lines and counts right."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from longshore.core.model import JobState, NewJob
from longshore.core.store import NewProcess, Retention, SetQueue
from longshore.stores.clock import Clock
from longshore.stores.memory.keeping import Keeping
from longshore.stores.memory.row import Row, Tally

AVAILABLE = JobState.AVAILABLE
SCHEDULED = JobState.SCHEDULED
RUNNING = JobState.RUNNING
RETRYING = JobState.RETRYING
WAITING = JobState.WAITING
CANCELLED = JobState.CANCELLED
SUCCEEDED = JobState.SUCCEEDED

#: In a line: priority, when due, id, a serial number that no two entries share, the row.
#: An entry counts only while its number is its row's place; others are left until they come up.
Entry: TypeAlias = tuple[int, int, str, int, Row]
#: By time: when, a serial number, the row.
Timed: TypeAlias = tuple[int, int, Row]


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

    def take(self, wanted: int) -> list[Row]:
        """Take out the first rows, at most as many as wanted."""
        ordered = self.ordered
        taken: list[Row] = []
        while len(taken) < wanted:
            if self.others or not ordered:
                row = self.pop()
                if row is None:
                    break
            else:  # nearly always
                entry = ordered.popleft()
                row = entry[4]
                if row.place != entry[3]:
                    self.stale -= 1
                    continue
                row.place = 0
            taken.append(row)
        return taken

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
        self.keeping = Keeping()
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

    def step_all(self, rows: list[Row], before: JobState, after: JobState) -> None:
        """Change the state of many rows that are in the same one, and the counts with it."""
        tally, count = None, 0
        for row in rows:
            row.state = after
            if row.tally is not tally:
                if tally is not None:
                    tally[before] -= count
                    tally[after] += count
                tally, count = row.tally, 0
            count += 1
        if tally is not None:
            tally[before] -= count
            tally[after] += count

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
        duration = self.kept_for(state, row.new.keep_result)
        if duration == 0:
            self.forget(row)
            return
        row.kept_until = None
        if duration is not None:
            row.kept_until = now + duration
            self.keeping.adder(duration, row.kept_until)(row)
        row.finalized_at = now
        self.step(row, state)

    def kept_for(self, state: JobState, asked: int | None) -> int | None:
        """How long a job that ends in this state stays; ``None`` for ever."""
        kept = self.kept[state]
        return None if kept is None or asked is None else max(kept, asked)

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
