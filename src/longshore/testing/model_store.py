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

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from longshore.core.model import (
    ENDED,
    Claimed,
    Ending,
    Inserted,
    JobRecord,
    JobState,
    Lease,
    NewJob,
    Patch,
    Progress,
    Run,
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

_DUE_LATER: Final = frozenset({JobState.SCHEDULED, JobState.RETRYING})


class ModelJob(msgspec.Struct):
    """One job as the model remembers it."""

    new: NewJob
    queue: str
    priority: int
    state: JobState
    scheduled_at: int
    expires_at: int | None
    run: int = 0
    failures: int = 0
    interruptions: int = 0
    attempted_at: int | None = None
    claimed_at: int | None = None
    finalized_at: int | None = None
    claimed_by: str | None = None
    claim_id: int = 0
    cancel_requested: bool = False
    parked: str | None = None
    parked_by: str | None = None
    reason: str | None = None
    result: bytes | None = None
    result_error: str | None = None
    budgets: bytes | None = None
    progress: Progress | None = None
    runs: tuple[Run, ...] = ()
    #: The last lease whose ending was taken; ``None`` once the run was taken from its process.
    told: Lease | None = None

    @property
    def place(self) -> tuple[int, int, str]:
        """Where it stands in its line."""
        return (self.priority, self.scheduled_at, self.new.id)

    def lease(self) -> Lease:
        """The lease of the present run; only for a running job."""
        assert self.claimed_by is not None
        return Lease(self.new.id, self.claimed_by, self.run)


class ModelStore:
    """Jobs, processes and queues in dictionaries; the test moves ``now`` (microseconds)."""

    def __init__(self, retention: Retention, now: int) -> None:
        self.retention = retention
        self.now = now
        self.jobs: dict[str, ModelJob] = {}
        #: When the lease of each process ends.
        self.processes: dict[str, int] = {}
        self.paused: dict[str, int | None] = {}
        self.leader: tuple[str, int] | None = None
        #: Leases of runs whose jobs a person made to run again, or of which nothing is kept: the
        #: seam does not say how an ending that arrives twice is answered then.
        self.vague: set[Lease] = set()

    # --- producing and consuming ---

    def insert(self, jobs: Sequence[NewJob]) -> tuple[Inserted, ...]:
        fresh: dict[str, NewJob] = {}
        answers: list[Inserted] = []
        for job in jobs:
            stored = self.jobs.get(job.id)
            known = fresh.get(job.id) if stored is None else stored.new
            if known is None:
                fresh[job.id] = job
                answers.append(Inserted(job.id))
            elif (known.kind, known.payload) == (job.kind, job.payload):
                answers.append(Inserted(job.id, duplicate=True))
            else:
                answers.append(Inserted(job.id, conflict=True))
        if not any(answer.conflict for answer in answers):
            for job in fresh.values():
                place = (job.queue, job.priority, job.state, job.scheduled_at)
                self.jobs[job.id] = ModelJob(job, *place, job.expires_at)
        return tuple(answers)

    def register(self, process: NewProcess) -> None:
        self.processes[process.id] = self.now + process.lease

    def claim(self, request: ClaimRequest) -> Claim:
        if not self.live(request.process_id):
            return Claim(live=False)
        carried = [
            job for job in self._running_of(request.process_id) if job.claim_id == request.claim_id
        ]
        taken = carried or self._take(request)
        full = len(taken) >= request.wanted
        return Claim(
            live=True,
            jobs=tuple(_claimed(job) for job in taken),
            due_in=None if full else self.due_in(),
        )

    def finish(self, endings: Sequence[Ending]) -> frozenset[Lease]:
        return frozenset(ending.lease for ending in endings if self._end(ending))

    def exchange(self, endings: Sequence[Ending], request: ClaimRequest) -> Exchanged:
        return Exchanged(self.finish(endings), self.claim(request))

    def save(self, patches: Sequence[Patch]) -> frozenset[Lease]:
        held: set[Lease] = set()
        for patch in patches:
            job = self._held(patch.lease)
            if job is not None:
                job.progress = patch.progress
                held.add(patch.lease)
        return frozenset(held)

    def beat(self, beat: Beat) -> Orders:
        lost: set[str] = set()
        cancels: list[Lease] = []
        for told in beat.processes:
            if not self.live(told.id):
                lost.add(told.id)
                continue
            if beat.lease is not None:
                self.processes[told.id] = self.now + beat.lease
            for job in self._running_of(told.id):
                if job.claim_id < told.oldest_claim:
                    self._give_back(job, interrupted=False)
                elif job.cancel_requested:
                    cancels.append(job.lease())
        kinds = frozenset(job.new.kind for job in self.jobs.values() if job.parked is not None)
        return Orders(lost=frozenset(lost), cancels=tuple(cancels), parked_kinds=kinds)

    # --- maintaining ---

    def promote(self) -> int:
        """Everything due, with no limit; returns how many jobs changed state."""
        changed = 0
        for job in self.jobs.values():
            if self.expired(job):
                self._expire(job)
                changed += 1
            elif self.due(job):
                job.state = JobState.AVAILABLE
                changed += 1
        return changed

    def rescue(self, request: Rescue) -> Rescued:
        gone = [
            job
            for job in self.jobs.values()
            if job.state is JobState.RUNNING
            and (job.claimed_by == request.dead if request.dead else not self.live(job.claimed_by))
        ]
        leases = tuple(job.lease() for job in gone)
        interrupted = tuple(
            request.started is None or (job.new.id, job.run) in request.started for job in gone
        )
        for job, counted in zip(gone, interrupted, strict=True):
            self._give_back(job, interrupted=counted)
        if request.dead is not None:
            self.processes.pop(request.dead, None)
        return Rescued(leases, interrupted)

    def prune(self) -> int:
        """Everything past its retention, with no limit; returns how many jobs went."""
        gone = [job.new.id for job in self.jobs.values() if self._past_retention(job)]
        for job_id in gone:
            del self.jobs[job_id]
        return len(gone)

    def elect(self, process_id: str, lease: int) -> bool:
        held = self.leader is not None and self.leader[1] > self.now
        if held and self.leader is not None and self.leader[0] != process_id:
            return False
        self.leader = (process_id, self.now + lease)
        return True

    # --- inspecting ---

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
                self._finalize(job, JobState.CANCELLED)
                job.reason = reason
                changed.append(job_id)
        return Changed(tuple(changed), tuple(requested), tuple(skipped))

    def retry(self, ids: Sequence[str]) -> Changed:
        return self._each(ids, self._again)

    def delete(self, ids: Sequence[str]) -> Changed:
        return self._each(ids, self._remove)

    def move(self, ids: Sequence[str], queue: str) -> Changed:
        def move(job: ModelJob) -> bool:
            if job.state in ENDED or job.state is JobState.RUNNING:
                return False
            job.queue = queue
            return True

        return self._each(ids, move)

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

    def due_in(self) -> int | None:
        later = [
            job.scheduled_at - self.now
            for job in self.jobs.values()
            if job.state in _DUE_LATER and not self.due(job) and not self.expired(job)
        ]
        return min(later, default=None)

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
                    self._expire(job)
                gone += [job.new.id] if self._kept_for(job) == 0 else []
                continue
            if record.state is JobState.AVAILABLE and self.due(job):
                job.state = JobState.AVAILABLE
            elif record.state is JobState.CANCELLED and self.expired(job):
                self._expire(job)
            if len(record.runs) < len(job.runs):
                told = {line.run for line in record.runs}
                job.runs = tuple(
                    line for line in job.runs if line.run in told or line.why is not Why.RELEASED
                )
        for job_id in gone:
            self.vague.update(filter(None, [self.jobs.pop(job_id).told]))

    # --- parts ---

    def _running_of(self, process_id: str) -> list[ModelJob]:
        return [
            job
            for job in self.jobs.values()
            if job.state is JobState.RUNNING and job.claimed_by == process_id
        ]

    def _take(self, request: ClaimRequest) -> list[ModelJob]:
        taken: list[ModelJob] = []
        for chosen in self._lines(request):
            for job in sorted(chosen, key=lambda job: job.place):
                if len(taken) < request.wanted and job not in taken:
                    taken.append(job)
        for job in taken:
            job.state = JobState.RUNNING
            job.run += 1
            job.claimed_by = request.process_id
            job.claim_id = request.claim_id
            job.claimed_at = self.now
            job.attempted_at = job.attempted_at or self.now
            job.parked = job.parked_by = job.told = None
        return taken

    def _lines(self, request: ClaimRequest) -> Iterable[list[ModelJob]]:
        ready = [job for job in self.jobs.values() if self._ready(job)]
        if request.parked_kinds:
            yield [
                job
                for job in ready
                if job.parked is not None
                and job.new.kind in request.parked_kinds
                and job.parked_by != request.kinds_digest
            ]
            return
        for line in request.lines:
            yield [job for job in ready if job.parked is None and serves(line, job.queue)]

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
        job.failures += ending.failed
        job.interruptions += ending.interrupted
        job.budgets = ending.budgets or job.budgets
        asked = job.reason if job.cancel_requested else None
        job.reason = ending.reason
        if ending.entry is not None:
            job.runs = kept_runs((*job.runs, ending.entry))
        if job.cancel_requested and ending.to not in {JobState.SUCCEEDED, JobState.DEAD}:
            # Whatever the run says, it will not be tried again: a person wanted it to end.
            self._finalize(job, JobState.CANCELLED)
            job.reason = asked
            return True
        if ending.to in ENDED:
            job.result, job.result_error = ending.result, ending.result_error
            self._finalize(job, ending.to)
            return True
        job.state = ending.to
        job.claimed_at = None
        job.scheduled_at = job.scheduled_at if ending.at is None else ending.at
        job.parked, job.parked_by = ending.parked, ending.parked_by
        job.queue = ending.queue or job.queue
        job.priority = job.priority if ending.priority is None else ending.priority
        return True

    def _finalize(self, job: ModelJob, state: JobState) -> None:
        job.state = state
        job.finalized_at = self.now
        job.claimed_at = job.parked = job.parked_by = job.budgets = None
        job.cancel_requested = False

    def _expire(self, job: ModelJob) -> None:
        self._finalize(job, JobState.CANCELLED)
        job.reason = "expired"

    def _give_back(self, job: ModelJob, *, interrupted: bool) -> None:
        assert job.claimed_by is not None
        entry = Run(
            run=job.run,
            process=job.claimed_by,
            started_at=job.claimed_at or 0,
            ended_at=self.now,
            why=Why.INTERRUPTED if interrupted else Why.RELEASED,
        )
        job.interruptions += interrupted
        job.runs = kept_runs((*job.runs, entry))
        if job.cancel_requested:
            self._finalize(job, JobState.CANCELLED)
        else:
            job.state = JobState.AVAILABLE
        job.claimed_by = job.claimed_at = job.told = None

    def _each(self, ids: Sequence[str], verb: Callable[[ModelJob], bool]) -> Changed:
        changed: list[str] = []
        skipped: list[str] = []
        for job_id in ids:
            job = self.jobs.get(job_id)
            (changed if job is not None and verb(job) else skipped).append(job_id)
        return Changed(changed=tuple(changed), skipped=tuple(skipped))

    def _again(self, job: ModelJob) -> bool:
        if job.state in ENDED:
            job.failures = job.interruptions = 0
            job.finalized_at = job.reason = job.result = job.result_error = None
            if job.told is not None:
                self.vague.add(job.told)
            if job.expires_at is not None and job.expires_at <= self.now:
                job.expires_at = None
        elif job.state not in _DUE_LATER:
            return False
        job.state = JobState.AVAILABLE
        job.scheduled_at = self.now
        return True

    def _remove(self, job: ModelJob) -> bool:
        if job.state is JobState.RUNNING:
            return False
        del self.jobs[job.new.id]
        return True

    def _past_retention(self, job: ModelJob) -> bool:
        kept = self._kept_for(job)
        return kept is not None and (job.finalized_at or 0) + kept <= self.now

    def _kept_for(self, job: ModelJob) -> int | None:
        """How long it stays after its end; ``None`` for ever, and while it has not ended."""
        match job.state:
            case JobState.SUCCEEDED:
                by_state = self.retention.succeeded
            case JobState.CANCELLED:
                by_state = self.retention.cancelled
            case JobState.DEAD:
                by_state = self.retention.dead
            case _:
                return None
        by_job = job.new.keep_result
        return None if by_state is None or by_job is None else max(by_state, by_job)


def serves(line: Line, queue: str) -> bool:
    """Whether a line takes jobs of this queue."""
    return _matches(line.queues, queue) and not _matches(line.excludes, queue)


def kept_runs(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """The first 20 and the last 80."""
    return runs if len(runs) <= 100 else (*runs[:20], *runs[-80:])


def _matches(names: Iterable[str], queue: str) -> bool:
    return any(
        queue.startswith(name[:-1]) if name.endswith("*") else queue == name for name in names
    )


def _claimed(job: ModelJob) -> Claimed:
    own = ("run", "queue", "priority", "failures", "interruptions", "scheduled_at", "budgets")
    given = (
        "id",
        "kind",
        "payload",
        "max_attempts",
        "created_at",
        "timeout",
        "keep_result",
        "tags",
    )
    fields: dict[str, Any] = {name: getattr(job, name) for name in own}
    fields |= {name: getattr(job.new, name) for name in given}
    return Claimed(**fields, claimed_at=job.claimed_at or 0, meta=None)
