"""What the memory store keeps, and the steps a row can take: each keeps lines and counts right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappush
from typing import TypeAlias

from longshore.core.limits import Rules
from longshore.core.model import JobState, NewJob
from longshore.core.store import NewProcess, Retention, SetQueue
from longshore.stores.clock import Clock
from longshore.stores.memory.keeping import Keeping
from longshore.stores.memory.lanes import Entry, Lane, TurnLane
from longshore.stores.memory.row import Row, Tally

AVAILABLE = JobState.AVAILABLE
SCHEDULED = JobState.SCHEDULED
RUNNING = JobState.RUNNING
RETRYING = JobState.RETRYING
WAITING = JobState.WAITING
CANCELLED = JobState.CANCELLED
SUCCEEDED = JobState.SUCCEEDED
DEAD = JobState.DEAD

#: By time: when, a serial number, the row.
Timed: TypeAlias = tuple[int, int, Row]


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
        self.lanes: dict[str, Lane | TurnLane] = {}
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.running: dict[str, dict[str, Row]] = {}
        self.parked: dict[str, Row] = {}
        self.due: list[Entry] = []
        self.expiring: list[Timed] = []
        self.keeping = Keeping()
        #: Who holds each unique key, and who is what each identity names.
        self.holders: dict[str, Row] = {}
        self.named: dict[str, dict[str, Row]] = {}
        self.paused: dict[str, tuple[SetQueue, int | None]] = {}
        self.known: dict[str, Process] = {}
        self.leader: tuple[str, int] | None = None
        self.serial = 0
        #: Called with each row of a bundle that has ended, or lives again, and the ended state.
        self.noted: Callable[[Row, JobState], None] = _unheard
        #: Something became available or due or has ended, or a queue goes on: watches hear of it.
        self.stirred = False

    # --- steps of a row ---

    def add(self, new: NewJob) -> None:
        """A new job."""
        row = self.rows[new.id] = Row.of(new, self.tally(new.queue, new.kind))
        row.tally[new.state] += 1
        self.place(row)
        if new.expires_at is not None:
            self.expires(row, new.expires_at)
        if new.identity is not None:
            self.named.setdefault(new.identity, {})[new.id] = row

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
                if row.new.rules is not None:
                    lane = self._ruled(row.queue, lane, row.new.rules)
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
                self.lanes[row.queue].forget(row)

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
        if row.new.rules is not None:
            self.unhold(row)
        if row.cancel_requested or row.parked is not None or row.budgets is not None:
            row.cancel_requested = False
            row.parked = row.parked_by = row.budgets = None
        duration = self.kept_for(state, row.new.keep_result)
        if row.new.rules is not None and row.new.rules.bundles:
            duration = 1 if duration == 0 else duration  # until pruning has looked at them
            self.noted(row, state)
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
        new = row.new
        row.tally[row.state] -= 1
        row.kept_until = None
        del self.rows[new.id]
        if new.rules is not None:
            self.unhold(row)
        if new.identity is not None:
            self.unname(row)

    def cancel_row(self, row: Row, reason: str, now: int) -> None:
        """End a row that does not run."""
        self.withdraw(row)
        row.reason = reason
        self.end(row, CANCELLED, now)

    def expires(self, row: Row, at: int) -> None:
        """See to it that a row is looked at when its time is over."""
        self.serial += 1
        heappush(self.expiring, (at, self.serial, row))

    def unhold(self, row: Row) -> None:
        """A row that has rules gives up its unique key, if it still holds it."""
        hold = None if row.new.rules is None else row.new.rules.hold
        if hold is not None and self.holders.get(hold.key) is row:
            del self.holders[hold.key]
            row.held_until = None

    def unname(self, row: Row) -> None:
        """A row is no longer found by its identity."""
        identity = row.new.identity
        if identity is not None:
            same = self.named[identity]
            del same[row.new.id]
            if not same:
                del self.named[identity]

    def _ruled(self, queue: str, lane: Lane | TurnLane, rules: Rules) -> Lane | TurnLane:
        """The lane for a job of these rules."""
        if isinstance(lane, Lane):
            if rules.fair is not None:
                lane = self.lanes[queue] = TurnLane(lane)
            elif rules.limits or (rules.hold is not None and rules.hold.until_started):
                lane.ruled = True
        return lane

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

    def is_kept(self, process_id: str) -> bool:
        """Whether a process has a lease, or may have it again: nobody has taken a job of it."""
        process = self.known.get(process_id)
        return process is not None and process.expires_at != 0


def _unheard(row: Row, state: JobState) -> None:
    """Nobody has bundles."""
