"""What people ask of the memory store and order it to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import nlargest, nsmallest

import msgspec

from longshore.core.batches import Together, strangers
from longshore.core.model import (
    ENDED,
    Inserted,
    JobRecord,
    JobState,
    LogLine,
    NewJob,
    Step,
)
from longshore.core.store import (
    Changed,
    Counted,
    Demand,
    Filter,
    Page,
    ProcessRecord,
    QueueRecord,
    Retention,
    SetQueue,
)
from longshore.stores.clock import Clock
from longshore.stores.memory.bundles import Bundles
from longshore.stores.memory.govern import Governing
from longshore.stores.memory.lanes import Entry
from longshore.stores.memory.row import Row, Tally
from longshore.stores.memory.rows import AVAILABLE, RETRYING, RUNNING, SCHEDULED


class Inspecting(Governing):
    """Records, counts, verbs, queues and processes."""

    def __init__(self, retention: Retention, clock: Clock) -> None:
        super().__init__(retention, clock)
        #: Batches and workflows.
        self.groups = Bundles(self, lambda job: self.insert([job]))
        self.noted = self.groups.note

    def insert_together(self, jobs: Sequence[NewJob], together: Together) -> Sequence[Inserted]:
        fresh = [job for job in jobs if job.id not in self.rows]
        if alien := strangers(jobs, together, self.rows):
            return [Inserted(job.id, conflict=job.id in alien) for job in jobs]
        if not self.groups.fits(fresh, together):
            return [Inserted(job.id, conflict=True, late=True) for job in jobs]
        answers = self.insert(jobs)
        if not any(answer.conflict for answer in answers):
            self.groups.add(jobs, together, answers, self.clock.wall_us())
        return answers

    def get(self, ids: Sequence[str]) -> Mapping[str, JobRecord]:
        return {id_: self.rows[id_].record() for id_ in ids if id_ in self.rows}

    def find(self, where: Filter, limit: int, cursor: str | None, oldest_first: bool) -> Page:  # noqa: FBT001
        found = (
            job_id
            for job_id, row in self._candidates(where)
            if (cursor is None or (job_id > cursor if oldest_first else job_id < cursor))
            and (not where.states or row.state in where.states)
            and (not where.queues or row.queue in where.queues)
            and (not where.kinds or row.new.kind in where.kinds)
        )
        # One more than asked for tells whether there is another page.
        pick = nsmallest if oldest_first else nlargest
        ids = pick(limit + 1, found)
        records = tuple(self.rows[job_id].record() for job_id in ids[:limit])
        return Page(records, records[-1].id if records and len(ids) > limit else None)

    def count(self, where: Filter) -> tuple[Counted, ...]:
        tallies = self.tallies if not where.identities else self._tallies_of(where.identities)
        return tuple(
            Counted(queue, kind, state, jobs)
            for (queue, kind), tally in sorted(tallies.items())
            if (not where.queues or queue in where.queues)
            and (not where.kinds or kind in where.kinds)
            for state, jobs in sorted(tally.items())
            if jobs and (not where.states or state in where.states)
        )

    def steps(self, ids: Sequence[str]) -> Mapping[str, tuple[Step, ...]]:
        found = {job_id: self.rows[job_id].steps for job_id in ids if job_id in self.rows}
        return {
            job_id: tuple(steps[name] for name in sorted(steps))
            for job_id, steps in found.items()
            if steps
        }

    def logs(self, job_id: str, after: int, limit: int) -> tuple[LogLine, ...]:
        row = self.rows.get(job_id)
        lines = {} if row is None or row.lines is None else row.lines
        return tuple(line for number, line in lines.items() if number > after)[:limit]

    def expect(self, ids: Sequence[str], keep: int) -> frozenset[str]:
        live: set[str] = set()
        for job_id in ids:
            row = self.rows.get(job_id)
            if row is not None and row.state not in ENDED:
                live.add(job_id)
                kept = row.new.keep_result
                if kept is not None and kept < keep:
                    row.new = msgspec.structs.replace(row.new, keep_result=keep)
        return frozenset(live)

    def cancel(self, ids: Sequence[str], reason: str | None) -> Changed:
        now = self.clock.wall_us()
        requested: list[str] = []

        def apply(row: Row) -> bool:
            if row.state in ENDED:
                return False
            if row.state is RUNNING:
                row.cancel_requested = True
                row.reason = reason or row.reason
                requested.append(row.new.id)
            else:
                self.cancel_row(row, reason or "cancelled", now)
            return True

        changed = self._each(ids, apply)
        self.groups.follow(now)
        asked = frozenset(requested)
        return Changed(
            tuple(job_id for job_id in changed.changed if job_id not in asked),
            tuple(requested),
            changed.skipped,
        )

    def retry(self, ids: Sequence[str]) -> Changed:
        now = self.clock.wall_us()
        held: list[str] = []

        def apply(row: Row) -> bool:
            state = AVAILABLE
            if row.state in ENDED:
                if not self.retake(row, now):
                    held.append(row.new.id)
                    return False
                self.keeping.leave(row)
                row.failures = row.interruptions = 0
                row.kept_until = row.finalized_at = None
                row.result = row.result_error = row.reason = None
                if row.expires_at is not None and row.expires_at <= now:
                    row.expires_at = None  # a person wants it to run all the same
                state = self.groups.again(row)
            elif row.state is SCHEDULED or row.state is RETRYING:
                self.withdraw(row)
            else:
                return False
            row.scheduled_at = now
            self.step(row, state)
            self.place(row)
            return True

        changed = self._each(ids, apply)
        self.groups.follow(now)
        if not held:
            return changed
        others = frozenset(held)
        skipped = tuple(job_id for job_id in changed.skipped if job_id not in others)
        return Changed(changed.changed, skipped=skipped, held=tuple(held))

    def delete(self, ids: Sequence[str]) -> Changed:
        def apply(row: Row) -> bool:
            if row.state is RUNNING or self.groups.is_bound(row):
                return False
            self.withdraw(row)
            self.forget(row)
            return True

        return self._each(ids, apply)

    def move(self, ids: Sequence[str], queue: str) -> Changed:
        def apply(row: Row) -> bool:
            if row.state in ENDED or row.state is RUNNING:
                return False
            self.withdraw(row)
            self.change_queue(row, queue)
            self.place(row)
            return True

        return self._each(ids, apply)

    def set_queue(self, request: SetQueue) -> None:
        if request.paused:
            pause = request.pause_for
            until = None if pause is None else self.clock.wall_us() + pause
            self.paused[request.name] = (request, until)
        elif self.paused.pop(request.name, None) is not None:
            self.stirred = True

    def queue_records(self) -> tuple[QueueRecord, ...]:
        now = self.clock.wall_us()
        totals: dict[str, dict[JobState, int]] = {}
        for (queue, _), tally in self.tallies.items():
            if any(tally.values()):
                total = totals.setdefault(queue, dict.fromkeys(JobState, 0))
                for state, jobs in tally.items():
                    total[state] += jobs
        held = [queue for queue in self.paused if self.is_paused(queue, now)]
        for queue in held:
            totals.setdefault(queue, dict.fromkeys(JobState, 0))
        heads = self._heads()
        return tuple(
            self._queue_record(queue, totals[queue], heads.get(queue), now)
            for queue in sorted(totals)
        )

    def demand(self) -> Demand:
        now = self.clock.wall_us()
        names = sorted(name for name in self._heads() if not self.is_paused(name, now))
        return Demand(tuple(names), Counter(row.new.kind for row in self.parked.values()))

    def process_records(self) -> tuple[ProcessRecord, ...]:
        boot_now = self.clock.boot_us()
        return tuple(
            ProcessRecord(
                id=process.new.id,
                app=process.new.app,
                name=process.new.name,
                host=process.new.host,
                pid=process.new.pid,
                queues=process.new.queues,
                kinds=process.new.kinds,
                slots=process.new.slots,
                embedded=process.new.embedded,
                version=process.new.version,
                started_at=process.started_at,
                seen_at=process.seen_at,
                lease_left=process.expires_at - boot_now,
                running=len(self.running[process.new.id]),
            )
            for _, process in sorted(self.known.items())
        )

    def change_queue(self, row: Row, queue: str) -> None:
        """Count a row that stands in no line for another queue."""
        row.tally[row.state] -= 1
        row.queue = queue
        row.tally = self.tally(queue, row.new.kind)
        row.tally[row.state] += 1

    def _candidates(self, where: Filter) -> Iterator[tuple[str, Row]]:
        rows: Mapping[str, Row] = self.rows
        if where.identities:
            same = [self.named.get(identity, {}) for identity in where.identities]
            rows = {job_id: row for rows in same for job_id, row in rows.items()}
        if not where.ids:
            yield from rows.items()
            return
        for job_id in dict.fromkeys(where.ids):
            if job_id in rows:
                yield job_id, rows[job_id]

    def _tallies_of(self, identities: Sequence[str]) -> dict[tuple[str, str], Tally]:
        tallies: dict[tuple[str, str], Tally] = {}
        for _, row in self._candidates(Filter(identities=tuple(identities))):
            tally = tallies.setdefault((row.queue, row.new.kind), dict.fromkeys(JobState, 0))
            tally[row.state] += 1
        return tallies

    def _each(self, ids: Sequence[str], apply: Callable[[Row], bool]) -> Changed:
        """Apply a verb to each job, an id given twice once."""
        changed: list[str] = []
        skipped: list[str] = []
        for job_id in dict.fromkeys(ids):
            row = self.rows.get(job_id)
            done = row is not None and apply(row)
            (changed if done else skipped).append(job_id)
        return Changed(changed=tuple(changed), skipped=tuple(skipped))

    def _heads(self) -> dict[str, Entry]:
        """The first available row of each queue, be it blocked or not."""
        heads: dict[str, Entry] = {}
        lanes = [(queue, lane.first()) for queue, lane in self.lanes.items()]
        for gate in self.gates.values():
            lanes += [(queue, lane.first()) for (queue, _), lane in gate.lanes.items()]
        for queue, head in lanes:
            if head is not None and (queue not in heads or head < heads[queue]):
                heads[queue] = head
        return heads

    def _queue_record(
        self, name: str, total: Mapping[JobState, int], head: Entry | None, now: int
    ) -> QueueRecord:
        paused = self.is_paused(name, now)
        request, until = self.paused[name] if paused else (None, None)
        return QueueRecord(
            name=name,
            paused=paused,
            reason=request.reason if request is not None else None,
            resumes_at=until,
            depth=total[AVAILABLE],
            scheduled=total[SCHEDULED] + total[RETRYING],
            running=total[RUNNING],
            latency=max(0, now - head[1]) if head is not None else 0,
        )
