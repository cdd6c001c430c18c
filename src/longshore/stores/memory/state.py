"""The memory store's operations, as plain calls that its lock makes indivisible.

Each looks before it changes anything, so that one that raises has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heapreplace

from longshore.core.model import (
    ENDED,
    TRANSITIONS,
    Claimed,
    Ending,
    Inserted,
    JobState,
    Lease,
    NewJob,
    Patch,
    Run,
    Why,
)
from longshore.core.store import (
    Beat,
    Claim,
    ClaimRequest,
    Exchanged,
    Line,
    NewProcess,
    Orders,
    Rescue,
    Rescued,
)
from longshore.stores.lines import chosen, names
from longshore.stores.memory.inspect import Inspecting
from longshore.stores.memory.row import Row
from longshore.stores.memory.rows import (
    AVAILABLE,
    CANCELLED,
    RUNNING,
    SUCCEEDED,
    Process,
)

#: How many due and how many expired jobs a claim moves along the way.
STEP = 500
_NEVER_ASKED = -1
NEVER_STARTED = frozenset({JobState.AVAILABLE, JobState.SCHEDULED, JobState.WAITING})


class State(Inspecting):
    """Everything the memory store holds."""

    # --- producing ---

    def insert(self, jobs: Sequence[NewJob]) -> Sequence[Inserted]:
        fresh: dict[str, NewJob] = {}
        answers: list[Inserted] = []
        refused = False
        for job in jobs:
            row = self.rows.get(job.id)
            there = fresh.get(job.id) if row is None else row.new
            if there is None:
                fresh[job.id] = job
                answers.append(Inserted(job.id))
            else:
                same = there.kind == job.kind and there.payload == job.payload
                refused = refused or not same
                answers.append(Inserted(job.id, duplicate=same, conflict=not same))
        if not refused:
            for job in fresh.values():
                self.add(job)
        return answers

    # --- consuming ---

    def register(self, new: NewProcess) -> None:
        if new.id not in self.known:
            self.known[new.id] = Process(new, self.clock.wall_us(), self.clock.boot_us())
            self.running.setdefault(new.id, {})

    def claim(self, request: ClaimRequest) -> Claim:
        if not self.is_live(request.process_id):
            return Claim(live=False)
        process = self.known[request.process_id]
        now = self.clock.wall_us()
        mine = self.running[request.process_id]
        if request.claim_id <= process.last_claim:
            again = [row for row in mine.values() if row.claim_id == request.claim_id]
            if again:
                return Claim(live=True, jobs=tuple(claimed(row) for row in again))
        process.last_claim = max(process.last_claim, request.claim_id)
        self._expire(STEP, now)
        self._promote(STEP, now)
        process_id, claim_id = request.process_id, request.claim_id
        rows = self._chosen(request, now)
        jobs: list[Claimed] = []
        for row in rows:
            row.parked = row.parked_by = None
            row.run += 1
            row.claimed_by = process_id
            row.claim_id = claim_id
            row.claimed_at = now
            if row.attempted_at is None:
                row.attempted_at = now
            mine[row.new.id] = row
            jobs.append(claimed(row))
        self.step_all(rows, AVAILABLE, RUNNING)
        due_in = self._due_in(now) if len(jobs) < request.wanted else None
        return Claim(live=True, jobs=tuple(jobs), due_in=due_in)

    def finish(self, endings: Sequence[Ending]) -> frozenset[Lease]:
        wrong = {ending.to for ending in endings} - TRANSITIONS[RUNNING]
        if wrong:
            raise ValueError(f"a run cannot end in the state {min(wrong)}")
        now = self.clock.wall_us()
        held: list[Lease] = []
        plain: list[Row] = []
        process_id, mine = "", dict[str, Row]()
        for ending in endings:
            lease = ending.lease
            if lease.process_id != process_id:
                process_id = lease.process_id
                mine = self.running.get(process_id, {})
            # Its running rows are few and at hand; among all rows each is far away.
            row = mine.get(lease.job_id) or self.rows.get(lease.job_id)
            if row is None or row.run != lease.run or row.claimed_by != lease.process_id:
                continue
            held.append(lease)
            if row.state is not RUNNING or row.finalized_at is not None:
                continue  # a repetition, answered like the first time
            if ending.to is SUCCEEDED and ending.entry is None and not row.cancel_requested:
                # The way of most jobs: nothing to count and nothing to tell.
                row.result, row.result_error = ending.result, ending.result_error
                row.reason = ending.reason
                row.finalized_at = now
                plain.append(row)
            else:
                self._finish(row, ending, now)
        if plain:
            self._succeeded(plain, now)
        return frozenset(held)

    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Exchanged:
        return Exchanged(self.finish(endings), self.claim(request))

    def save(self, patches: Sequence[Patch]) -> frozenset[Lease]:
        held: list[Lease] = []
        for patch in patches:
            row = self._held(patch.lease)
            if row is not None:
                row.progress = patch.progress
                held.append(patch.lease)
        return frozenset(held)

    def beat(self, beat: Beat) -> Orders:
        now, boot_now = self.clock.wall_us(), self.clock.boot_us()
        live = [child for child in beat.processes if self.is_live(child.id)]
        cancels: list[Lease] = []
        for child in live:
            process = self.known[child.id]
            if beat.lease is not None:
                process.expires_at = boot_now + beat.lease
                process.seen_at = now
            for row in list(self.running[child.id].values()):
                if row.claim_id < child.oldest_claim:
                    self._give_back(row, Why.RELEASED, now)
                elif row.cancel_requested:
                    cancels.append(Lease(row.new.id, child.id, row.run))
        return Orders(
            lost=frozenset(child.id for child in beat.processes) - {child.id for child in live},
            cancels=tuple(cancels),
            parked_kinds=frozenset(row.new.kind for row in self.parked.values()),
        )

    # --- maintaining ---

    def elect(self, process_id: str, lease: int) -> bool:
        now = self.clock.boot_us()
        if self.leader is not None and self.leader[0] != process_id and self.leader[1] > now:
            return False
        self.leader = (process_id, now + lease)
        return True

    def promote(self, limit: int) -> int:
        now = self.clock.wall_us()
        return self._expire(limit, now) + self._promote(limit, now)

    def rescue(self, request: Rescue) -> Rescued:
        now = self.clock.wall_us()
        gone = (
            [process_id for process_id in self.running if not self.is_live(process_id)]
            if request.dead is None
            else [request.dead]
        )
        rows = [row for process_id in gone for row in self.running.get(process_id, {}).values()]
        leases: list[Lease] = []
        interrupted: list[bool] = []
        for row in rows[: request.limit]:
            started = request.started is None or (row.new.id, row.run) in request.started
            leases.append(Lease(row.new.id, row.claimed_by or "", row.run))
            interrupted.append(started)
            self._give_back(row, Why.INTERRUPTED if started else Why.RELEASED, now)
        for process_id in gone:
            # A record goes after its rows, never before: without it nobody would look for them.
            if not self.running.get(process_id):
                self.running.pop(process_id, None)
                self.known.pop(process_id, None)
            elif process_id in self.known:
                self.known[process_id].expires_at = 0
        return Rescued(tuple(leases), tuple(interrupted))

    def prune(self, limit: int) -> int:
        now = self.clock.wall_us()
        pruned = 0
        while pruned < limit and (row := self.keeping.over(now)) is not None:
            if self.rows.get(row.new.id) is row and row.state in ENDED:
                self.forget(row)
                pruned += 1
        return pruned

    # --- helpers ---

    def _chosen(self, request: ClaimRequest, now: int) -> list[Row]:
        """The rows to claim, in their order and withdrawn."""
        if request.parked_kinds:
            return self._parked(request, now)
        taken: list[Row] = []
        for line in request.lines:
            if len(taken) < request.wanted:
                self._line(line, request.wanted, now, taken)
        return taken

    def _parked(self, request: ClaimRequest, now: int) -> list[Row]:
        fit = [
            row
            for row in self.parked.values()
            if row.new.kind in request.parked_kinds
            and row.parked_by != request.kinds_digest
            and not self.is_paused(row.queue, now)
        ]
        fit.sort(key=lambda row: (row.priority, row.scheduled_at, row.new.id))
        taken: list[Row] = []
        for row in fit:
            if len(taken) >= request.wanted:
                break
            self.withdraw(row)
            taken += self._in_time([row], now)
        return taken

    def _line(self, line: Line, wanted: int, now: int, taken: list[Row]) -> None:
        """Add rows of a line to those taken, until there are as many as wanted."""
        queues: Iterable[str] | None = names(line)
        if queues is None:
            queues = chosen(line, self.lanes)
        lanes = [
            self.lanes[queue]
            for queue in queues
            if queue in self.lanes and not self.is_paused(queue, now)
        ]
        if len(lanes) == 1:
            (lane,) = lanes
            while len(taken) < wanted and (rows := lane.take(wanted - len(taken))):
                taken += self._in_time(rows, now)
            return
        heads = [(head, index) for index, lane in enumerate(lanes) if (head := lane.head())]
        heapify(heads)
        while heads and len(taken) < wanted:
            lane = lanes[heads[0][1]]
            rows = lane.take(1)
            head = lane.head()
            if head is None:
                heappop(heads)
            else:
                heapreplace(heads, (head, heads[0][1]))
            taken += self._in_time(rows, now)

    def _in_time(self, rows: list[Row], now: int) -> list[Row]:
        """Those of withdrawn rows that may still start; the others are cancelled."""
        late = [
            row
            for row in rows
            if row.expires_at is not None and row.attempted_at is None and row.expires_at <= now
        ]
        for row in late:
            self.cancel_row(row, "expired", now)
        return [row for row in rows if row.state is AVAILABLE] if late else rows

    def _succeeded(self, rows: list[Row], now: int) -> None:
        """End running rows of which there is nothing to tell; :meth:`end` for many at once."""
        self.stirred = True
        self.step_all(rows, RUNNING, SUCCEEDED)
        add = None
        asked: int | None = _NEVER_ASKED
        duration: int | None = None
        process_id, mine = None, dict[str, Row]()
        for row in rows:
            if row.claimed_by != process_id and row.claimed_by is not None:
                process_id = row.claimed_by
                mine = self.running[process_id]
            del mine[row.new.id]
            row.budgets = None
            if row.new.keep_result != asked:
                asked = row.new.keep_result
                duration = self.kept_for(SUCCEEDED, asked)
                add = duration and self.keeping.adder(duration, now + duration)
            if duration == 0:
                self.forget(row)
            elif duration is None or not add:
                row.kept_until = None
            else:
                row.kept_until = now + duration
                add(row)
        for process_id in {row.claimed_by for row in rows} - self.known.keys():
            if process_id is not None and not self.running[process_id]:
                del self.running[process_id]

    def _finish(self, row: Row, ending: Ending, now: int) -> None:
        self.drop_running(row)
        to = ending.to
        asked = row.cancel_requested
        if ending.failed:
            row.failures += 1
        if ending.interrupted:
            row.interruptions += 1
        if ending.entry is not None:
            row.log(ending.entry)
        if to not in ENDED and not asked:
            self._requeue(row, ending)
            return
        if to not in ENDED or (to is CANCELLED and asked):
            # A person wanted it to end; what the worker says is why it stopped.
            to = CANCELLED
            row.reason = row.reason or ending.reason or "cancelled"
        else:
            row.reason = ending.reason
        row.result = ending.result
        row.result_error = ending.result_error
        self.end(row, to, now)

    def _requeue(self, row: Row, ending: Ending) -> None:
        if ending.to is not AVAILABLE and ending.at is not None:
            row.scheduled_at = ending.at
        if ending.budgets is not None:
            row.budgets = ending.budgets
        if ending.priority is not None:
            row.priority = ending.priority
        if ending.to is AVAILABLE:
            row.parked, row.parked_by = ending.parked, ending.parked_by
        row.reason = ending.reason
        self.step(row, ending.to)
        if ending.queue is not None:
            self.change_queue(row, ending.queue)
        self.place(row)

    def _give_back(self, row: Row, why: Why, now: int) -> None:
        """A running row goes on elsewhere: nobody may report on this run any more."""
        row.log(
            Run(
                run=row.run,
                process=row.claimed_by or "",
                started_at=row.claimed_at,
                ended_at=now,
                why=why,
            )
        )
        self.drop_running(row)
        row.claimed_by = None
        if why is Why.INTERRUPTED:
            row.interruptions += 1
        if row.cancel_requested:
            row.reason = row.reason or "cancelled"
            self.end(row, CANCELLED, now)
        else:
            self.step(row, AVAILABLE)
            self.place(row)

    def _promote(self, limit: int, now: int) -> int:
        due = self.due
        promoted = 0
        while due and promoted < limit and due[0][0] <= now:
            entry = heappop(due)
            row = entry[4]
            if row.place == entry[3]:
                self.step(row, AVAILABLE)
                self.place(row)
                promoted += 1
        return promoted

    def _expire(self, limit: int, now: int) -> int:
        expiring = self.expiring
        expired = 0
        while expiring and expired < limit and expiring[0][0] <= now:
            at, _, row = heappop(expiring)
            here = self.rows.get(row.new.id) is row and row.state in NEVER_STARTED
            if here and row.attempted_at is None and row.expires_at == at:
                self.cancel_row(row, "expired", now)
                expired += 1
        return expired

    def _due_in(self, now: int) -> int | None:
        due = self.due
        while due and due[0][4].place != due[0][3]:
            heappop(due)
        return max(0, due[0][0] - now) if due else None

    def _held(self, lease: Lease) -> Row | None:
        row = self.rows.get(lease.job_id)
        if (
            row is None
            or row.state is not RUNNING
            or row.run != lease.run
            or row.claimed_by != lease.process_id
        ):
            return None
        return row


def claimed(row: Row) -> Claimed:
    """The row as a worker gets it."""
    new = row.new
    return Claimed(
        new.id,
        row.run,
        new.kind,
        row.queue,
        new.payload,
        row.priority,
        row.failures,
        row.interruptions,
        new.max_attempts,
        row.scheduled_at,
        new.created_at,
        row.claimed_at,
        new.timeout,
        new.keep_result,
        row.budgets,
        new.tags,
        row.meta,
    )
