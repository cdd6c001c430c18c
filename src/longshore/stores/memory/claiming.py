"""Claims of the memory store: which rows a process gets, and in which order.

Where nothing restrains the jobs of a line they are taken many at once. Where rules or a paused kind
may say that it is not a job's time, each is looked at in its turn: what has to wait is put where
no later claim meets it.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace

from longshore.core.limits import BLOCKED
from longshore.core.model import Claimed, JobState
from longshore.core.store import Claim, ClaimRequest, Line
from longshore.stores.lines import chosen, names
from longshore.stores.memory.inspect import Inspecting
from longshore.stores.memory.lanes import Entry, Lane, TurnLane
from longshore.stores.memory.row import Row
from longshore.stores.memory.rows import AVAILABLE, RUNNING

#: How many due and how many expired jobs a claim moves along the way.
STEP = 500
NEVER_STARTED = frozenset({JobState.AVAILABLE, JobState.SCHEDULED, JobState.WAITING})


class Choice:
    """What one claim has chosen so far."""

    __slots__ = ("blocked", "free", "kinds", "now", "over", "rated", "taken", "touched", "wanted")

    def __init__(self, request: ClaimRequest, now: int, *, kinds: bool) -> None:
        self.wanted = request.wanted
        self.free = request.free  # slots for which jobs with a rate may come
        self.now = now
        self.kinds = kinds  # whether a kind is paused
        self.taken: list[Row] = []
        self.rated = 0
        self.blocked = 0
        self.over = False
        self.touched: set[str] = set()  # keys that have been used or found full


class Claiming(Inspecting):
    """Promoting, expiring, choosing."""

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
        self.bring_up(STEP, now)
        process_id, claim_id = request.process_id, request.claim_id
        choice = self._choose(request, now)
        rows = choice.taken
        for row in rows:
            if row.parked is not None:
                row.parked = row.parked_by = None
            row.run += 1
            row.claimed_by = process_id
            row.claim_id = claim_id
            row.claimed_at = now
            if row.attempted_at is None:
                row.attempted_at = now
        jobs = tuple(map(claimed, rows))
        mine.update(zip([job.id for job in jobs], rows, strict=True))
        self.step_all(rows, AVAILABLE, RUNNING)
        due_in = None
        if len(jobs) < request.wanted:
            due_in = self._due_in(now) if choice.blocked < BLOCKED else 0
        return Claim(live=True, jobs=jobs, due_in=due_in)

    def bring_up(self, limit: int, now: int) -> int:
        """Cancel what has expired and put into its line whose time has come."""
        moved = self._expire(limit, now) + self._promote(limit, now)
        if self.gates:
            self.admit_opened(now)
        return moved

    # --- choosing ---

    def _choose(self, request: ClaimRequest, now: int) -> Choice:
        """The rows to claim, in their order and withdrawn."""
        kinds = any(self.is_held(kind, now) for kind in self.kinds)
        choice = Choice(request, now, kinds=kinds)
        if request.parked_kinds:
            self._parked(request, choice)
        for line in () if request.parked_kinds else request.lines:
            if len(choice.taken) < choice.wanted and not choice.over:
                self._line(line, choice)
        for key in choice.touched:
            self.reopen(key, now)
        return choice

    def _parked(self, request: ClaimRequest, choice: Choice) -> None:
        now = choice.now
        fit = [
            row
            for row in self.parked.values()
            if row.new.kind in request.parked_kinds
            and row.parked_by != request.kinds_digest
            and not self.is_paused(row.queue, now)
        ]
        fit.sort(key=lambda row: (row.priority, row.scheduled_at, row.new.id))
        for row in fit:
            if len(choice.taken) >= choice.wanted:
                break
            if is_late(row, now):
                self.cancel_row(row, "expired", now)
            elif self.blocker(row, now) is None:
                if self._waits_for_a_slot(row, choice):
                    break
                self.withdraw(row)
                self._start(row, choice)

    def _line(self, line: Line, choice: Choice) -> None:
        """Add rows of a line to those taken, until there are as many as wanted."""
        queues: Iterable[str] | None = names(line)
        if queues is None:
            queues = chosen(line, self.lanes)
        lanes = [
            self.lanes[queue]
            for queue in queues
            if queue in self.lanes and not self.is_paused(queue, choice.now)
        ]
        plain = [lane for lane in lanes if isinstance(lane, Lane) and not lane.ruled]
        if choice.kinds or len(plain) < len(lanes):
            self._each_in_turn(lanes, choice)
        else:
            self._many(plain, choice)

    def _many(self, lanes: list[Lane], choice: Choice) -> None:
        """Rows that nothing restrains but their time."""
        now, wanted, taken = choice.now, choice.wanted, choice.taken
        if len(lanes) == 1:
            (lane,) = lanes
            while len(taken) < wanted and (rows := lane.take(wanted - len(taken))):
                taken += self._in_time(rows, now)
            return
        heads = ordered(lanes)
        while heads and len(taken) < wanted:
            lane = lanes[heads[0][1]]
            rows = lane.take(1)
            head = lane.head()
            if head is None:
                heappop(heads)
            else:
                heapreplace(heads, (head, heads[0][1]))
            taken += self._in_time(rows, now)

    def _each_in_turn(self, lanes: list[Lane | TurnLane], choice: Choice) -> None:
        """Rows of which each is asked whether it may start."""
        admitted = self.admitted
        heads = ordered(lanes)
        while heads and len(choice.taken) < choice.wanted and not choice.over:
            head, index = heads[0]
            self._meet(lanes[index], head[4], choice)
            next_ = lanes[index].head()
            if admitted != self.admitted:
                # Rows have come back into their lines, before or behind where we are.
                admitted = self.admitted
                heads = ordered(lanes)
            elif next_ is None:
                heappop(heads)
            else:
                heapreplace(heads, (next_, index))

    def _meet(self, lane: Lane | TurnLane, row: Row, choice: Choice) -> None:
        """Start the row that is the head of its lane, or see to it that nobody meets it again."""
        now = choice.now
        if is_late(row, now):
            self.cancel_row(row, "expired", now)
            return
        key = self.blocker(row, now)
        if key is not None:
            lane.pop()
            self.block(row, key, now)
            choice.touched.add(key)
            choice.blocked += 1
            choice.over = choice.blocked >= BLOCKED
        elif self._waits_for_a_slot(row, choice):
            choice.over = True
        else:
            lane.pop()
            lane.used(row)
            self._start(row, choice)

    def _waits_for_a_slot(self, row: Row, choice: Choice) -> bool:
        """Whether a row has a rate and there is no slot for it that is free now."""
        if choice.rated < choice.free or row.new.rules is None:
            return False
        return any(limit.per is not None for limit in row.new.rules.limits)

    def _start(self, row: Row, choice: Choice) -> None:
        choice.taken.append(row)
        if row.new.rules is not None:
            rates = [limit.key for limit in row.new.rules.limits if limit.per is not None]
            choice.rated += bool(rates)
            choice.touched.update(rates)
            self.occupy(row, choice.now)

    def _in_time(self, rows: list[Row], now: int) -> list[Row]:
        """Those of withdrawn rows that may still start; the others are cancelled."""
        # As `is_late`, without the cost of a call for each.
        late = [
            row
            for row in rows
            if row.expires_at is not None and row.attempted_at is None and row.expires_at <= now
        ]
        for row in late:
            self.cancel_row(row, "expired", now)
        return [row for row in rows if row.state is AVAILABLE] if late else rows

    # --- what time brings ---

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
        if expired:
            self.groups.follow(now)
        return expired

    def _due_in(self, now: int) -> int | None:
        due = self.due
        while due and due[0][4].place != due[0][3]:
            heappop(due)
        times = [due[0][0]] if due else []
        opens_at = self.opens.earliest()
        if opens_at is not None:
            times.append(opens_at)
        return max(0, min(times) - now) if times else None


def is_late(row: Row, now: int) -> bool:
    """Whether a row may no longer start for the first time."""
    return row.expires_at is not None and row.attempted_at is None and row.expires_at <= now


def ordered(lanes: list[Lane] | list[Lane | TurnLane]) -> list[tuple[Entry, int]]:
    """A heap of the heads of lanes and the numbers of these."""
    heads = [(head, index) for index, lane in enumerate(lanes) if (head := lane.head())]
    heapify(heads)
    return heads


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
