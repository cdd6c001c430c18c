"""How Redis stores jobs: one script for a request, and what it says of jobs already there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from longshore.core.model import (
    Inserted,
    JobState,
    NewJob,
)
from longshore.core.store import (
    Retention,
    operation,
)
from longshore.errors import EnqueueUncertain, PartlyEnqueued
from longshore.stores.redis.faults import Then, meaning
from longshore.stores.redis.scripts import SCRIPTS, Steps, Value
from longshore.stores.redis.wire import Lost, Refused, Unreplicated
from longshore.stores.redis.words import TEXT, line_of, text, word

#: So many jobs are stored by one script; more would keep everybody else waiting for too long.
MOST: Final = 10_000

#: An ended job that is kept for less than this, microseconds, may be gone when a request is
#: repeated: it would be stored anew.
REPEATABLE: Final = 60_000_000


class Core:
    """What every operation stands on."""

    def __init__(self, retention: Retention) -> None:
        self.retention = retention
        #: The watches of this store that wait for work, to be told of it by the claims.
        self.ears: tuple[str, ...] = ()


class Producing(Core):
    """Storing jobs."""

    @operation(writes=True)
    def insert(self, jobs: Sequence[NewJob]) -> Steps[Sequence[Inserted]]:
        """Store jobs, all or none; of more than :data:`MOST` in parts, having looked at all."""
        first: dict[str, NewJob] = {}
        for job in jobs:
            first.setdefault(job.id, job)
        # Two that contradict each other in one request: nothing is written.
        agreed = all(_same(first[job.id], job) for job in jobs) if len(first) < len(jobs) else True
        fresh: list[NewJob] = list(first.values()) if agreed else []
        there: dict[str, tuple[str, bytes]] = {}
        stored: list[str] = []
        if len(fresh) > MOST:
            for part in _parts(fresh):
                _note(there, part, (yield SCRIPTS["known"](*(job.id for job in part))))
            fresh = _left(jobs, fresh, there)
        while fresh:
            part = fresh[:MOST]
            try:
                found: Any = yield from self._insert(part)
            except Refused as refused:
                if stored and meaning(refused)[0] is Then.TELL:
                    raise PartlyEnqueued(_partly(stored, first, refused), stored) from refused
                raise
            if found == 1:
                stored += [job.id for job in part]
                fresh = fresh[MOST:]
            else:
                _note(there, part, found)
                fresh = _left(jobs, fresh, there)
        return _answers(jobs, there)

    def _insert(self, jobs: Sequence[NewJob]) -> Steps[Any]:
        try:
            return (yield SCRIPTS["insert"](*_insertion(jobs)))
        except Lost as lost:
            if lost.sent and not all(map(self._repeatable, jobs)):
                raise EnqueueUncertain(
                    f"the connection broke before the store said whether {_these(jobs)} was"
                    " written; jobs that are kept for less than a minute after their end are not"
                    " sent twice. Enqueueing the same id again is safe while it waits.",
                    jobs[0].id,
                ) from lost
            raise
        except Unreplicated as short:
            raise EnqueueUncertain(
                f"{_these(jobs)} is written, but {short}; a failover may lose it. Enqueueing the"
                " same id again is safe.",
                jobs[0].id,
            ) from short

    def _repeatable(self, job: NewJob) -> bool:
        kept = (self.retention.succeeded, self.retention.cancelled, self.retention.dead)
        return job.keep_result is None or all(
            state is None or max(state, job.keep_result) >= REPEATABLE for state in kept
        )


def _insertion(jobs: Sequence[NewJob]) -> list[Value]:
    """The values of the script ``insert``, in the ranges in which it hands them on."""
    if len(jobs) == 1:
        job = jobs[0]
        if job.state is JobState.AVAILABLE and job.expires_at is None:
            return _one(job)
    ids: list[Value] = []
    lines: list[Value] = []
    payloads: list[Value] = []
    queues: dict[str, list[Value]] = {}
    timed: list[Value] = []
    expiring: list[Value] = []
    counts: dict[str, int] = {}
    for job in jobs:
        job_id, state = job.id, job.state
        queue, kind = word(job.queue), word(job.kind)
        ids += ("0", job_id)
        payloads += (job_id, job.payload)
        if state is JobState.AVAILABLE:
            lines += (job_id, line_of(job, "available", queue, kind))
            members = queues.get(queue)
            if members is None:
                members = queues[queue] = []
            members += (str(job.priority), f"{job.scheduled_at:016d}{job_id}")
            sort = f"{queue} {kind} available"
        else:
            lines += (job_id, line_of(job, TEXT[state], queue, kind))
            sort = f"{queue} {kind} {TEXT[state]}"
            if state is not JobState.WAITING:
                timed += (str(job.scheduled_at), job_id)
        if job.expires_at is not None:
            expiring += (str(job.expires_at), job_id)
        counts[sort] = counts.get(sort, 0) + 1
    sizes = (len(jobs), len(queues), len(timed) // 2, len(expiring) // 2, len(counts))
    args: list[Value] = [*sizes, *ids, *lines, *payloads]
    for queue, members in queues.items():
        args += (queue, len(members) // 2)
        args += members
    args += timed
    args += expiring
    for sort, number in counts.items():
        args += (sort, number)
    return args


def _one(job: NewJob) -> list[Value]:
    """The same for one job that can run at once: the way of most enqueues."""
    job_id, queue, kind = job.id, word(job.queue), word(job.kind)
    line = line_of(job, "available", queue, kind)
    return [
        *(1, 1, 0, 0, 1, "0", job_id, job_id, line, job_id, job.payload),
        *(queue, 1, str(job.priority), f"{job.scheduled_at:016d}{job_id}"),
        *(f"{queue} {kind} available", 1),
    ]


def _parts(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    for at in range(0, len(jobs), MOST):
        yield jobs[at : at + MOST]


def _note(there: dict[str, tuple[str, bytes]], jobs: Sequence[NewJob], found: Any) -> None:
    """Remember the kind and payload of those that are there already."""
    for job, line, payload in zip(jobs, *found, strict=True):
        if line is not None:
            there[job.id] = (text(line.split(b" ", 10)[9]), payload)


def _left(
    jobs: Sequence[NewJob], fresh: list[NewJob], there: Mapping[str, tuple[str, bytes]]
) -> list[NewJob]:
    """What is to be stored still: nothing, if one of those that are there is another job."""
    if any(there[job.id] != (job.kind, job.payload) for job in jobs if job.id in there):
        return []
    return [job for job in fresh if job.id not in there]


def _partly(stored: Sequence[str], jobs: Collection[str], why: Exception) -> str:
    return (
        f"{len(stored)} of {len(jobs)} jobs were stored, the others were not ({why}). Enqueueing"
        " all of them again under the same ids stores the rest."
    )


def _answers(jobs: Sequence[NewJob], there: Mapping[str, tuple[str, bytes]]) -> Sequence[Inserted]:
    """One for each job; of two with one id in a request the first is the job."""
    if not there and len({job.id for job in jobs}) == len(jobs):
        return [Inserted(job.id) for job in jobs]
    known = dict(there)
    answers: list[Inserted] = []
    for job in jobs:
        found = known.get(job.id)
        if found is None:
            known[job.id] = (job.kind, job.payload)
            answers.append(Inserted(job.id))
        else:
            same = found == (job.kind, job.payload)
            answers.append(Inserted(job.id, duplicate=same, conflict=not same))
    return answers


def _same(one: NewJob, other: NewJob) -> bool:
    return one.kind == other.kind and one.payload == other.payload


def _these(jobs: Sequence[NewJob]) -> str:
    return f"job {jobs[0].id}" if len(jobs) == 1 else f"a request of {len(jobs)} jobs"
