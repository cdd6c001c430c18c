"""How Redis stores jobs: one script for a request, and what it says of jobs already there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import json, msgpack

from longshore.core.batches import replacing
from longshore.core.limits import Hold, OnConflict
from longshore.core.model import (
    Inserted,
    JobState,
    NewJob,
)
from longshore.core.store import Retention
from longshore.errors import EnqueueUncertain, PartlyEnqueued
from longshore.stores.redis.faults import Then, meaning
from longshore.stores.redis.scripts import SCRIPTS, Steps, Value
from longshore.stores.redis.wire import Lost, Refused, Unreplicated
from longshore.stores.redis.words import (
    SMALL,
    TEXT,
    flags_of,
    line_of,
    parted,
    text,
    with_payload,
    word,
)

#: So many jobs are stored by one script; more would keep everybody else waiting for too long.
MOST: Final = 10_000

#: The first own value of a script is ARGV[4].
AHEAD: Final = 4

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

    def stored(self, jobs: Sequence[NewJob]) -> Steps[Sequence[Inserted]]:
        """Store jobs, all or none; of more than :data:`MOST` in parts, having looked at all."""
        first: dict[str, NewJob] = {}
        for job in jobs:
            first.setdefault(job.id, job)
        # Two that contradict each other in one request: nothing is written.
        agreed = all(same(first[job.id], job) for job in jobs) if len(first) < len(jobs) else True
        fresh: list[NewJob] = list(first.values()) if agreed else []
        there: dict[str, tuple[str, bytes]] = {}
        stored: list[str] = []
        held: dict[str, Inserted] = {}
        if len(fresh) > MOST:
            for part in _parts(fresh):
                _note(there, part, (yield SCRIPTS["known"](*(job.id for job in part))))
            fresh = _left(jobs, fresh, there)
            held = yield from self._refused(fresh)
            fresh = [] if held else fresh
        while fresh:
            part = fresh[:MOST]
            found: Any = yield from self._inserted(part, first, there, stored)
            if found == 1:
                stored += [job.id for job in part]
                fresh = fresh[MOST:]
            elif isinstance(found[0], int):
                held |= _met(part, found)
                stored += [job.id for job in part if job.id not in held]
                fresh = fresh[MOST:] if found[0] else []
            else:
                _note(there, part, found)
                fresh = _left(jobs, fresh, there)
        if not agreed or _contradicts(jobs, there):
            # Nothing was written; tell of all for which that would have been so.
            held = yield from self._refused([job for job in first.values() if job.id not in there])
        return _answers(jobs, there, held)

    def _inserted(
        self,
        part: Sequence[NewJob],
        jobs: Collection[str],
        there: Collection[str],
        stored: Sequence[str],
    ) -> Steps[Any]:
        """What the script said of one part, after those that were there or were stored."""
        try:
            return (yield from self._insert(part))
        except Refused as refused:
            if stored and meaning(refused)[0] is Then.TELL:
                raise PartlyEnqueued(_partly(stored, jobs, refused), stored) from refused
            raise
        except Lost as lost:
            # Whoever tries again finds them; whoever gives up has to tell of them.
            lost.stored = (*there, *stored)
            raise

    def refusals(self, jobs: Sequence[NewJob]) -> Steps[Sequence[Inserted]]:
        """The answers to a request in parts of which some would be refused; else nothing."""
        there: dict[str, tuple[str, bytes]] = {}
        for part in _parts(jobs):
            _note(there, part, (yield SCRIPTS["known"](*(job.id for job in part))))
        held = yield from self._refused([job for job in jobs if job.id not in there])
        return _answers(jobs, there, held) if held or _contradicts(jobs, there) else ()

    def _refused(self, jobs: Sequence[NewJob]) -> Steps[dict[str, Inserted]]:
        """Those of many jobs that may not be stored because their unique key is held."""
        strict = [(job, hold) for job, hold in _holds(jobs) if hold.on_conflict is OnConflict.RAISE]
        holders: dict[str, str] = {}
        for at in range(0, len(strict), MOST):
            keys = [hold.key for _, hold in strict[at : at + MOST]]
            found: list[bytes | None] = yield SCRIPTS["holders"](*keys)
            for key, holder in zip(keys, found, strict=True):
                if holder is not None:
                    holders[key] = holder.decode()
        refused: dict[str, Inserted] = {}
        for job, hold in _holds(jobs):
            met = holders.setdefault(hold.key, job.id)
            if met != job.id and hold.on_conflict is OnConflict.RAISE:
                refused[job.id] = Inserted(met, held=True, conflict=True)
        return refused

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
    if len(jobs) == 1 and _is_plain(jobs[0]):
        return _one(jobs[0])
    plain = [job for job in jobs if job.rules is None]
    sizes, body = _ranges(plain)
    args: list[Value] = [len(jobs), *sizes, 0]
    others = len(args) - 1
    for job in jobs:
        args += ("0", job.id)
    args += body
    if len(plain) < len(jobs):
        args[others] = len(args) + AHEAD
        ruled = [job for job in jobs if job.rules is not None]
        args.append(msgpack.encode([packed_job(job) for job in ruled]))
        args += [job.payload for job in ruled]
    return args


def _ranges(jobs: Sequence[NewJob]) -> tuple[tuple[int, ...], list[Value]]:
    """The ranges of jobs without rules, and how long they are."""
    lines: list[Value] = []
    large: list[Value] = []
    queues: dict[str, list[Value]] = {}
    timed: list[Value] = []
    expiring: list[Value] = []
    names: list[Value] = []
    counts: dict[str, int] = {}
    for job in jobs:
        job_id, state = job.id, job.state
        queue, kind = word(job.queue), word(job.kind)
        if len(job.payload) > SMALL:
            lines += (job_id, line_of(job, TEXT[state], queue, kind))
            large += (job_id, job.payload)
        else:
            lines += (job_id, with_payload(job, TEXT[state], queue, kind))
        if state is JobState.AVAILABLE:
            members = queues.get(queue)
            if members is None:
                members = queues[queue] = []
            members += (str(job.priority), f"{job.scheduled_at:016d}{job_id}")
        elif state is not JobState.WAITING:
            timed += (str(job.scheduled_at), job_id)
        if job.expires_at is not None:
            expiring += (str(job.expires_at), job_id)
        if job.identity is not None:
            names += (job_id, word(job.identity))
        sort = f"{queue} {kind} {TEXT[state]}"
        counts[sort] = counts.get(sort, 0) + 1
    sizes = (
        *(len(jobs), len(large) // 2, len(queues), len(timed) // 2, len(expiring) // 2),
        *(len(counts), len(names) // 2),
    )
    args: list[Value] = [*lines, *large]
    for queue, members in queues.items():
        args += (queue, len(members) // 2)
        args += members
    args += timed
    args += expiring
    for sort, number in counts.items():
        args += (sort, number)
    args += names
    return sizes, args


def packed_job(job: NewJob) -> list[Any]:
    """A job as ``scripts/holding.lua`` reads it; what Lua would round is text."""
    queue, kind, rules = word(job.queue), word(job.kind), job.rules
    state, flags = TEXT[job.state], "-" if rules is None else flags_of(rules)
    hold = None if rules is None else rules.hold
    left = replacing(job) if hold is not None and hold.on_conflict is OnConflict.REPLACE else job
    on_conflict = OnConflict.RETURN if left is None else None if hold is None else hold.on_conflict
    return [
        job.id,
        line_of(job, state, queue, kind, flags).decode(),
        queue,
        kind,
        state,
        str(job.priority),
        str(job.scheduled_at),
        None if job.expires_at is None else str(job.expires_at),
        None if job.identity is None else word(job.identity),
        flags,
        None if rules is None else json.encode(rules).decode(),
        None if hold is None else hold.key,
        None if on_conflict is None else on_conflict.value,
        None if hold is None else hold.ttl,
        None if left is None or left is job else json.encode(left.rules).decode(),
    ]


def _is_plain(job: NewJob) -> bool:
    return (
        job.state is JobState.AVAILABLE
        and job.expires_at is None
        and job.rules is None
        and job.identity is None
    )


def _one(job: NewJob) -> list[Value]:
    """The same for one job that can run at once: the way of most enqueues."""
    job_id, queue, kind = job.id, word(job.queue), word(job.kind)
    large = len(job.payload) > SMALL
    body: list[Value]
    if large:
        body = [line_of(job, "available", queue, kind), job_id, job.payload]
    else:
        body = [with_payload(job, "available", queue, kind)]
    return [
        *(1, 1, int(large), 1, 0, 0, 1, 0, 0, "0", job_id, job_id, *body),
        *(queue, 1, str(job.priority), f"{job.scheduled_at:016d}{job_id}"),
        *(f"{queue} {kind} available", 1),
    ]


def _parts(jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    for at in range(0, len(jobs), MOST):
        yield jobs[at : at + MOST]


def _note(there: dict[str, tuple[str, bytes]], jobs: Sequence[NewJob], found: Any) -> None:
    """Remember the kind and payload of those that are there already."""
    for job, line, large in zip(jobs, *found, strict=True):
        if line is not None:
            words, payload = parted(line, large)
            there[job.id] = (text(words.split(b" ", 10)[9]), payload)


def _left(
    jobs: Sequence[NewJob], fresh: list[NewJob], there: Mapping[str, tuple[str, bytes]]
) -> list[NewJob]:
    """What is to be stored still: nothing, if one of those that are there is another job."""
    if _contradicts(jobs, there):
        return []
    return [job for job in fresh if job.id not in there]


def _contradicts(jobs: Sequence[NewJob], there: Mapping[str, tuple[str, bytes]]) -> bool:
    """Whether one of those that are there is another job under the same id."""
    return any(there[job.id] != (job.kind, job.payload) for job in jobs if job.id in there)


def _partly(stored: Sequence[str], jobs: Collection[str], why: Exception) -> str:
    return (
        f"{len(stored)} of {len(jobs)} jobs were stored, the others were not ({why}). Enqueueing"
        " all of them again under the same ids stores the rest."
    )


def torn(stored: Sequence[str], why: Exception) -> PartlyEnqueued:
    """What to raise when the connection is lost for good between the parts of a request."""
    text = (
        f"{why} {len(stored)} jobs of this call are stored; of the others some may be. Enqueueing"
        " all of them again under the same ids stores the rest."
    )
    return PartlyEnqueued(text, stored)


def _holds(jobs: Sequence[NewJob]) -> Iterator[tuple[NewJob, Hold]]:
    for job in jobs:
        if job.rules is not None and job.rules.hold is not None:
            yield job, job.rules.hold


def _met(jobs: Sequence[NewJob], found: Any) -> dict[str, Inserted]:
    """The answers for those whose unique key is held; ``found`` as the script says it."""
    stored, told = found
    ruled = [job.id for job in jobs if job.rules is not None]
    return {
        ruled[told[at]]: Inserted(
            told[at + 1].decode(),
            duplicate=stored == 1,
            conflict=stored == 0,
            held=True,
            replaced=told[at + 2] == 1,
        )
        for at in range(0, len(told), 3)
    }


def _answers(
    jobs: Sequence[NewJob], there: Mapping[str, tuple[str, bytes]], held: Mapping[str, Inserted]
) -> Sequence[Inserted]:
    """One for each job; of two with one id in a request the first is the job."""
    if not there and not held and len({job.id for job in jobs}) == len(jobs):
        return [Inserted(job.id) for job in jobs]
    known = dict(there)
    answers: list[Inserted] = []
    for job in jobs:
        met = held.get(job.id)
        found = known.get(job.id)
        if met is not None and found is None:
            answers.append(met)
        elif found is None:
            known[job.id] = (job.kind, job.payload)
            answers.append(Inserted(job.id))
        else:
            same = found == (job.kind, job.payload)
            answers.append(Inserted(job.id, duplicate=same, conflict=not same))
    return answers


def same(one: NewJob, other: NewJob) -> bool:
    return one.kind == other.kind and one.payload == other.payload


def _these(jobs: Sequence[NewJob]) -> str:
    return f"job {jobs[0].id}" if len(jobs) == 1 else f"a request of {len(jobs)} jobs"
