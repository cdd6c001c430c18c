"""The memory store's operations, as plain calls that its lock makes indivisible.

Each looks before it changes anything, so that one that raises has changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from longshore.core.interruptions import Crash
from longshore.core.model import (
    ENDED,
    TRANSITIONS,
    Ending,
    Lease,
    Patch,
    Run,
    Why,
)
from longshore.core.store import (
    Beat,
    ClaimRequest,
    Exchanged,
    NewProcess,
    Orders,
    Rescue,
    Rescued,
)
from longshore.stores.memory.claiming import Claiming
from longshore.stores.memory.row import Row
from longshore.stores.memory.rows import (
    AVAILABLE,
    CANCELLED,
    DEAD,
    RUNNING,
    SUCCEEDED,
    Process,
)

_NEVER_ASKED = -1
#: Why a job is dead that may run at most once and whose process died under it.
INTERRUPTED = "interrupted"


class State(Claiming):
    """Everything the memory store holds."""

    # --- consuming ---

    def register(self, new: NewProcess) -> None:
        if new.id not in self.known:
            self.known[new.id] = Process(new, self.clock.wall_us(), self.clock.boot_us())
            self.running.setdefault(new.id, {})

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
            if row is None or row.run != lease.run or row.claimed_by != process_id:
                continue
            held.append(lease)
            if row.state is not RUNNING or row.finalized_at is not None:
                continue  # a repetition, answered like the first time
            if is_plain(row, ending):
                # The way of most jobs: nothing to count and nothing to tell.
                row.result, row.result_error = ending.result, ending.result_error
                row.reason = ending.reason
                row.finalized_at = now
                plain.append(row)
            else:
                self._finish(row, ending, now)
        if plain:
            self._succeeded(plain, now)
        self.groups.follow(now)
        return frozenset(held)

    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Exchanged:
        return Exchanged(self.finish(endings), self.claim(request))

    def save(self, patches: Sequence[Patch]) -> frozenset[Lease]:
        held: list[Lease] = []
        for patch in patches:
            row = self._held(patch.lease)
            if row is not None:
                if patch.progress is not None:
                    row.progress = patch.progress
                row.note(patch.steps, patch.lines)
                held.append(patch.lease)
        return frozenset(held)

    def beat(self, beat: Beat) -> Orders:
        now, boot_now = self.clock.wall_us(), self.clock.boot_us()
        # A lease that ran out goes on unless somebody has taken a job of its process.
        live = [child for child in beat.processes if self.is_kept(child.id)]
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
        self.groups.follow(now)
        return Orders(
            lost=frozenset(child.id for child in beat.processes) - {child.id for child in live},
            cancels=tuple(cancels),
            parked_kinds=frozenset(row.new.kind for row in self.parked.values()),
            processes=sum(map(self.is_live, self.known)),
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
        moved = self.bring_up(limit, now)
        if self.gates:
            self.admit_any(limit, now)
        return moved

    def rescue(self, request: Rescue) -> Rescued:
        now = self.clock.wall_us()
        gone = (
            [process_id for process_id in self.running if not self.is_live(process_id)]
            if request.dead is None
            else [request.dead]
        )
        withheld = 0
        if request.patience is not None and request.dead is None:
            gone, withheld = self._believed(gone, request.patience)
        rows = [row for process_id in gone for row in self.running.get(process_id, {}).values()]
        leases: list[Lease] = []
        interrupted: list[bool] = []
        taken = {request.dead}
        for row in rows[: request.limit]:
            taken.add(row.claimed_by)
            told = " ".join(run.message or "" for run in row.runs)
            key = (row.new.id, row.run)
            counts, note = request.fate(key, once=is_once(row), history=told)
            leases.append(Lease(row.new.id, row.claimed_by or "", row.run))
            interrupted.append(counts)
            self._give_back(row, Why.INTERRUPTED if counts else Why.RELEASED, now, note)
        self.groups.follow(now)
        for process_id in gone:
            # A record goes after its rows, never before: without it nobody would look for them.
            if not self.running.get(process_id):
                self.running.pop(process_id, None)
                self.known.pop(process_id, None)
            elif process_id in self.known and process_id in taken:
                # Nobody can renew it now, so that what is left is found by every later call.
                self.known[process_id].expires_at = 0
        return Rescued(tuple(leases), tuple(interrupted), withheld)

    def prune(self, limit: int) -> int:
        now = self.clock.wall_us()
        pruned = 0
        while pruned < limit and (row := self.keeping.over(now)) is not None:
            if self.rows.get(row.new.id) is row and row.state in ENDED:
                if self.groups.put_off(row, now):
                    continue
                self.forget(row)
                pruned += 1
        self.groups.prune(now)
        self.forget_starts(limit, now)
        return pruned

    # --- helpers ---

    def _believed(self, gone: list[str], patience: int) -> tuple[list[str], int]:
        """Of processes without a lease those found so long ago enough; how many jobs others keep.

        Since when one is doubted lies in its record, below zero, until a beat renews it.
        """
        now = self.clock.boot_us()
        believed: list[str] = []
        for process_id in gone:
            process = self.known.get(process_id)
            if process is not None and process.expires_at > 0:
                process.expires_at = -now
            elif process is None or patience - process.expires_at <= now:
                believed.append(process_id)
        return believed, sum(len(self.running[one]) for one in gone if one not in believed)

    def _succeeded(self, rows: list[Row], now: int) -> None:
        """End running rows of which there is nothing to tell; :meth:`end` for many at once."""
        self.stirred = True
        self.step_all(rows, RUNNING, SUCCEEDED)
        add = None
        asked: int | None = _NEVER_ASKED
        duration: int | None = None
        process_id, mine = None, dict[str, Row]()
        processes: set[str] = set()
        for row in rows:
            if row.claimed_by != process_id and row.claimed_by is not None:
                process_id = row.claimed_by
                processes.add(process_id)
                mine = self.running[process_id]
            new = row.new
            del mine[new.id]
            if new.rules is not None:
                self.vacate(row)
                self.unhold(row)
            if row.budgets is not None:
                row.budgets = None
            if new.keep_result != asked:
                asked = new.keep_result
                duration = self.kept_for(SUCCEEDED, asked)
                add = duration and self.keeping.adder(duration, now + duration)
            if duration == 0:
                self.forget(row)
            elif duration is None or not add:
                row.kept_until = None
            else:
                row.kept_until = now + duration
                add(row)
        for process_id in processes - self.known.keys():
            if not self.running[process_id]:
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
        once = ending.interrupted and is_once(row)
        if to not in ENDED and not asked and not once:
            self._requeue(row, ending)
            return
        if to not in ENDED and not asked:
            to, row.reason = DEAD, INTERRUPTED
        elif to not in ENDED or (to is CANCELLED and asked):
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

    def _give_back(self, row: Row, why: Why, now: int, note: Crash | None = None) -> None:
        """A running row goes on elsewhere: nobody may report on this run any more."""
        row.log(
            Run(
                run=row.run,
                process=row.claimed_by or "",
                started_at=row.claimed_at,
                ended_at=now,
                why=why,
                message=note.message if note else None,
                traceback=note.traceback if note else None,
            )
        )
        self.drop_running(row)
        row.claimed_by = None
        if why is Why.INTERRUPTED:
            row.interruptions += 1
        if row.cancel_requested:
            row.reason = row.reason or "cancelled"
            self.end(row, CANCELLED, now)
        elif why is Why.INTERRUPTED and is_once(row):
            row.reason = INTERRUPTED
            self.end(row, DEAD, now)
        else:
            self.step(row, AVAILABLE)
            self.place(row)

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


def is_plain(row: Row, ending: Ending) -> bool:
    """Whether it just succeeded, with nothing to count, nothing to tell and nobody waiting."""
    if ending.to is not SUCCEEDED or ending.entry is not None or row.cancel_requested:
        return False
    return row.new.rules is None or not row.new.rules.bundles


def is_once(row: Row) -> bool:
    """Whether a job may run at most once."""
    return row.new.rules is not None and row.new.rules.at_most_once
