"""The reference model: what a store must answer, in plain Python and with no thought of speed.

``ModelStore`` takes the requests of the seam and answers at once. The state machine in
``longshore.testing.machine`` gives the same request to it and to a real store and compares answers
and jobs. Where the seam leaves a choice, the model follows what the store was seen to do
(:meth:`ModelStore.follow`) and nothing else:

* a due job may stay scheduled or retrying until a claim of its queue or ``promote`` looks at it;
* a job past ``expires_at`` may stay as it is until ``promote`` looks at it, but never starts;
* the line in ``runs[]`` for a run that was given back before it had started may be left out;
* a job whose retention is nothing may go with its ending or with the next ``prune``; the same
  ending reported once more may be known or not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from longshore.core.batches import Together, strangers
from longshore.core.limits import SetKind, SetLimit
from longshore.core.model import (
    ENDED,
    Ending,
    Inserted,
    JobRecord,
    JobState,
    Lease,
    NewJob,
    Patch,
    Why,
)
from longshore.core.store import (
    Beat,
    Changed,
    Claim,
    ClaimRequest,
    Exchanged,
    Line,
    NewProcess,
    Orders,
    Rescue,
    Rescued,
    Retention,
    SetQueue,
)
from longshore.testing.model_bundles import ModelBundles
from longshore.testing.model_job import ModelJob, claimed, doubted, kept_runs, serves
from longshore.testing.model_keys import ModelKeys
from longshore.testing.model_rules import Restraints
from longshore.testing.model_ticks import ModelSchedules

_DUE_LATER: Final = frozenset({JobState.SCHEDULED, JobState.RETRYING})


class ModelStore(ModelKeys):
    """Jobs, processes and queues in dictionaries; the test moves ``now`` (microseconds)."""

    def __init__(self, retention: Retention, now: int) -> None:
        self.retention = retention
        super().__init__(now)
        self.restraints = Restraints(self.jobs)
        self.bundles = ModelBundles(self.jobs, retention, self._insert)
        self.schedules = ModelSchedules(self.jobs, self._insert)
        #: When the lease of each process ends.
        self.processes: dict[str, int] = {}
        self.paused: dict[str, int | None] = {}
        self.leader: tuple[str, int] | None = None
        #: Leases of runs whose jobs a person made to run again, or of which nothing is kept: the
        #: seam does not say how an ending that arrives twice is answered then.
        self.vague: set[Lease] = set()

    # --- producing and consuming ---

    def insert(
        self, jobs: Sequence[NewJob], together: Together | None = None
    ) -> tuple[Inserted, ...]:
        together = together or Together()
        fresh = [job for job in jobs if job.id not in self.jobs]
        holds = together.lease is None or self._held(together.lease) is not None
        if alien := strangers(jobs, together, self.jobs):
            return tuple(Inserted(job.id, conflict=job.id in alien) for job in jobs)
        if not self.bundles.fits(fresh, together, holds=holds):
            return tuple(Inserted(job.id, conflict=True, late=True) for job in jobs)
        before = {job_id: msgspec.structs.replace(job) for job_id, job in self.jobs.items()}
        answers = tuple(self._insert(job) for job in jobs)
        if any(answer.conflict for answer in answers):
            self.jobs.clear()
            self.jobs.update(before)
            return answers
        stored = [job for job, one in zip(jobs, answers, strict=True) if not one.duplicate]
        self.bundles.add(stored, together, self.now)
        return answers

    def register(self, process: NewProcess) -> None:
        self.processes[process.id] = self.now + process.lease

    def claim(self, request: ClaimRequest) -> Claim:
        if not self.live(request.process_id):
            return Claim(live=False)
        carried = [
            job for job in self._running_of(request.process_id) if job.claim_id == request.claim_id
        ]
        taken = carried or self._take(request)
        return Claim(live=True, jobs=tuple(claimed(job) for job in taken))

    def finish(self, endings: Sequence[Ending]) -> frozenset[Lease]:
        held = frozenset(ending.lease for ending in endings if self._end(ending))
        self.bundles.follow(self.now)
        return held

    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Exchanged:
        return Exchanged(self.finish(endings), self.claim(request))

    def save(self, patches: Sequence[Patch]) -> frozenset[Lease]:
        held: set[Lease] = set()
        for patch in patches:
            job = self._held(patch.lease)
            if job is not None:
                job.progress = patch.progress or job.progress
                job.steps = {**job.steps, **{step.name: step for step in patch.steps}}
                job.lines = {**{line.number: line for line in patch.lines}, **job.lines}
                held.add(patch.lease)
        return frozenset(held)

    def beat(self, beat: Beat) -> Orders:
        lost: set[str] = set()
        cancels: list[Lease] = []
        for told in beat.processes:
            if told.id not in self.processes:
                lost.add(told.id)
                continue
            if beat.lease is not None:
                self.processes[told.id] = self.now + beat.lease
            for job in self._running_of(told.id):
                if job.claim_id < told.oldest_claim:
                    job.give_back(self.now, interrupted=False)
                elif job.cancel_requested:
                    cancels.append(job.lease())
        self.bundles.follow(self.now)
        kinds = frozenset(job.new.kind for job in self.jobs.values() if job.parked is not None)
        processes = sum(map(self.live, self.processes))
        return Orders(frozenset(lost), tuple(cancels), kinds, processes)

    # --- maintaining ---

    def promote(self) -> int:
        """Everything due, with no limit; returns how many jobs changed state."""
        changed = 0
        for job in self.jobs.values():
            if self.expired(job):
                job.expire(self.now)
                changed += 1
            elif self.due(job):
                job.state = JobState.AVAILABLE
                changed += 1
        self.bundles.follow(self.now)
        return changed

    def rescue(self, request: Rescue) -> Rescued:
        running = [job for job in self.jobs.values() if job.state is JobState.RUNNING]
        lost = [job for job in running if job.claimed_by == request.dead]
        if request.dead is None:
            lost = [job for job in running if not self.live(job.claimed_by)]
        kept: set[str] = set()
        if request.dead is None and request.patience is not None:
            over = {one for one in self.processes if not self.live(one)}
            over |= {job.claimed_by or "" for job in lost}
            kept = doubted(self.processes, over, request.patience, self.now)
        gone = [job for job in lost if job.claimed_by not in kept]
        leases = tuple(job.lease() for job in gone)
        fates = [
            request.fate(
                (job.new.id, job.run),
                once=job.ruled.at_most_once,
                history=" ".join(run.message or "" for run in job.runs),
            )
            for job in gone
        ]
        for job, (counts, note) in zip(gone, fates, strict=True):
            job.give_back(self.now, interrupted=counts, note=note)
        self.bundles.follow(self.now)
        for process_id in [request.dead] if request.dead else list(self.processes):
            if request.dead or not (self.live(process_id) or process_id in kept):
                self.processes.pop(process_id, None)
        return Rescued(leases, tuple(counts for counts, _ in fates), len(lost) - len(gone))

    def prune(self) -> int:
        """Everything past its retention, with no limit; returns how many jobs went."""
        before = len(self.jobs)
        for job in [job for job in self.jobs.values() if self._past_retention(job)]:
            if later := self.bundles.stays(job, self.now):
                job.put_off = self.now + later
            else:
                del self.jobs[job.new.id]
        self.bundles.prune(self.now)
        return before - len(self.jobs)

    def elect(self, process_id: str, lease: int) -> bool:
        held = self.leader is not None and self.leader[1] > self.now
        if held and self.leader is not None and self.leader[0] != process_id:
            return False
        self.leader = (process_id, self.now + lease)
        return True

    # --- inspecting ---

    def expect(self, ids: Sequence[str], keep: int) -> frozenset[str]:
        live = [self.jobs[one] for one in ids if one in self.jobs]
        live = [job for job in live if job.state not in ENDED]
        for job in live:
            kept = job.new.keep_result
            if kept is not None:
                job.new = msgspec.structs.replace(job.new, keep_result=max(kept, keep))
        return frozenset(job.new.id for job in live)

    def cancel(self, ids: Sequence[str], reason: str | None) -> Changed:
        changed: list[str] = []
        requested: list[str] = []
        skipped: list[str] = []
        for job_id in ids:
            job = self.jobs.get(job_id)
            if job is None or job.state in ENDED:
                skipped.append(job_id)
            elif job.state is JobState.RUNNING:
                job.cancel_requested = True
                job.reason = reason
                requested.append(job_id)
            else:
                job.end(self.now, JobState.CANCELLED, reason)
                changed.append(job_id)
        self.bundles.follow(self.now)
        return Changed(tuple(changed), tuple(requested), tuple(skipped))

    def retry(self, ids: Sequence[str]) -> Changed:
        held = [job_id for job_id in ids if self._must_wait(job_id, ids)]
        changed = self._each([job_id for job_id in ids if job_id not in held], self._again)
        self.bundles.follow(self.now)
        return msgspec.structs.replace(changed, held=tuple(held))

    def delete(self, ids: Sequence[str]) -> Changed:
        return self._each(ids, self._remove)

    def move(self, ids: Sequence[str], queue: str) -> Changed:
        def move(job: ModelJob) -> bool:
            if job.state in ENDED or job.state is JobState.RUNNING:
                return False
            job.queue = queue
            return True

        return self._each(ids, move)

    def set_kind(self, request: SetKind) -> None:
        self.restraints.kinds.pop(request.kind, None)
        if request.paused:
            wait = request.pause_for
            self.restraints.kinds[request.kind] = None if wait is None else self.now + wait

    def set_limit(self, request: SetLimit) -> None:
        self.restraints.settings.pop(request.name, None)
        if request.setting is not None:
            self.restraints.settings[request.name] = request.setting

    def set_queue(self, request: SetQueue) -> None:
        self.paused.pop(request.name, None)
        if request.paused:
            wait = request.pause_for
            self.paused[request.name] = None if wait is None else self.now + wait

    # --- what a test asks of the model ---

    def live(self, process_id: str | None) -> bool:
        return self.processes.get(process_id or "", 0) > self.now

    def due(self, job: ModelJob) -> bool:
        return job.state in _DUE_LATER and job.scheduled_at <= self.now

    def expired(self, job: ModelJob) -> bool:
        waits = job.state is JobState.AVAILABLE or job.state is JobState.SCHEDULED
        never_started = waits and job.attempted_at is None
        return never_started and job.expires_at is not None and job.expires_at <= self.now

    def due_in(self, request: ClaimRequest) -> tuple[float, float]:
        """The least and the most that a claim which came back with room may say.

        A job that waits for a rate or a kind must be told of when its lines are served; whether it
        is when others are, depends on whether anybody has met it.
        """
        self.restraints.now = self.now
        later = [
            job.scheduled_at
            for job in self.jobs.values()
            if job.state in _DUE_LATER and not self.due(job) and not self.expired(job)
        ]
        waiting = [
            job
            for job in self.jobs.values()
            if job.parked is None and (job.state is JobState.AVAILABLE or self.due(job))
        ]
        may = [at for job in waiting for at in self.restraints.may_open(job) if at > self.now]
        served = [job for job in waiting if self._ready(job) and self._serves(request, job)]
        rated = sum(job.rated for job in self.jobs.values() if self._carries(job, request))
        must = [at for at in map(self.restraints.opens, served) if at is not None]
        must = must if rated < request.free else []
        none = float("inf")
        least = min([*later, *may], default=none)
        return (least - self.now, min([*later, *must], default=none) - self.now)

    def in_use(self) -> dict[str, int]:
        """How much of each limit of a stored job is used."""
        self.restraints.now = self.now
        found = (limit for job in self.jobs.values() for limit in self.restraints.limits(job))
        return {limit.key: self.restraints.used(limit) for limit in found}

    def holds(self, lease: Lease) -> bool:
        """Whether an ending with this lease is answered as held."""
        job = self.jobs.get(lease.job_id)
        return job is not None and (self._held(lease) is not None or job.told == lease)

    def follow(self, seen: Mapping[str, JobRecord]) -> None:
        """Take over what the seam leaves to the store."""
        gone: list[str] = []
        for job in self.jobs.values():
            record = seen.get(job.new.id)
            if record is None:
                if self.expired(job):
                    job.expire(self.now)
                gone += [job.new.id] if job.kept_for(self.retention) == 0 else []
                continue
            if record.state is JobState.AVAILABLE and self.due(job):
                job.state = JobState.AVAILABLE
            elif record.state is JobState.CANCELLED and self.expired(job):
                job.expire(self.now)
            if len(record.runs) < len(job.runs):
                told = {line.run for line in record.runs}
                job.runs = tuple(
                    line for line in job.runs if line.run in told or line.why is not Why.RELEASED
                )
        for job_id in gone:
            self.vague.update(filter(None, [self.jobs.pop(job_id).told]))
        self.bundles.follow(self.now)

    # --- parts ---

    def _running_of(self, process_id: str) -> list[ModelJob]:
        return [
            job
            for job in self.jobs.values()
            if job.state is JobState.RUNNING and job.claimed_by == process_id
        ]

    def _take(self, request: ClaimRequest) -> list[ModelJob]:
        taken: list[ModelJob] = []
        self.restraints.now = self.now

        def take(job: ModelJob) -> bool:
            no_slot = job.rated and sum(one.rated for one in taken) >= request.free
            if no_slot or len(taken) >= request.wanted:
                return False
            self._start(job, request)
            taken.append(job)
            return True

        for among in self._lines(request):
            if not self.restraints.walk(among, take, turns=not request.parked_kinds):
                break
        return taken

    def _start(self, job: ModelJob, request: ClaimRequest) -> None:
        self.restraints.start(job)
        if job.ruled.hold is not None and job.ruled.hold.until_started:
            job.key = None
        job.state = JobState.RUNNING
        job.run += 1
        job.claimed_by = request.process_id
        job.claim_id = request.claim_id
        job.claimed_at = self.now
        job.attempted_at = job.attempted_at or self.now
        job.parked = job.parked_by = job.told = None

    def _lines(self, request: ClaimRequest) -> Iterable[Callable[[], list[ModelJob]]]:
        """What waits in each line, whenever it is asked for."""

        def parked() -> list[ModelJob]:
            return [
                job
                for job in self.jobs.values()
                if self._ready(job)
                and job.parked is not None
                and job.new.kind in request.parked_kinds
                and job.parked_by != request.kinds_digest
            ]

        def waiting(line: Line) -> list[ModelJob]:
            return [
                job
                for job in self.jobs.values()
                if self._ready(job) and job.parked is None and serves(line, job.queue)
            ]

        lines = [functools.partial(waiting, line) for line in request.lines]
        return [parked] if request.parked_kinds else lines

    def _serves(self, request: ClaimRequest, job: ModelJob) -> bool:
        return any(serves(line, job.queue) for line in request.lines)

    def _carries(self, job: ModelJob, request: ClaimRequest) -> bool:
        mine = (job.claimed_by, job.claim_id) == (request.process_id, request.claim_id)
        return mine and job.state is JobState.RUNNING

    def _ready(self, job: ModelJob) -> bool:
        waits = job.state is JobState.AVAILABLE or self.due(job)
        return waits and not self.expired(job) and not self.is_paused(job.queue)

    def is_paused(self, queue: str) -> bool:
        if queue not in self.paused:
            return False
        until = self.paused[queue]
        return until is None or until > self.now

    def _held(self, lease: Lease) -> ModelJob | None:
        job = self.jobs.get(lease.job_id)
        held = job is not None and job.state is JobState.RUNNING and job.lease() == lease
        return job if held else None

    def _end(self, ending: Ending) -> bool:
        job = self._held(ending.lease)
        if job is None:
            return self.holds(ending.lease)
        job.told = ending.lease
        once = ending.interrupted and job.ruled.at_most_once and ending.to is JobState.AVAILABLE
        job.failures += ending.failed
        job.interruptions += ending.interrupted
        job.budgets = ending.budgets or job.budgets
        asked = job.reason if job.cancel_requested else None
        job.reason = ending.reason
        if ending.entry is not None:
            job.runs = kept_runs((*job.runs, ending.entry))
        if job.cancel_requested and ending.to not in {JobState.SUCCEEDED, JobState.DEAD}:
            # Whatever the run says, it will not be tried again: a person wanted it to end.
            job.end(self.now, JobState.CANCELLED, asked)
            return True
        if once:
            job.end(self.now, JobState.DEAD, "interrupted")
            return True
        if ending.to in ENDED:
            job.result, job.result_error = ending.result, ending.result_error
            job.end(self.now, ending.to, ending.reason)
            return True
        job.state = ending.to
        job.claimed_at = None
        job.scheduled_at = job.scheduled_at if ending.at is None else ending.at
        job.parked, job.parked_by = ending.parked, ending.parked_by
        job.queue = ending.queue or job.queue
        job.priority = job.priority if ending.priority is None else ending.priority
        return True

    def _each(self, ids: Sequence[str], verb: Callable[[ModelJob], bool]) -> Changed:
        changed: list[str] = []
        skipped: list[str] = []
        for job_id in ids:
            job = self.jobs.get(job_id)
            (changed if job is not None and verb(job) else skipped).append(job_id)
        return Changed(changed=tuple(changed), skipped=tuple(skipped))

    def _again(self, job: ModelJob) -> bool:
        ended = job.state in ENDED
        if ended:
            if job.key_again is not None:
                job.hold(self.now)
            job.failures = job.interruptions = 0
            job.finalized_at = job.reason = job.result = job.result_error = None
            if job.told is not None:
                self.vague.add(job.told)
            if job.expires_at is not None and job.expires_at <= self.now:
                job.expires_at = None
        elif job.state not in _DUE_LATER:
            return False
        job.scheduled_at = self.now
        if not ended or not job.ruled.after or job.attempted_at is not None:
            job.state = JobState.AVAILABLE
        elif self.bundles.may_go(job):
            self.bundles.fill(job)
            job.state = JobState.AVAILABLE
        else:
            job.state = JobState.WAITING
        return True

    def _remove(self, job: ModelJob) -> bool:
        if job.state is JobState.RUNNING or self.bundles.is_bound(job):
            return False
        del self.jobs[job.new.id]
        return True

    def _past_retention(self, job: ModelJob) -> bool:
        kept = job.kept_for(self.retention)
        return kept is not None and (job.put_off or (job.finalized_at or 0) + kept) <= self.now
